"""Paint a mesh by saying what it is, which part to paint and how: CSD on any mesh.

    python -m pipelines.mesh MESH --object mushroom --edit cap --style "red dotted" --out RUN_DIR

The mesh comes back with its own coordinates, topology and materials, and its own UVs where they
were usable. Outside the region its colours are untouched to the last bit.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor

from pipelines import command, geometry, runs
from pipelines.catalog import (
    LoadedMeshTeacher,
    MeshTeacher,
    check_prompt,
    load_mesh_teacher,
    mesh_teacher,
)
from pipelines.composites import GRAY, Words, prompts
from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Event, Note, Preview, Step
from pipelines.layers import check_threshold
from pipelines.media import to_uint8
from pipelines.painted import bake_layers, write_painted
from pipelines.painting import PAPER, Fields, Look, Painting, Task, look, paint
from pipelines.render import orbit
from pipelines.uv_mask import read_uv_mask
from sds.csd import Prompts
from sds.optimize import NonFinite

Preset = Literal["quick", "standard", "fine", "paper"]
STEPS: dict[Preset, int] = {"quick": 60, "standard": 300, "fine": 1000, "paper": 5000}
PREVIEW_EVERY = 1.5
"""Seconds between previews."""
PREVIEW_SIDE = 192


@dataclass(frozen=True)
class PaintMesh:
    """Paint a mesh by saying what it is, which part to paint and how."""

    mesh: tyro.conf.Positional[Path]
    """The mesh to paint: obj, glb, gltf, ply, stl or off, or a zip that holds one."""
    object: str
    """What the mesh is: "mushroom"."""
    style: str
    """How the part should look: "red dotted"."""
    out: Path
    """Folder for painted.glb, painted.obj, the textures, turntable.mp4 and the metrics."""
    edit: str = ""
    """The part to paint: "cap". Not needed with --global."""
    everywhere: Annotated[bool, tyro.conf.arg(name="global")] = False
    """Paint the whole mesh."""
    plural: bool = False
    """The part is a plural ("legs"), so prompts give it no article."""
    teacher: str = "miniature"
    """Which diffusion models judge the painting."""
    preset: Preset = "standard"
    """How many steps are taken, unless --steps says it; `paper` is 3D Paintbrush as published."""
    steps: int | None = None
    """Steps of the optimisation."""
    seed: int = 0
    """Seed of all noise, views and fields; the same seed repeats the run."""
    mask: Path | None = None
    """Where the edit may happen: a picture in the mesh's UVs, or drawn on a view (--mask-view)."""
    mask_view: tuple[float, float] | None = None
    """The view the mask was drawn on: degrees around the mesh from its front, and above it."""
    mask_replaces: bool = False
    """The mask is the region, instead of bounding the one that is found."""
    threshold: float = 0.5
    """How sure the run must be that a place belongs to the region, 0 to 1; can be moved later."""
    resolution: int = 1024
    """Side of the textures, where the mesh brings none larger."""
    max_faces: int | None = None
    """Simplify the mesh to about this many faces first; its UVs and materials are then lost."""
    painting: Painting = field(default_factory=Painting)

    @property
    def total_steps(self) -> int:
        """Steps the run will take."""
        return STEPS[self.preset] if self.steps is None else self.steps

    @property
    def how(self) -> Painting:
        """The painting's settings; the preset `paper` fixes them all."""
        return PAPER if self.preset == "paper" else self.painting

    @property
    def words(self) -> Words:
        """What to paint."""
        edit = None if self.everywhere else self.edit
        return Words(self.object, edit, self.style, self.plural)


