"""What the video tab's buttons do: an edit as a stream of page states.

The job's events become `Shown`s, one field for each output on the page. Knows nothing about layout.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipelines import worker
from pipelines.errors import RunFailed
from pipelines.events import Done, Event, Left, Note, Preview, Step, Waiting
from pipelines.media import contact_sheet
from pipelines.video import EditVideo, Method, Preset, edit_video
from ui.folders import new_folder
from ui.progress import duration, progress
from ui.running import Change, given, in_line, ready, values_of


@dataclass(frozen=True, eq=False)
class Shown(Change):
    """A change of the video tab."""

    preview: Any = field(default_factory=gr.skip)
    result: Any = field(default_factory=gr.skip)
    result_file: Any = field(default_factory=gr.skip)
    settings_file: Any = field(default_factory=gr.skip)
    metrics: Any = field(default_factory=gr.skip)


def edit(
    clip: str | None,
    source: str,
    target: str,
    preset: Preset,
    strength: float,
    steps: int | None,
    seed: int | None,
    high: int,
    low: int,
    mask: str | None,
    mask_frame: int | None,
    mask_grow: float | None,
    mask_feather: float | None,
    guidance_source: float,
    guidance_target: float,
    joint: float,
    fusion: float,
    smoothing: Literal["off", "residual", "shared"],
    smooth_along_flow: bool,
    mask_k: float,
    focus: float,
    anchor: float,
) -> Iterator[tuple[Any, ...]]:
    """Edit a clip; yields the values of a `Shown` for each of the job's events."""

    def job() -> EditVideo:
        return EditVideo(
            clip=Path(given(clip, "There is no clip. Upload one or pick an example.")),
            source=source,
            target=target,
            out=new_folder(),
            preset=preset,
            steps=steps or None,
            seed=given(seed, "The seed is empty. Give a whole number, such as 0."),
            strength=strength,
            high=int(high),
            low=int(low),
            mask=None if mask is None else Path(mask),
            mask_frame=given(mask_frame, "The mask's frame is empty. Give 0 for the first."),
            mask_grow=given(mask_grow, "How far to grow the mask is empty. Give 0 for none."),
            mask_feather=given(mask_feather, "The mask's feather is empty. Give 0 for none."),
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
            ),
        )

    yield from values_of(lambda: _shown(job()), Shown)


def _shown(job: EditVideo) -> Iterator[Shown]:
    yield Shown(
        status=progress("Loading", 0),
        preview=gr.Image(None, visible=False),
        result=gr.Video(None, visible=True),
        result_file=gr.DownloadButton(visible=False),
        settings_file=gr.DownloadButton(visible=False),
        metrics="",
        start_button=gr.Button(interactive=False),
    )
    notes = []
    try:
        # A closed tab closes this generator, and with it the stream, which stops the job.
        with closing(worker.stream(partial(edit_video, job), job.out)) as events:
            for event in events:
                if isinstance(event, Note):
                    notes.append(event.text)
                yield _of(event, job, notes)
    except RunFailed:
        # What was kept is a full result, and the message says so.
        yield _result(job.out)
        raise


def _of(event: Event, job: EditVideo, notes: list[str]) -> Shown:
    match event:
        case Waiting() | Left():
            return Shown(**in_line(event, job.out))
        case Note(text):
            return Shown(
                status=progress(text, 0),
                run=str(job.out),
                stop_button=gr.Button(interactive=True),
            )
        case Step(index, steps):
            text = f"Step {index + 1} of {steps}, {duration(event.left)} left"
            return Shown(status=progress(text, (index + 1) / steps))
        case Preview(_, frames):
            sheet = contact_sheet(frames, columns=min(len(frames), 2), gap=2)
            return Shown(
                preview=gr.Image(sheet.numpy(), visible=True), result=gr.Video(visible=False)
            )
        case Done(_, settings, metrics):
            return _done(job.out, settings, metrics, notes)


def _done(
    folder: Path, settings: dict[str, Any], metrics: dict[str, Any], notes: list[str]
) -> Shown:
    taken, wanted = metrics["steps"], settings["steps"]
    text = f"Done in {duration(metrics['seconds'])}."
    if taken < wanted:
        text = f"Stopped after {taken} of {wanted} steps. This is the edit so far."
    facts = [f"{taken} steps", f"{metrics['seconds_per_step']:.2f} s a step"]
    if settings["mask"] is not None:
        facts.append(_outside(metrics["psnr_outside_mask"]))
    facts.append(f"{metrics['peak_memory_mb']:.0f} MB of memory")
    return _result(folder, progress(text, 1), "  \n".join([", ".join(facts), *notes]))


def _outside(psnr: float | None) -> str:
    return "unchanged outside the mask" if psnr is None else f"{psnr:.1f} dB outside the mask"


def _result(folder: Path, status: Any = None, metrics: str = "") -> Shown:
    """The files a run wrote."""
    result, settings = str(folder / "result.mp4"), str(folder / "settings.json")
    return Shown(
        status=gr.skip() if status is None else status,
        preview=gr.Image(visible=False),
        result=gr.Video(result, visible=True),
        result_file=gr.DownloadButton(value=result, visible=True),
        settings_file=gr.DownloadButton(value=settings, visible=True),
        metrics=metrics,
        **ready(),
    )
