"""Paint a mesh by saying what it is, which part to paint and how: CSD on any mesh.

    python -m pipelines.mesh MESH --object mushroom --edit cap --style "red dotted" --out RUN_DIR

The mesh comes back with its own coordinates, topology and materials, and its own UVs where they
were usable. A texture in such UVs, with no side below --resolution and no colour that multiplies
it, is untouched to the last bit outside the region; other colours are baked into a new texture.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines import command, geometry
from pipelines.errors import InputError
from pipelines.events import Event, Note, Preparing, Preview
from pipelines.media import to_uint8
from pipelines.paint.checks import check_idle, check_numbers, without_idle
from pipelines.paint.composites import GRAY, prompts, unlike_prompt
from pipelines.paint.job import STEPS, PaintMesh
from pipelines.paint.layers import base_colours
from pipelines.paint.look import Look, look
from pipelines.paint.painted import RESULT, RESULTS, bake_layers, write_painted
from pipelines.paint.run import paint
from pipelines.paint.task import Fields, Mask, Task
from pipelines.paint.uv_mask import read_uv_mask
from pipelines.render import Surface, orbit
from pipelines.runs import record, run_folder, settings
from pipelines.runs.record import Order
from pipelines.teachers.catalog import mesh_teacher, mesh_teachers
from pipelines.teachers.compiling import expect_compiler
from pipelines.teachers.loaded import LoadedMeshTeacher, notes
from pipelines.teachers.loading import announcements, load_mesh_teacher, step_down
from pipelines.teachers.painting import PAPER
from pipelines.teachers.prompts import mesh_prompts
from pipelines.teachers.teacher import MeshTeacher, check_prompt
from pipelines.teachers.weights import weights
from sds import parallel
from sds.optimize import State, Step

PREVIEW_SIDE = 160


@dataclass(frozen=True, eq=False)
class Paint:
    """A painting with everything loaded: what `record.run` drives.

    Its job has no setting left out.
    """

    job: PaintMesh
    loaded: LoadedMeshTeacher
    model: geometry.Model
    bases: Sequence[Tensor]
    """uint8 (h, w, 3): the mesh's own colours, one for each part."""
    task: Task
    painted: Fields
    sides: Look
    """What previews show."""

    def optimise(self, since: State | None) -> Iterator[Step]:
        """Train `painted` in place, one step per call of the cascade."""
        job = self.job
        # The cascade as it is now: it may have stepped down since.
        task = replace(self.task, cascade=self.loaded.cascade)
        yield from paint(task, job.painting, self.painted, job.total_steps, job.seed, since)

    def step_down(self) -> list[str]:
        """Do without something the teacher takes memory for."""
        return step_down(self.loaded)

    @property
    def remedy(self) -> str:
        """What the user can lower where memory is short."""
        return f"lower --views (now {self.job.painting.views})"

    @property
    def calmer(self) -> str:
        """What the user can lower where numbers grow beyond all bounds."""
        return "lower --rate, --guidance-1 or --guidance-2"

    @torch.no_grad()
    def preview(self, index: int) -> Preview:
        """The new colours on gray, from every side."""
        bound = self.task.bound(self.sides.points)
        query = self.task.asked(self.painted, self.sides.points, bound, background=False)
        p = bound if query.region is None else query.region
        picture = self.sides.picture(p * query.style + (1 - p) * GRAY)
        return Preview(index, to_uint8(picture).cpu())

    def write(self, said: dict[str, Any]) -> tuple[Path, list[str], dict[str, Any]]:
        """Layers, textures, meshes, turntable, and the shares that were painted."""
        job = self.job
        layers = bake_layers(self.task, self.painted, self.bases)
        written = (job.out, self.model, self.task.surface, layers, job.threshold, said)
        return job.out / RESULT, [], write_painted(*written)


def paint_mesh(job: PaintMesh, resumes: bool = False) -> Iterator[Event]:
    """Run a painting; yields notes, steps and previews, and `Done` when its files are written.

    resumes: go on with the run in the job's folder (see `pipelines.resume`). A file called `stop`
    in the folder ends the run after the current step, as a full result. Raises InputError for input
    that cannot be used: no run is left behind then. Raises RunFailed when the fields stop being
    finite or the disk is full; the last good state is then kept.
    """
    began = time.monotonic()
    job = settled(job)
    teacher = _check(job)
    downloads = announcements(teacher)
    model = yield from _read(job)
    surface = geometry.surface(model, job.up)
    bases = base_colours(model, job.resolution)
    mask = None
    if job.mask is not None:
        sizes = [(len(base), base.shape[1]) for base in bases]
        mask = read_uv_mask(job.mask, surface, job.mask_view, sizes, job.mask_replaces)

    def prepare() -> Generator[Note, None, Paint]:
        yield from map(Note, downloads)
        yield from map(Note, model.notes)
        several = f" in {len(model.parts)} parts" if len(model.parts) > 1 else ""
        yield Note(f"{model.faces:,} faces{several}")
        work = _prepare(job, model, surface, bases, mask, teacher)
        yield from map(Note, notes(work.loaded))
        return work

    order = Order(job.out, describe(job), _inputs(job, model), RESULTS, resumes, began)
    yield from record.run(order, prepare)


