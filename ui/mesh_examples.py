"""The mesh tab's examples: meshes that come with what was painted on them.

They are made by `python -m miniature.examples`. Knows nothing about running a painting.
"""

import json
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.paint.painted import RESULT
from pipelines.runs import history
from pipelines.runs.run_folder import METRICS
from ui.examples import EXAMPLES
from ui.folders import new_folder
from ui.mesh_run import inputs_of, job_of
from ui.progress import duration, progress
from ui.viewer import compared
from ui.visitors import claim

_FILES = ("glb_file", "zip_file", "turntable_file")
_RESULT = ("run", "preview", "result", "comparison", "status", "layers", *_FILES, "metrics")
OPENED = (*signature(job_of).parameters, *_RESULT)
"""The tab's inputs and outputs that an example changes."""


@dataclass(frozen=True)
class Example:
    """A mesh, what to say about it, and the folder of what was painted on it."""

    mesh: Path
    object: str
    edit: str
    style: str
    result: Path

    @property
    def said(self) -> str:
        """The example in a few words."""
        return f"{self.object.capitalize()}: {self.style} {self.edit}"


def read_examples() -> list[Example]:
    """All examples, in the order they are shown."""
    said = json.loads((EXAMPLES / "meshes.json").read_text())
    return [
        Example(**{**one, "mesh": EXAMPLES / one["mesh"], "result": EXAMPLES / one["result"]})
        for one in said
    ]


def own_copy(folder: Path, owner: str) -> Path:
    """What was painted on an example, as a run of the owner's: the example itself stays."""
    example = next(example for example in read_examples() if example.result == folder)
    copied = new_folder()
    history.copy(folder, copied, {f"mesh/{example.mesh.name}": example.mesh})
    claim(copied, owner)
    return copied


def example_row(examples: list[Example]) -> gr.Dataset:
    """The row of names to click on."""
    return gr.Dataset(
        components=["textbox"],
        samples=[[example.said] for example in examples],
        type="index",
        label="Examples",
        elem_id="mesh-examples",
    )


def opened(example: Example) -> dict[str, Any]:
    """What an example makes of the inputs and outputs in OPENED, by their names.

    All that was asked, so that it would be made again.
    """
    metrics = json.loads((example.result / METRICS).read_text())
    took = f"{metrics['steps']} steps, {duration(metrics['seconds_in_all'])}"
    pictures = [(str(example.result / f"{n}.png"), n) for n in ("localization", "texture")]
    return {
        **inputs_of(history.job_of(example.result, {"mesh": example.mesh})),
        "run": str(example.result),
        "preview": gr.HTML(visible=False),
        "result": gr.Model3D(str(example.result / RESULT), visible=True),
        "comparison": gr.HTML(compared(example.result, metrics), visible=True),
        "status": progress(f"Made earlier by the built-in teacher: {took}.", 1, curve=()),
        "layers": gr.Gallery(pictures, visible=True),
        "glb_file": gr.DownloadButton(value=str(example.result / RESULT), visible=True),
        "zip_file": gr.DownloadButton(visible=False),
        "turntable_file": gr.DownloadButton(
            value=str(example.result / "turntable.mp4"), visible=True
        ),
        "metrics": "",
    }
