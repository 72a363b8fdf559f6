"""How a past run is listed and described.

Knows nothing about what can be done with it.
"""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import gradio as gr
import numpy as np

from pipelines.runs import history
from pipelines.runs.history import Past
from pipelines.runs.run_folder import State
from ui.as_command import to_copy

DETAIL = (
    "about",
    "reopen",
    "resume",
    "repeat",
    "pack",
    "ask",
    "sure",
    "keep",
    "command",
    "copy",
)
"""What is known about a run and the buttons that go with it, in the order of `detail_of`."""
_STATES: dict[State, str] = {
    "running": "Running",
    "interrupted": "Interrupted",
    "stopped": "Stopped",
    "failed": "Failed",
    "done": "Done",
}
_NO_PICTURE = np.full((120, 160, 3), 128, dtype=np.uint8)


def heading(listed: int, runs: int) -> str:
    """What stands over a list of so many runs, and how many there are."""
    if listed < runs:
        return f"Past runs: the newest {listed} of {runs}"
    return "Past runs, the newest first"


def thumbnail(run: Past) -> tuple[Any, str]:
    """A run's picture and caption."""
    picture = _NO_PICTURE if run.preview is None else str(run.preview)
    state = "Broken" if run.broken else _STATES[run.status.state]
    return picture, f"{state}: {run.words}"


def detail_of(run: Past | None, by_path: bool) -> tuple[Any, ...]:
    """A run in full, or that there is none. by_path: whether to say where its files are."""
    readable = run is not None and run.job is not None
    command = gr.Textbox(visible=False)
    if readable:
        # Into a folder that is not there yet.
        again = replace(run.job, out=run.job.out.with_name(f"{run.job.out.name}-again"))
        command = gr.Textbox(history.command_line(to_copy(again, by_path)), visible=True)
    return (
        "Pick a run to see what can be done with it." if run is None else _about(run),
        gr.Button(visible=readable),
        gr.Button(visible=run is not None and run.resumable),
        gr.Button(visible=readable),
        gr.Button(visible=run is not None),
        gr.Button(visible=run is not None),
        gr.Button(visible=False),
        gr.Button(visible=False),
        command,
        gr.Button(visible=readable),
    )


def _about(run: Past) -> str:
    lines = [f"**{_escaped(run.words)}**", f"{_progress(run)}, begun {_when(run)}."]
    if run.job is not None:
        lines.append(f"Teacher {_escaped(run.job.teacher)}, seed {run.job.seed}.")
    said = run.broken or run.status.said
    return "  \n".join([*lines, _escaped(said)] if said else lines)


def _progress(run: Past) -> str:
    if run.broken:
        return "Broken"
    state, taken, steps = _STATES[run.status.state], run.status.step, run.job.total_steps
    if run.status.state == "done":
        return f"Done in {steps} steps"
    return f"{state}, {taken} of {steps} steps kept"


def _when(run: Past) -> str:
    return f"{datetime.fromtimestamp(run.status.began):%d %b %Y, %H:%M}"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$&-])", r"\\\1", text)
