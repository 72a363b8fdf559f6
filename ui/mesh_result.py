"""What the mesh tab shows: before a result, with one, and where a run ends or fails.

One field of `Shown` for each output on the page. Knows nothing about how a painting runs, nor about
layout.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import RunFailed
from pipelines.paint.painted import RESULT
from pipelines.runs import run_folder
from pipelines.runs.history import archive
from ui.running import Change, facts, ready
from ui.viewer import compared
from ui.wording import on_the_page

_NUDGE = 1 + 1e-6
"""The viewer sets its camera only to a position that differs from the one it reported."""


@dataclass(frozen=True, eq=False)
class Shown(Change):
    """A change of the mesh tab."""

    comparison: Any = field(default_factory=gr.skip)
    threshold: Any = field(default_factory=gr.skip)
    layers: Any = field(default_factory=gr.skip)
    glb_file: Any = field(default_factory=gr.skip)
    zip_file: Any = field(default_factory=gr.skip)
    turntable_file: Any = field(default_factory=gr.skip)


def nothing(**changes: Any) -> Shown:
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
        return nothing(threshold=gr.Slider(interactive=True), **ready())
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
        run=str(folder),
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


def painted(metrics: dict[str, Any]) -> str:
    return f"{100 * metrics['painted_share']:.0f} % of the surface is painted"


def ended() -> Shown:
    """The end of every run.

    The page is told a run's last change twice, and a viewer that is told its mesh again while it
    loads its code never shows it. For the same reason it is hidden and never taken off the page.
    """
    return Shown(threshold=gr.Slider(interactive=True))


def failed(**changes: Any) -> Shown:
    return Shown(threshold=gr.Slider(interactive=True), **changes)


def _zipped(folder: Path) -> gr.DownloadButton:
    """Everything in one file. A disk that has no room for it takes nothing else away."""
    try:
        return gr.DownloadButton(value=str(archive(folder)), visible=True)
    except RunFailed as error:
        gr.Warning(on_the_page(str(error)))
        return gr.DownloadButton(visible=False)
