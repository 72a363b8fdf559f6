"""What the video tab's buttons do: an edit as a stream of page states, and its stop.

The job's events become `Shown`s, one field for each output on the page. Knows nothing about layout.
"""

import html
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipelines import runs, worker
from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Event, Note, Preview, Step
from pipelines.video import EditVideo, Preset, edit_video
from sds.assd import Method
from ui.folders import new_folder
from ui.progress import duration, progress


@dataclass(frozen=True, eq=False)
class Shown:
    """A change of the page; what is not given stays as it is."""

    status: Any = field(default_factory=gr.skip)
    preview: Any = field(default_factory=gr.skip)
    result: Any = field(default_factory=gr.skip)
    result_file: Any = field(default_factory=gr.skip)
    settings_file: Any = field(default_factory=gr.skip)
    metrics: Any = field(default_factory=gr.skip)
    run: Any = field(default_factory=gr.skip)
    edit_button: Any = field(default_factory=gr.skip)
    stop_button: Any = field(default_factory=gr.skip)

    def values(self) -> tuple[Any, ...]:
        """In the order of the fields."""
        return tuple(getattr(self, f.name) for f in fields(self))


def edit(
    clip: str | None,
    source: str,
    target: str,
    preset: Preset,
    strength: float,
    steps: int | None,
    seed: int | None,
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
    anchor: float,
) -> Iterator[tuple[Any, ...]]:
    """Edit a clip; yields the values of a `Shown` for each of the job's events."""
    try:
        job = EditVideo(
            clip=Path(_given(clip, "There is no clip. Upload one or pick an example.")),
            source=source,
            target=target,
            out=new_folder(),
            preset=preset,
            steps=steps,
            seed=_given(seed, "The seed is empty. Give a whole number, such as 0."),
            strength=strength,
            mask=None if mask is None else Path(mask),
            mask_frame=_given(mask_frame, "The mask's frame is empty. Give 0 for the first."),
            mask_grow=_given(mask_grow, "How far to grow the mask is empty. Give 0 for none."),
            mask_feather=_given(mask_feather, "The mask's feather is empty. Give 0 for none."),
            method=Method(
                guidance_source=guidance_source,
                guidance_target=guidance_target,
                smoothing=smoothing,
                smooth_along_flow=smooth_along_flow,
                mask_k=mask_k,
                joint=joint,
                fusion=fusion,
                anchor=anchor,
            ),
        )
        for shown in _shown(job):
            yield shown.values()
    except (InputError, RunFailed) as error:
        yield Shown(status=progress(str(error), 0, failed=True)).values()
        raise gr.Error(
            html.escape(str(error), quote=False),
            title="The run failed" if isinstance(error, RunFailed) else "This cannot be edited yet",
            duration=None,
            print_exception=False,
        ) from error


def stop(run: str) -> dict[str, Any]:
    """Ask the run in the folder `run` to stop and keep what there is."""
    runs.ask_to_stop(Path(run))
    return gr.Button(interactive=False)


def _given(value: Any, otherwise: str) -> Any:
    if value is None:
        raise InputError(otherwise)
    return value


def _shown(job: EditVideo) -> Iterator[Shown]:
    yield Shown(
        status=progress("Loading", 0),
        preview=gr.Gallery(None, visible=False),
        result=gr.Video(None, visible=True),
        result_file=gr.DownloadButton(interactive=False),
        settings_file=gr.DownloadButton(interactive=False),
        metrics="",
        edit_button=gr.Button(interactive=False),
    )
    notes = []
    try:
        for event in worker.stream(lambda: edit_video(job), job.out):
            if isinstance(event, Note):
                notes.append(event.text)
            yield _of(event, job, notes)
    except RunFailed:
        # What was kept is a full result, and the message says so.
        yield _result(job.out)
        raise


def _of(event: Event, job: EditVideo, notes: list[str]) -> Shown:
    match event:
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
            return Shown(
                preview=gr.Gallery(list(frames.numpy()), visible=True),
                result=gr.Video(visible=False),
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
    if metrics["psnr_outside_mask"] is not None:
        where = "to the clip" if settings["mask"] is None else "outside the mask"
        facts.append(f"PSNR {where} {metrics['psnr_outside_mask']:.1f} dB")
    facts.append(f"{metrics['peak_memory_mb']:.0f} MB of memory")
    return _result(folder, progress(text, 1), "  \n".join([", ".join(facts), *notes]))


def _result(folder: Path, status: Any = None, metrics: str = "") -> Shown:
    """The files a run wrote."""
    result, settings = str(folder / "result.mp4"), str(folder / "settings.json")
    return Shown(
        status=gr.skip() if status is None else status,
        preview=gr.Gallery(visible=False),
        result=gr.Video(result, visible=True),
        result_file=gr.DownloadButton(value=result, interactive=True),
        settings_file=gr.DownloadButton(value=settings, interactive=True),
        metrics=metrics,
    )
