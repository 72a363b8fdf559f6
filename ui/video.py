"""The video tab: what it looks like, and which handler each part calls.

Knows nothing about how an edit runs (`ui.video_run`) or what its settings mean.
"""

import json
from dataclasses import fields
from inspect import signature

import gradio as gr
from gradio.components import Component

from pipelines.catalog import ASSETS, video_teacher
from pipelines.video import STEPS, EditVideo
from ui.progress import progress_line
from ui.running import stop
from ui.video_run import Shown, edit
from ui.video_settings import more_settings

EXAMPLES = ASSETS / "examples"
_HEIGHT = 256
_SCROLL = "() => document.getElementById('outcome').scrollIntoView({block: 'nearest'})"
"""On a narrow page the result lies below the form."""


def video_tab() -> None:
    """Build the tab's blocks inside the current context and wire them."""
    with gr.Row():
        with gr.Column(min_width=320):
            inputs, buttons = _form()
        with gr.Column(min_width=320, elem_id="outcome", elem_classes="outcome"):
            outputs = _outcome()
    _wire(inputs, buttons | outputs | {"run": gr.State(None)})


def _form() -> tuple[dict[str, Component], dict[str, Component]]:
    teacher = video_teacher(EditVideo.teacher)
    clip = gr.Video(label="Clip", sources=["upload"], height=_HEIGHT, loop=True, elem_id="clip")
    examples, samples = _examples()
    source = gr.Textbox(label="What it shows", placeholder=examples[0]["source"])
    target = gr.Textbox(label="What it should show", placeholder=examples[0]["target"])
    _fill(samples, examples, [clip, source, target])
    with gr.Row():
        preset = gr.Radio(
            [(name.capitalize(), name) for name in STEPS],
            value=EditVideo.preset,
            label="Preset",
            info=f"{', '.join(str(steps) for steps in STEPS.values())} steps.",
            scale=3,
            min_width=300,
        )
        strength = gr.Slider(
            0.1,
            3,
            value=EditVideo.strength,
            step=0.1,
            label="Strength",
            scale=2,
            min_width=180,
        )
    with gr.Row():
        start_button = gr.Button("Edit", variant="primary", elem_id="edit", scale=2, min_width=140)
        stop_button = gr.Button("Stop", interactive=False, elem_id="stop", min_width=100)
    more = more_settings()
    if teacher.words is not None:
        with gr.Accordion("Words the teacher knows", open=False):
            gr.Markdown(f"{teacher.about}\n\n{', '.join(teacher.words)}", elem_classes="words")
    named = {"clip": clip, "source": source, "target": target}
    buttons = {"start_button": start_button, "stop_button": stop_button}
    return named | {"preset": preset, "strength": strength} | more, buttons


def _examples() -> tuple[list[dict[str, str]], gr.Dataset]:
    examples = json.loads((EXAMPLES / "examples.json").read_text())
    samples = gr.Dataset(
        components=["video"],
        samples=[[str(EXAMPLES / example["clip"])] for example in examples],
        type="index",
        label="Examples",
        elem_id="examples",
    )
    return examples, samples


def _fill(samples: gr.Dataset, examples: list[dict[str, str]], inputs: list[Component]) -> None:
    """A click on an example fills in its clip and both prompts."""

    def fill(index: int) -> tuple[str, str, str]:
        example = examples[index]
        return str(EXAMPLES / example["clip"]), example["source"], example["target"]

    samples.click(fill, samples, inputs, show_progress="hidden", api_visibility="private")


def _outcome() -> dict[str, Component]:
    preview = gr.Image(
        label="Preview",
        format="jpeg",
        height=_HEIGHT,
        visible=False,
        interactive=False,
        buttons=[],
        elem_id="preview",
    )
    result = gr.Video(
        label="Result",
        height=_HEIGHT,
        interactive=False,
        autoplay=True,
        loop=True,
        elem_id="result",
    )
    status = progress_line("status")
    with gr.Row():
        result_file = gr.DownloadButton(
            "Download clip", visible=False, elem_id="download", min_width=140
        )
        settings_file = gr.DownloadButton(
            "Download settings", visible=False, elem_id="settings", min_width=140
        )
    return {
        "preview": preview,
        "result": result,
        "status": status,
        "result_file": result_file,
        "settings_file": settings_file,
        "metrics": gr.Markdown(label="Metrics", elem_id="metrics"),
    }


def _wire(inputs: dict[str, Component], outputs: dict[str, Component]) -> None:
    start_button, stop_button = outputs["start_button"], outputs["stop_button"]
    start_button.click(
        edit,
        [inputs[name] for name in signature(edit).parameters],
        [outputs[f.name] for f in fields(Shown)],
        api_name="edit_video",
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