def paint_mesh(job: PaintMesh) -> Iterator[Event]:
    """Run a painting; yields notes, steps and previews, and `Done` when its files are written.

    A file called `stop` in the run's folder ends it after the current step, as a full result.
    Raises InputError for input that cannot be used, before anything is written, and RunFailed when
    the fields stop being finite; the last good state is then written first.
    """
    teacher = _check(job)
    began = time.monotonic()
    model = _read(job)
    surface = geometry.surface(model)
    bases = [torch.tensor(geometry.base_colour(part, job.resolution)) for part in model.parts]
    mask = None
    if job.mask is not None:
        sizes = [(len(base), base.shape[1]) for base in bases]
        mask = read_uv_mask(job.mask, surface, job.mask_view, sizes, job.mask_replaces)
    runs.open_folder(job.out)
    yield from (Note(text) for text in model.notes)
    loaded = load_mesh_teacher(teacher.name)
    surface = surface.to(loaded.device)
    yield Note(f"{model.faces:,} faces in {len(model.parts)} parts")
    task = Task(surface, loaded.cascade, _prompts(job, loaded), mask)
    generator = torch.Generator().manual_seed(job.seed)
    painted = Fields(job.how, len(model.parts), job.everywhere, generator).to(loaded.device)
    failure, started, done = None, time.monotonic(), 0
    try:
        for event in _optimise(job, task, painted):
            done = event.index + 1
            yield event
    except NonFinite as error:
        failure = error
    seconds = time.monotonic() - started
    settings = describe(job)
    layers = bake_layers(task, painted, bases)
    shares = write_painted(job.out, model, surface, layers, job.threshold, settings)
    metrics = {
        "seconds": round(seconds, 3),
        "seconds_per_step": round(seconds / max(done, 1), 4),
        "seconds_in_all": round(time.monotonic() - began, 3),
        "steps": done,
        "peak_memory_mb": round(runs.peak_memory_mb(), 1),
        **shares,
    }
    runs.write_json(job.out / "settings.json", settings)
    runs.write_json(job.out / "metrics.json", metrics)
    if failure is not None:
        raise RunFailed(f"{failure} The last good state is in {job.out}.") from failure
    yield Done(job.out / "painted.glb", settings, metrics)


def describe(job: PaintMesh) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON."""
    settings = asdict(replace(job, steps=job.total_steps, painting=job.how))
    # Names, not paths: the file may be shown to others than whoever owns the folders.
    names = {key: value.name for key, value in settings.items() if isinstance(value, Path)}
    return {"job": "mesh", **settings, **names, "versions": runs.versions()}


def _check(job: PaintMesh) -> MeshTeacher:
    teacher = mesh_teacher(job.teacher)
    check_prompt(teacher, job.object, "object")
    check_prompt(teacher, job.style, "style")
    if job.everywhere and job.edit:
        raise InputError("Give a part to paint (--edit) or paint the whole mesh (--global).")
    if not job.everywhere:
        check_prompt(teacher, job.edit, "edit")
    if job.total_steps < 1:
        raise InputError(f"{job.steps} steps paint nothing. Give at least 1.")
    if not 16 <= job.resolution <= 8192:
        raise InputError(f"A texture of {job.resolution} texels: give 16 to 8192; 1024 is usual.")
    if job.mask is None and (job.mask_view is not None or job.mask_replaces):
        raise InputError("There is no mask to go with --mask-view or --mask-replaces: give --mask.")
    if job.preset == "paper" and job.painting != Painting():
        raise InputError("The preset paper fixes the painting's settings. Choose another preset.")
    how = job.how
    if not 0 < how.low <= min(how.high, how.high_end) or max(how.high, how.high_end) > 999:
        raise InputError(
            f"The noise levels {how.low} to {how.high} and {how.high_end} must lie between 1 and "
            "999, the lowest first."
        )
    if how.views < 1:
        raise InputError(f"{how.views} views show nothing. Give at least 1.")
    check_threshold(job.threshold)
    return teacher


def _read(job: PaintMesh) -> geometry.Model:
    model = geometry.read_mesh(job.mesh)
    if job.max_faces is not None:
        model = geometry.decimate(model, job.max_faces)
    return geometry.unwrap(model)


def _prompts(job: PaintMesh, loaded: LoadedMeshTeacher) -> Prompts:
    return loaded.prompts(prompts(job.words, job.how.background))


def _optimise(job: PaintMesh, task: Task, painted: Fields) -> Iterator[Step | Preview]:
    """Train `painted` in place, one step per call of the cascade."""
    steps = job.total_steps
    white = torch.ones(4, 3, device=task.surface.vertices.device)
    sides = look(task.surface, orbit(4, 20.0), PREVIEW_SIDE, white)
    began = last = time.monotonic()
    for step in paint(task, job.how, painted, steps, job.seed):
        now = time.monotonic()
        yield Step(step.index, steps, now - began, float(step.value))
        if step.index == 0 or step.index + 1 == steps or now - last > PREVIEW_EVERY:
            yield Preview(step.index, _shown(task, painted, sides))
            last = time.monotonic()
        if runs.stop_asked(job.out):
            return


@torch.no_grad()
def _shown(task: Task, painted: Fields, sides: Look) -> Tensor:
    """The new colours on gray, from every side: uint8 (4, h, w, 3)."""
    query = task.asked(painted, sides.points)
    p = task.bound(sides.points) if query.region is None else query.region
    return to_uint8(sides.picture(p * query.style + (1 - p) * GRAY))


def main() -> None:
    job = tyro.cli(
        PaintMesh,
        prog="python -m pipelines.mesh",
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    sys.exit(command.run(paint_mesh(job)))


if __name__ == "__main__":
    main()
