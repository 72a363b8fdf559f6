"""What the video tab's buttons do: an edit as a stream of page states, and the way back.

The job's events become `Shown`s, one field for each output on the page. Knows nothing about layout.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipelines.clip.checks import without_idle
from pipelines.clip.edit import RESULT
from pipelines.clip.job import Method, Preset
from pipelines.errors import RunFailed
from pipelines.events import Done
from pipelines.video import EditVideo, settled
from ui.brush import no_brush
from ui.folders import new_folder
from ui.following import follow, loading
from ui.progress import duration, progress
from ui.running import given, seed_of, values_of
from ui.video_mask_actions import NO_CLIP, Where, cut_of, mask_of
from ui.video_result import Shown, facts_of, nothing, result_of
from ui.visitors import share_of


def edit(
    request: gr.Request, visitor: str | None, before: str | None, *asked: Any
) -> Iterator[tuple[Any, ...]]:
    """Edit a clip; yields the values of a `Shown` for each of the job's events.

    before: the run that the tab shows. asked: the tab's inputs, as `job_of` takes them.
    """

    def begin() -> Iterator[Shown]:
        with share_of(visitor, request) as owner:
            yield from _shown(job_of(*asked), owner)

    yield from values_of(begin, Shown, before)


def run(
    job: EditVideo, owner: str | None, resumes: bool, before: str | None
) -> Iterator[tuple[Any, ...]]:
    """Run a job; yields like `edit`. owner: whose it becomes; resumes: whether it goes on."""
    yield from values_of(lambda: _shown(job, owner, resumes), Shown, before)


def job_of(
    clip: str | None,
    source: str,
    target: str,
    teacher: str,
    compile: bool,
    preset: Preset,
    strength: float,
    steps: int | None,
    seed: int | None,
    random_seed: bool,
    high: int,
    low: int,
    side: int | None,
    start: float | None,
    end: float | None,
    every: int | None,
    where: Where,
    brushed: str | None,
    drawn: int | None,
    mask: str | None,
    mask_frame: int | None,
    mask_grow: float | None,
    mask_feather: float | None,
    mask_invert: bool,
    guidance_source: float,
    guidance_target: float,
    joint: float,
    fusion: float,
    smoothing: Literal["off", "residual", "shared"],
    smooth_along_flow: bool,
    mask_k: float,
    focus: float,
    anchor: float,
    eta: float,
    ode: bool,
    moves: int | None,
    steady: int,
) -> EditVideo:
    """The job that the tab's inputs ask for; `inputs_of` is the way back.

    Raises InputError where something is missing.
    """
    path = Path(given(clip, NO_CLIP))
    number = given(mask_frame, "The mask's frame is empty. Give 0 for the first.")
    file, frame = mask_of(where, brushed, drawn, mask, number)
    job = EditVideo(
        clip=path,
        source=source,
        target=target,
        out=new_folder(),
        teacher=teacher,
        compile=compile,
        preset=preset,
        steps=steps or None,
        seed=seed_of(seed, random_seed),
        strength=strength,
        high=int(high),
        low=int(low),
        side=given(side, "The working size is empty. Give pixels, such as 512."),
        ode=ode,
        moves=given(moves, "How often the clip moves is empty. Give 0 for every step."),
        steady=int(steady),
        mask=file,
        mask_frame=frame,
        mask_grow=given(mask_grow, "How far to grow the mask is empty. Give 0 for none."),
        mask_feather=given(mask_feather, "The mask's feather is empty. Give 0 for none."),
        mask_invert=mask_invert,
        cut=cut_of(start, end, every),
        method=Method(
            guidance_source=guidance_source,
            guidance_target=guidance_target,
            smoothing=smoothing,
            smooth_along_flow=smooth_along_flow,
            mask_k=mask_k,
            joint=joint,
            fusion=fusion,
            focus=focus,
            anchor=anchor,
            eta=eta,
        ),
    )
    # The page has a value for everything, also where it does nothing.
    return without_idle(job)


def inputs_of(job: EditVideo) -> dict[str, Any]:
    """The tab's inputs as they are for a job, by their name in `job_of`."""
    job = settled(job)
    method = {name: getattr(job.method, name) for name in Method.__dataclass_fields__}
    mask = None if job.mask is None else str(job.mask)
    return method | {
        "clip": str(job.clip),
        "source": job.source,
        "target": job.target,
        "teacher": job.teacher,
        "compile": job.compile,
        "preset": job.preset,
        "strength": job.strength,
        "steps": job.steps or 0,
        "seed": job.seed,
        "random_seed": False,
        "high": job.high,
        "low": job.low,
        "side": job.side,
        "ode": job.ode,
        "moves": job.moves,
        "steady": job.steady,
        "start": job.cut.start,
        "end": job.cut.end or 0,
        "every": job.cut.every,
        "where": "everywhere" if mask is None else "mask",
        "brushed": no_brush(),
        "drawn": None,
        "mask": mask,
        "mask_frame": job.mask_frame,
        "mask_grow": job.mask_grow,
        "mask_feather": job.mask_feather,
        "mask_invert": job.mask_invert,
    }


def _shown(job: EditVideo, owner: str | None, resumes: bool = False) -> Iterator[Shown]:
    yield Shown(seed=job.seed, **loading(job))
    try:
        done = partial(_done, job.out)
        yield from follow(job, owner, resumes, Shown, done, nothing())
    except RunFailed:
        # Where a result was kept, it is a full one, and the message says so.
        if (job.out / RESULT).is_file():
            yield result_of(job.out)
        raise


def _done(folder: Path, event: Done, notes: list[str]) -> Shown:
    settings, metrics = event.settings, event.metrics
    taken, wanted = metrics["steps"], settings["steps"]
    text = f"Done in {duration(metrics['seconds'])}."
    if taken < wanted:
        text = f"Stopped after {taken} of {wanted} steps. This is the edit so far."
    said = [facts_of(settings, metrics), *notes]
    status = progress(text, taken / wanted, ended=True)
    return result_of(folder, status, "  \n".join(said))
