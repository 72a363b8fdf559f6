"""What the mesh tab's buttons do: a painting as a stream of page states, and the way back.

The job's events become `Shown`s, one field for each output on the page. Knows nothing about layout.
"""

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipelines.errors import RunFailed
from pipelines.events import Done
from pipelines.geometry import Up
from pipelines.mesh import PaintMesh, usual
from pipelines.paint.checks import without_idle
from pipelines.paint.job import Preset
from pipelines.paint.painted import RESULT
from pipelines.teachers.catalog import mesh_teachers
from pipelines.teachers.painting import FieldKind, Painting
from ui.brush import no_brush
from ui.folders import new_folder
from ui.following import follow, loading
from ui.mesh_mask_actions import NO_MESH, Where, mask_of
from ui.mesh_result import Shown, ended, failed, nothing, painted, result_of
from ui.progress import duration, progress
from ui.running import facts, given, seed_of, values_of
from ui.visitors import share_of


def paint(
    request: gr.Request, visitor: str | None, before: str | None, *asked: Any
) -> Iterator[tuple[Any, ...]]:
    """Paint a mesh; yields the values of a `Shown` for each of the job's events.

    before: the run that the tab shows. asked: the tab's inputs, as `job_of` takes them.
    """

    def begin() -> Iterator[Shown]:
        with share_of(visitor, request) as owner:
            yield from _shown(job_of(*asked), owner)

    yield from values_of(begin, failed, before)


def run(
    job: PaintMesh, owner: str | None, resumes: bool, before: str | None
) -> Iterator[tuple[Any, ...]]:
    """Run a job; yields like `paint`. owner: whose it becomes; resumes: whether it goes on."""
    yield from values_of(lambda: _shown(job, owner, resumes), failed, before)


def job_of(
    mesh: str | None,
    object: str,
    edit: str,
    style: str,
    teacher: str,
    compile: bool,
    preset: Preset,
    everywhere: bool,
    plural: bool,
    threshold: float,
    steps: int | None,
    seed: int | None,
    random_seed: bool,
    resolution: int | None,
    max_faces: int | None,
    up: Up,
    where: Where,
    mask: str | None,
    mask_on_view: bool,
    mask_around: float | None,
    mask_above: float | None,
    brushed: str | None,
    drawn: tuple[float, float] | None,
    takes: bool,
    field: FieldKind,
    rate: float | None,
    views: int,
    cascade: Literal["joint", "phases"],
    guidance_1: float,
    guidance_2: float,
    style_guidance: float,
    low: int,
    high: int,
    high_end: int,
    detail: float,
    detail_from: float,
    crop: float,
    background: bool,
    attached: float,
    contrast: float,
    unlike: str,
) -> PaintMesh:
    """The job that the tab's inputs ask for; `inputs_of` is the way back.

    Raises InputError where something is missing.
    """
    view = None
    if mask_on_view:
        empty = "Where the mask was drawn from is empty. Give 0 and 0 for the front."
        view = given(mask_around, empty), given(mask_above, empty)
    path = Path(given(mesh, NO_MESH))
    side = given(resolution, "The texture's side is empty. 1024 is usual.")
    place = (path, max_faces or None, side, up, where, mask, view, brushed, drawn, takes)
    file, mask_view = mask_of(*place)
    job = PaintMesh(
        mesh=path,
        object=object,
        style=style,
        unlike=unlike,
        out=new_folder(),
        edit="" if everywhere else edit,
        everywhere=everywhere,
        plural=plural,
        teacher=teacher,
        compile=compile,
        preset=preset,
        steps=steps or None,
        seed=seed_of(seed, random_seed),
        mask=file,
        mask_view=mask_view,
        # Painted everywhere, a mask is the region whether it bounds it or not.
        mask_replaces=where == "mask" and not everywhere,
        threshold=threshold,
        resolution=side,
        max_faces=max_faces or None,
        up=up,
        painting=Painting(
            field=field,
            rate=given(rate, "The learning rate is empty. 0.02 is usual."),
            views=int(views),
            cascade=cascade,
            guidance_1=guidance_1,
            guidance_2=guidance_2,
            style_guidance=style_guidance,
            low=int(low),
            high=int(high),
            high_end=int(high_end),
            detail=detail,
            detail_from=detail_from,
            crop=crop,
            background=background,
            attached=attached,
            contrast=contrast,
        ),
    )
    return without_idle(job, mesh_teachers().get(teacher))


def inputs_of(job: PaintMesh) -> dict[str, Any]:
    """The tab's inputs as they are for a job, by their name in `job_of`."""
    how = job.painting or usual(job.teacher)["painting"]
    painting = {f.name: getattr(how, f.name) for f in fields(Painting)}
    around, above = job.mask_view or (0, 0)
    where = "words" if job.mask is None else "mask" if job.mask_replaces else "within"
    return painting | {
        "mesh": str(job.mesh),
        "object": job.object,
        "edit": gr.Textbox(job.edit, interactive=not job.everywhere),
        "style": job.style,
        "unlike": job.unlike,
        "everywhere": job.everywhere,
        "preset": job.preset,
        "threshold": job.threshold,
        "steps": job.steps or 0,
        "seed": job.seed,
        "plural": job.plural,
        "resolution": job.resolution,
        "max_faces": job.max_faces or 0,
        "up": job.up,
        "mask": None if job.mask is None else str(job.mask),
        "mask_on_view": job.mask_view is not None,
        "mask_around": around,
        "mask_above": above,
        "where": where,
        "brushed": no_brush(),
        "drawn": None,
        "takes": False,
        "teacher": job.teacher,
        "compile": job.compile,
        "random_seed": False,
    }


def _shown(job: PaintMesh, owner: str | None, resumes: bool = False) -> Iterator[Shown]:
    yield Shown(seed=job.seed, threshold=gr.Slider(interactive=False), **loading(job))
    try:
        done = partial(_done, job.out)
        yield from follow(job, owner, resumes, Shown, done, nothing())
        yield ended()
    except RunFailed:
        # Where a result was kept, it is a full one, and the message says so.
        if (job.out / RESULT).is_file():
            yield result_of(job.out)
        raise


def _done(folder: Path, event: Done, notes: list[str]) -> Shown:
    settings, metrics = event.settings, event.metrics
    taken, wanted = metrics["steps"], settings["steps"]
    text = f"Done in {duration(metrics['seconds_in_all'])}: {painted(metrics)}."
    if taken < wanted:
        text = f"Stopped after {taken} of {wanted} steps. This is the painting so far."
    said = [facts(settings, metrics), *notes]
    status = progress(text, taken / wanted, ended=True)
    return result_of(folder, status, "  \n".join(said))
