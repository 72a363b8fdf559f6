"""What the video tab shows: before a result, and with one.

One field of `Shown` for each output on the page. Knows nothing about how an edit runs, nor about
layout.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.clip.edit import RESULT
from pipelines.runs import run_folder
from ui.running import Change, facts, ready
from ui.viewer import compared


@dataclass(frozen=True, eq=False)
class Shown(Change):
    """A change of the video tab."""

    result_file: Any = field(default_factory=gr.skip)
    settings_file: Any = field(default_factory=gr.skip)


def nothing(**changes: Any) -> Shown:
    """The tab before there is a result."""
    return Shown(
        preview=gr.HTML(visible=False),
        result=gr.HTML(None, visible=True),
        result_file=gr.DownloadButton(visible=False),
        settings_file=gr.DownloadButton(visible=False),
        metrics="",
        **changes,
    )


def result_of(folder: Path, status: Any = None, metrics: str | None = None) -> Shown:
    """The files a run wrote, on the page. metrics: None says how it went."""
    result, settings = folder / RESULT, folder / run_folder.SETTINGS
    if not result.is_file():
        return nothing(**ready())
    measured = run_folder.read_metrics(folder)
    if metrics is None:
        metrics = facts_of(run_folder.read_settings(folder), measured) if measured else ""
    return Shown(
        run=str(folder),
        status=gr.skip() if status is None else status,
        preview=gr.HTML(visible=False),
        result=gr.HTML(compared(folder, measured), visible=True),
        result_file=gr.DownloadButton(value=str(result), visible=True),
        settings_file=gr.DownloadButton(value=str(settings), visible=True),
        metrics=metrics,
        **ready(),
    )


def facts_of(settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    """How a run went, in a line."""
    masked = settings["mask"] is not None
    more = [_outside(metrics["psnr_outside_mask"])] if masked else []
    return facts(settings, metrics, *more)


def _outside(psnr: float | None) -> str:
    """Of the frames, not of the file."""
    said = "unchanged outside the mask" if psnr is None else f"{psnr:.1f} dB outside the mask"
    return f"{said} (before encoding)"
