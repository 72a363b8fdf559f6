"""The video tab's examples: clips that come with what was made of them.

They are made by `python -m miniature.examples`. Knows nothing about running an edit.
"""

import json
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.runs import history
from pipelines.runs.run_folder import METRICS
from ui.examples import EXAMPLES
from ui.progress import duration, progress
from ui.video_run import inputs_of, job_of
from ui.viewer import compared

_RESULT = ("preview", "result", "status", "result_file", "settings_file", "metrics")
OPENED = (*signature(job_of).parameters, *_RESULT)
"""The tab's inputs and outputs that an example changes."""


@dataclass(frozen=True)
class Example:
    """A clip, what to say about it, and the folder of what was made of it."""

    clip: Path
    source: str
    target: str
    result: Path


def read_examples() -> list[Example]:
    """All examples, in the order they are shown."""
    said = json.loads((EXAMPLES / "examples.json").read_text())
    return [
        Example(EXAMPLES / one["clip"], one["source"], one["target"], EXAMPLES / one["result"])
        for one in said
    ]


def example_row(examples: list[Example]) -> gr.Dataset:
    """The row of clips to click on."""
    return gr.Dataset(
        components=["video"],
        samples=[[str(example.clip)] for example in examples],
        sample_labels=[example.target for example in examples],
        type="index",
        label="Examples",
        elem_id="examples",
    )


def opened(example: Example) -> dict[str, Any]:
    """What an example makes of the inputs and outputs in OPENED, by their names.

    All that was asked, so that it would be made again.
    """
    metrics = json.loads((example.result / METRICS).read_text())
    took = f"{metrics['steps']} steps, {duration(metrics['seconds'])}"
    return {
        **inputs_of(history.job_of(example.result, {"clip": example.clip})),
        "preview": gr.HTML(visible=False),
        "result": gr.HTML(compared(example.result, metrics), visible=True),
        "status": progress(f"Made earlier by the built-in teacher: {took}.", 1, curve=()),
        "result_file": gr.DownloadButton(value=str(example.result / "result.mp4"), visible=True),
        "settings_file": gr.DownloadButton(visible=False),
        "metrics": "",
    }