def usual(teacher: str) -> dict[str, Any]:
    """The settings that a teacher brings where the job leaves them out.

    Raises InputError where there is no such teacher.
    """
    return {"painting": mesh_teacher(teacher).painting}


def settled(job: PaintMesh) -> PaintMesh:
    """The job with no setting left out; the preset `paper` fixes the painting's.

    Raises InputError where there is no such teacher.
    """
    teacher = mesh_teacher(job.teacher)
    own = teacher.painting
    painting = own if job.painting is None else job.painting
    if job.preset == "paper" and painting == own:
        painting = PAPER
    unlike = job.unlike
    if not unlike and painting.contrast:
        unlike = teacher.unlike(job.style)
    return replace(job, painting=painting, unlike=unlike)


def describe(job: PaintMesh) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON."""
    said = settings.describe(replace(settled(job), steps=job.total_steps))
    versions = run_folder.versions() | {"weights": weights(mesh_teacher(job.teacher))}
    return {"job": "mesh", **said, "versions": versions}


def recall(said: Mapping[str, Any], files: Mapping[str, Path]) -> PaintMesh:
    """The job that was described. files: where its files are, and `out`, by their settings."""
    if isinstance(painting := said.get("painting"), Mapping):
        # What a run did not know of yet was off, as it was in the paper.
        said = {**said, "painting": {**asdict(PAPER), **painting}}
    job = settings.recall(PaintMesh, said, files)
    # What a job finds by itself is left to it again: other words or another preset may follow. Only
    # a teacher of the list does, so that no other is looked up for it.
    listed = mesh_teachers().get(job.teacher)
    if job.unlike and listed and job.unlike == listed.unlike(job.style):
        job = replace(job, unlike="")
    # What did nothing was taken once, and is refused now.
    job = without_idle(job, listed)
    return replace(job, steps=None) if job.steps == STEPS[job.preset] else job


def _check(job: PaintMesh) -> MeshTeacher:
    teacher = mesh_teacher(job.teacher)
    said = {"object": job.object, "style": job.style}
    if job.unlike:
        said["unlike"] = job.unlike
    if not job.everywhere:
        said["edit"] = job.edit
    for name, prompt in said.items():
        check_prompt(teacher, prompt, name)
    check_numbers(job)
    check_idle(job, teacher.painting)
    if job.compile:
        expect_compiler()
    return teacher


def _read(job: PaintMesh) -> Generator[Note | Preparing, None, geometry.Model]:
    """The mesh with UVs on every part; says so before it makes any, which may take a while."""
    model = geometry.read_mesh(job.mesh)
    if job.up == "y" and _painted_with(job.mesh).get("up") == "z":
        name = job.mesh.name
        yield Note(f"{name} was painted with --up z. Give that again, or it is seen lying down.")
    if job.max_faces is not None:
        model = geometry.decimate(model, job.max_faces)
    bare = sum(len(part.faces) for part in model.parts if part.uv is None)
    if bare:
        yield Note(f"Making UVs for {bare:,} faces; a large mesh takes a few minutes.")
    return (yield from geometry.unwrap_by_beats(model))


def _painted_with(path: Path) -> Mapping[str, Any]:
    """The settings of the run that made a painted.glb; none for any other file."""
    with suppress(InputError):
        if isinstance(said := geometry.read_settings(path), Mapping):
            return said
    return {}


def _inputs(job: PaintMesh, model: geometry.Model) -> dict[str, Path]:
    """The mesh, the files it names, and the mask, by their names in the run's folder."""
    names = (job.mesh.name, *model.beside)
    files = {f"mesh/{name}": job.mesh.parent / name for name in names}
    return files if job.mask is None else files | {f"mask/{job.mask.name}": job.mask}


def _prepare(
    job: PaintMesh,
    model: geometry.Model,
    surface: Surface,
    bases: Sequence[Tensor],
    mask: Mask | None,
    teacher: MeshTeacher,
) -> Paint:
    # First, so that the text encoder is gone when the networks come.
    words = job.words
    texts = prompts(words, job.painting.background)
    asked = mesh_prompts(teacher, texts, unlike_prompt(words))
    loaded = load_mesh_teacher(teacher.name, job.compile)
    surface = surface.to(loaded.device)
    generator = torch.Generator().manual_seed(job.seed)
    shape = (len(model.parts), job.everywhere, generator, job.resolution)
    painted = Fields(job.painting, *shape).to(loaded.device)
    white = torch.ones(4, 3, device=loaded.device)
    return Paint(
        job=job,
        loaded=loaded,
        model=model,
        bases=bases,
        task=Task(surface, loaded.cascade, asked, None if mask is None else mask.to(loaded.device)),
        painted=painted,
        sides=look(surface, orbit(4, 20.0), PREVIEW_SIDE, white),
    )


def main() -> None:
    job = command.parse(PaintMesh, "pipelines.mesh", usual, __doc__)
    parallel.leave(command.run(paint_mesh(job), job.out))


if __name__ == "__main__":
    main()
