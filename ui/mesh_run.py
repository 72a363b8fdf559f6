"""What the mesh tab's buttons do: a painting as a stream of page states, and its region moved.

The job's events become `Shown`s, one field for each output on the page. Knows nothing about layout.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Preview
from pipelines.mesh import RESULT, PaintMesh, usual
from pipelines.paint.fields import Kind
from pipelines.paint.job import Preset
from pipelines.paint.painting import Painting
from pipelines.region import MoveRegion, move_region
from pipelines.runs import run_folder
from pipelines.runs.history import archive
from ui.brush import no_brush
from ui.examples import EXAMPLES
from ui.folders import new_folder
from ui.following import follow, loading
from ui.mesh_examples import own_copy
from ui.mesh_mask import NO_MESH, Where, mask_of
from ui.preview import previewed
from ui.progress import duration, progress
from ui.running import Change, facts, given, ready, seed_of, values_of, written
from ui.viewer import compared
from ui.visitors import owner_of, share_of
from ui.wording import on_the_page

_NUDGE = 1 + 1e-6
"""The viewer sets its camera only to a position that differs from the one it reported."""


@dataclass(frozen=True, eq=False)
class Shown(Change):
    """A change of the mesh tab."""

    preview: Any = field(default_factory=gr.skip)
    result: Any = field(default_factory=gr.skip)
    comparison: Any = field(default_factory=gr.skip)
    threshold: Any = field(default_factory=gr.skip)
    layers: Any = field(default_factory=gr.skip)
    glb_file: Any = field(default_factory=gr.skip)
    zip_file: Any = field(default_factory=gr.skip)
    turntable_file: Any = field(default_factory=gr.skip)
    seed: Any = field(default_factory=gr.skip)


def paint(
    request: gr.Request, visitor: str | None, before: str | None, *asked: Any
) -> Iterator[tuple[Any, ...]]:
    """Paint a mesh; yields the values of a `Shown` for each of the job's events.

    before: the run that the tab shows. asked: the tab's inputs, as `job_of` takes them.
    """

    def begin() -> Iterator[Shown]:
        owner = owner_of(visitor, request)
        with share_of(owner, request):
            yield from _shown(job_of(*asked), owner)

    yield from values_of(begin, _failed, before)


def run(
    job: PaintMesh, owner: str | None, resumes: bool, before: str | None
) -> Iterator[tuple[Any, ...]]:
    """Run a job; yields like `paint`. owner: whose it becomes; resumes: whether it goes on."""
    yield from values_of(lambda: _shown(job, owner, resumes), _failed, before)


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
    where: Where,
    mask: str | None,
    mask_on_view: bool,
    mask_around: float | None,
    mask_above: float | None,
    brushed: str | None,
    drawn: tuple[float, float] | None,
    takes: bool,
    field: Kind,
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
    place = (path, max_faces or None, side, where, mask, view, brushed, drawn, takes)
    file, mask_view = mask_of(*place)
    return PaintMesh(
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
        painting=Painting(
            field=field,
            rate=given(rate, "The learning rate is empty. 0.01 is usual."),
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


def move(
    request: gr.Request,
    visitor: str | None,
    run: str | None,
    threshold: float,
    result: gr.Model3D,
) -> Iterator[tuple[Any, ...]]:
    """Move the region of the run in the folder `run`; yields the values of `Shown`s.

    That of an example becomes a run of the visitor's first. result: the viewer as it is on the
    page, so that the camera stays where the user put it.
    """

    def begin() -> Iterator[Shown]:
        return _moved(run, threshold, result.camera_position, owner_of(visitor, request))

    yield from values_of(begin, _failed, run)


def _failed(**changes: Any) -> Shown:
    return Shown(threshold=gr.Slider(interactive=True), **changes)


def _moved(
    run: str | None, threshold: float, camera: list[float | None], owner: str
) -> Iterator[Shown]:
    if run is None:
        gr.Info("The next run starts from this. Paint first; then it moves what was painted.")
        # Where a generator says nothing at all, gradio empties every output.
        yield Shown()
        return
    folder = Path(run)
    if not run_folder.is_run(folder):
        raise InputError("This run is not there any more. Paint again.")
    if run_folder.read_settings(folder).get("threshold") == threshold:
        yield Shown()
        return
    if folder.parent == EXAMPLES:
        folder = own_copy(folder, owner)
    with written(folder):
        moving = progress("Moving the region", 0)
        waits = gr.Button(interactive=False)
        yield Shown(run=str(folder), status=moving, start_button=waits)
        metrics = move_region(MoveRegion(folder, threshold))
        status = progress(f"Done: {_painted(metrics)}.", 1)
        yield result_of(folder, status, gr.skip(), camera)
        yield _last()


def _shown(job: PaintMesh, owner: str | None, resumes: bool = False) -> Iterator[Shown]:
    yield Shown(seed=job.seed, threshold=gr.Slider(interactive=False), **loading(job))
    try:
        done = partial(_done, job.out)
        yield from follow(job, owner, resumes, Shown, _looked, done, _nothing())
        yield _last()
    except RunFailed:
        # What was kept is a full result, and the message says so.
        yield result_of(job.out)
        raise


def _last() -> Shown:
    """The end of every run.

    The page is told a run's last change twice, and a viewer that is told its mesh again while it
    loads its code never shows it. For the same reason it is hidden and never taken off the page.
    """
    return Shown(threshold=gr.Slider(interactive=True))


def _nothing(**changes: Any) -> Shown:
    """The tab before there is a result."""
    return Shown(
        preview=gr.HTML(visible=False),
        result=gr.Model3D(None, visible=True),
        comparison=gr.HTML(None, visible=False),
        layers=gr.Gallery([], visible=False),
        glb_file=gr.DownloadButton(visible=False),
        zip_file=gr.DownloadButton(visible=False),
        turntable_file=gr.DownloadButton(visible=False),
        metrics="",
        **changes,
    )


def _looked(preview: Preview) -> Shown:
    return Shown(preview=previewed(preview, columns=2), result=gr.Model3D(visible="hidden"))


def _done(folder: Path, event: Done, notes: list[str]) -> Shown:
    settings, metrics = event.settings, event.metrics
    taken, wanted = metrics["steps"], settings["steps"]
    text = f"Done in {duration(metrics['seconds_in_all'])}: {_painted(metrics)}."
    if taken < wanted:
        text = f"Stopped after {taken} of {wanted} steps. This is the painting so far."
    said = [facts(settings, metrics), *notes]
    return result_of(folder, progress(text, 1), "  \n".join(said))


def _painted(metrics: dict[str, Any]) -> str:
    return f"{100 * metrics['painted_share']:.0f} % of the surface is painted"


def result_of(
    folder: Path,
    status: Any = None,
    metrics: Any = None,
    camera: list[float | None] | None = None,
) -> Shown:
    """The files a run wrote.

    metrics: None says how it went. camera: where it is seen from, None for the viewer's own choice.
    """
    if not (folder / RESULT).is_file():
        return _nothing(threshold=gr.Slider(interactive=True), **ready())
    seen = {}
    if camera is not None and None not in camera:
        around, above, radius = camera
        seen = {"camera_position": (around, above, radius * _NUDGE)}
    pictures = [
        (str(path), path.stem.replace("_", " "))
        for name in ("localization", "texture")
        for path in sorted(folder.glob(f"{name}*.png"))
    ]
    measured = run_folder.read_metrics(folder)
    if metrics is None:
        metrics = facts(run_folder.read_settings(folder), measured) if measured else ""
    return Shown(
        status=gr.skip() if status is None else status,
        preview=gr.HTML(visible=False),
        result=gr.Model3D(str(folder / RESULT), visible=True, **seen),
        comparison=gr.HTML(compared(folder, measured), visible=True),
        threshold=gr.Slider(interactive=True),
        layers=gr.Gallery(pictures, visible=True),
        glb_file=gr.DownloadButton(value=str(folder / RESULT), visible=True),
        zip_file=_zipped(folder),
        turntable_file=gr.DownloadButton(value=str(folder / "turntable.mp4"), visible=True),
        metrics=metrics,
        **ready(),
    )


def _zipped(folder: Path) -> gr.DownloadButton:
    """Everything in one file. A disk that has no room for it takes nothing else away."""
    try:
        return gr.DownloadButton(value=str(archive(folder)), visible=True)
    except RunFailed as error:
        gr.Warning(on_the_page(str(error)))
        return gr.DownloadButton(visible=False)
