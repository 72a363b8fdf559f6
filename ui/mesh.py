"""The mesh tab: what it looks like, and which handler each part calls.

Knows nothing about how a painting runs (`ui.mesh_run`) or what its settings mean.
"""

from dataclasses import fields
from inspect import signature

import gradio as gr
from gradio.components import Component

from pipelines.geometry import MESHES
from pipelines.mesh import PaintMesh
from pipelines.teachers.catalog import mesh_teacher, mesh_teachers
from ui.as_command import Command, command_fold, wire_command
from ui.examples import open_on_click
from ui.forecast import forecast_line, forecast_mesh, wire_forecast
from ui.keys import keys
from ui.mesh_examples import OPENED, Example, example_row, opened, read_examples
from ui.mesh_mask import mask_fold
from ui.mesh_region import move
from ui.mesh_result import Shown
from ui.mesh_run import job_of, paint
from ui.mesh_seen import wire_seen
from ui.mesh_settings import follow_teacher, method_fold, run_fold, texture_fold
from ui.preview import preview_box
from ui.progress import progress_line
from ui.running import STOP, wire_run
from ui.teachers import follow_words, teacher_fold, words_line
from ui.viewer import viewer

_HEIGHT = 400
_WHEN_IT_RESTS = """() => {
    clearTimeout(window.regionRests);
    const move = () => document.getElementById('move-region').click();
    window.regionRests = setTimeout(move, 400);
}"""


def mesh_tab(visitor: gr.BrowserState) -> tuple[dict[str, Component], dict[str, Component]]:
    """Build the tab's blocks inside the current context and wire them.

    Returns its inputs by their name in `job_of`, and its outputs by their name in `Shown`.
    """
    examples = read_examples()
    with gr.Row():
        with gr.Column(min_width=320):
            inputs, buttons, samples, line, command = _form(examples)
        with gr.Column(min_width=320, elem_id="painted-outcome", elem_classes="outcome"):
            outputs = _outcome()
    inputs["visitor"] = visitor
    inputs["threshold"] = outputs["threshold"]
    outputs |= buttons | {"run": gr.State(None), "seed": inputs["seed"], "ended_at": gr.State(None)}
    # What runs take is known better when one has ended.
    wire_forecast(line, forecast_mesh, inputs, inputs["mesh"], outputs["ended_at"])
    asked = [visitor, outputs["run"], *(inputs[name] for name in signature(job_of).parameters)]
    wire_run(paint, asked, outputs, Shown, "painted-outcome")
    wire_seen(inputs["mesh"], outputs)
    _wire_region(inputs, outputs)
    wire_command(command, job_of, inputs)
    open_on_click(samples, lambda index: opened(examples[index]), inputs | outputs, OPENED)
    return inputs, outputs


def _form(
    examples: list[Example],
) -> tuple[dict[str, Component], dict[str, Component], gr.Dataset, gr.Markdown, Command]:
    mesh = gr.File(label="Mesh", file_types=[*MESHES, ".zip"], height=140, elem_id="mesh")
    samples = example_row(examples)
    first = examples[0]
    with gr.Row():
        words = {
            "object": gr.Textbox(label="Object", placeholder=first.object, min_width=120),
            "edit": gr.Textbox(label="Part to paint", placeholder=first.edit, min_width=120),
            "style": gr.Textbox(label="Style", placeholder=first.style, min_width=120),
        }
    known = words_line(mesh_teacher, PaintMesh.teacher, "known-mesh-words")
    with gr.Row():
        start_button = gr.Button(
            "Paint", variant="primary", elem_id="paint", scale=2, min_width=140
        )
        stop_button = gr.Button(STOP, interactive=False, elem_id="stop-painting", min_width=100)
    buttons = {"start_button": start_button, "stop_button": stop_button}
    line = forecast_line("painting-forecast")
    keys("paint", "stop-painting")
    run = run_fold()
    run["everywhere"].change(
        lambda whole: gr.Textbox(interactive=not whole),
        run["everywhere"],
        words["edit"],
        show_progress="hidden",
        api_visibility="private",
    )
    # The texture decides how a mask is kept, but comes below it on the page.
    masking = gr.Column()
    texture = texture_fold()
    with masking:
        mask = mask_fold(mesh, texture)
    inputs = {"mesh": mesh} | words | run | mask | texture | method_fold()
    inputs |= teacher_fold("painting", mesh_teachers(), mesh_teacher, PaintMesh)
    follow_teacher(inputs)
    follow_words(known, inputs["teacher"], mesh_teacher)
    return inputs, buttons, samples, line, command_fold("mesh-command")


def _outcome() -> dict[str, Component]:
    preview = preview_box("painting")
    result = gr.Model3D(
        label="The mesh in 3D", height=_HEIGHT, interactive=False, elem_id="painted"
    )
    status = progress_line("painting-status", "How far it has come from gray")
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
    comparison = viewer("turned", visible=False)
    layers = gr.Gallery(
        label="Localization and texture",
        columns=2,
        object_fit="contain",
        visible=False,
        interactive=False,
        elem_id="layers",
    )
    metrics = gr.Markdown(label="Metrics", elem_id="painting-metrics")
    shown = {"preview": preview, "result": result, "comparison": comparison, "status": status}
    return shown | {"threshold": threshold, "layers": layers, "metrics": metrics} | files


def _download(text: str, elem_id: str) -> gr.DownloadButton:
    return gr.DownloadButton(text, visible=False, size="md", elem_id=elem_id, min_width=120)


def _wire_region(inputs: dict[str, Component], outputs: dict[str, Component]) -> None:
    # Dragged, typed or by its keys: when it rests, and as it stands then.
    gr.on(
        [outputs["threshold"].input, outputs["threshold"].release],
        None,
        js=_WHEN_IT_RESTS,
        api_visibility="private",
    )
    gr.Button("Move the region", visible="hidden", elem_id="move-region").click(
        move,
        [inputs["visitor"], *(outputs[name] for name in ("run", "threshold", "result"))],
        [outputs[f.name] for f in fields(Shown)],
        show_progress="hidden",
        concurrency_limit=1,
        trigger_mode="always_last",
        api_visibility="private",
    )
