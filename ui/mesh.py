"""The mesh tab: what it looks like, and which handler each part calls.

Knows nothing about how a painting runs (`ui.mesh_run`) or what its settings mean.
"""

import json
from dataclasses import fields
from inspect import signature
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.catalog import ASSETS, mesh_teacher
from pipelines.geometry import MESHES
from pipelines.mesh import STEPS, PaintMesh
from ui.mesh_run import Shown, move, paint
from ui.mesh_settings import more_settings
from ui.progress import progress_line
from ui.running import stop

EXAMPLES = ASSETS / "examples"
_HEIGHT = 400
_SCROLL = "() => document.getElementById('painted-outcome').scrollIntoView({block: 'nearest'})"
"""On a narrow page the result lies below the form."""


def mesh_tab() -> tuple[dict[str, Component], dict[str, Component]]:
    """Build the tab inside the current context and wire it.

    Returns its inputs by their name in `paint`, and its outputs by their name in `Shown`.
    """
    with gr.Row():
        with gr.Column(min_width=320):
            inputs, buttons = _form()
        with gr.Column(min_width=320, elem_id="painted-outcome", elem_classes="outcome"):
            outputs = _outcome()
    inputs["threshold"] = outputs["threshold"]
    outputs |= buttons | {"run": gr.State(None)}
    _wire(inputs, outputs)
    return inputs, outputs


def _form() -> tuple[dict[str, Component], dict[str, Component]]:
    mesh = gr.File(label="Mesh", file_types=[*MESHES, ".zip"], height=140, elem_id="mesh")
    examples = json.loads((EXAMPLES / "meshes.json").read_text())
    samples = gr.Dataset(
        components=["textbox"],
        samples=[[_said(example)] for example in examples],
        type="index",
        label="Examples",
        elem_id="mesh-examples",
    )
    named = {"mesh": mesh} | _words(examples[0])
    everywhere = gr.Checkbox(
        False, label="Paint everything", info="The whole mesh instead of a part of it."
    )
    named["everywhere"] = everywhere
    everywhere.change(
        lambda whole: gr.Textbox(interactive=not whole),
        everywhere,
        named["edit"],
        show_progress="hidden",
        api_visibility="private",
    )
    named["preset"] = gr.Radio(
        [(name.capitalize(), name) for name in STEPS],
        value=PaintMesh.preset,
        label="Preset",
        info=f"{', '.join(f'{steps:,}' for steps in STEPS.values())} steps.",
    )
    with gr.Row():
        start_button = gr.Button(
            "Paint", variant="primary", elem_id="paint", scale=2, min_width=140
        )
        stop_button = gr.Button("Stop", interactive=False, elem_id="stop-painting", min_width=100)
    named |= more_settings()
    _known_words()
    _fill(samples, examples, named)
    return named, {"start_button": start_button, "stop_button": stop_button}


def _said(example: dict[str, Any]) -> str:
    return f"{example['object'].capitalize()}: {example['style']} {example['edit']}"


def _words(example: dict[str, Any]) -> dict[str, Component]:
    said = {"object": "Object", "edit": "Part to paint", "style": "Style"}
    with gr.Row():
        return {
            name: gr.Textbox(label=label, placeholder=example[name], min_width=120)
            for name, label in said.items()
        }


def _known_words() -> None:
    teacher = mesh_teacher(PaintMesh.teacher)
    if teacher.words is not None:
        with gr.Accordion("Words the teacher knows", open=False):
            gr.Markdown(f"{teacher.about}\n\n{', '.join(teacher.words)}", elem_classes="words")


def _fill(
    samples: gr.Dataset, examples: list[dict[str, Any]], inputs: dict[str, Component]
) -> None:
    """A click on an example fills in its mesh and its words."""
    filled = ("object", "edit", "style", "plural")

    def fill(index: int) -> tuple[Any, ...]:
        example = examples[index]
        said = (example[name] for name in filled)
        return str(EXAMPLES / example["mesh"]), False, *said

    samples.click(
        fill,
        samples,
        [inputs[name] for name in ("mesh", "everywhere", *filled)],
        show_progress="hidden",
        api_visibility="private",
    )


def _outcome() -> dict[str, Component]:
    preview = gr.Image(
        label="Preview, from four sides",
        format="jpeg",
        height=_HEIGHT,
        visible=False,
        interactive=False,
        buttons=[],
        elem_id="painting",
    )
    result = gr.Model3D(label="Painted mesh", height=_HEIGHT, interactive=False, elem_id="painted")
    status = progress_line("painting-status")
    threshold = gr.Slider(
        0.05,
        0.95,
        value=PaintMesh.threshold,
        step=0.05,
        label="Region",
        info="Lower paints more, higher less. Can be moved after the run.",
        elem_id="region",
    )
    with gr.Row():
        files = {
            "glb_file": _download("Mesh (GLB)", "download-glb"),
            "zip_file": _download("Everything (zip)", "download-zip"),
            "turntable_file": _download("Turntable", "download-turntable"),
        }
    layers = gr.Gallery(
        label="Localization and texture",
        columns=2,
        height=260,
        object_fit="contain",
        visible=False,
        interactive=False,
        elem_id="layers",
    )
    metrics = gr.Markdown(label="Metrics", elem_id="painting-metrics")
    shown = {"preview": preview, "result": result, "status": status, "threshold": threshold}
    return shown | files | {"layers": layers, "metrics": metrics}


def _download(text: str, elem_id: str) -> gr.DownloadButton:
    return gr.DownloadButton(text, visible=False, size="md", elem_id=elem_id, min_width=120)


def _wire(inputs: dict[str, Component], outputs: dict[str, Component]) -> None:
    start_button, stop_button = outputs["start_button"], outputs["stop_button"]
    shown = [outputs[f.name] for f in fields(Shown)]
    start_button.click(
        paint,
        [inputs[name] for name in signature(paint).parameters if name != "request"],
        shown,
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=outputs["status"],
        # The line is the worker's: it is shown, and it ends.
        concurrency_limit=None,
    )
    start_button.click(None, js=_SCROLL, api_visibility="private")
    stop_button.click(
        stop,
        outputs["run"],
        stop_button,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    outputs["threshold"].release(
        move,
        [outputs[name] for name in signature(move).parameters],
        shown,
        show_progress="hidden",
        concurrency_limit=1,
        api_visibility="private",
    )
