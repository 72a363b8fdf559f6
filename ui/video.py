"""The video tab: what it looks like, and which handler each part calls.

Knows nothing about how an edit runs (`ui.video_run`) or what its settings mean.
"""

from inspect import signature

import gradio as gr
from gradio.components import Component

from pipelines.teachers.catalog import video_teacher, video_teachers
from pipelines.video import EditVideo
from ui.as_command import Command, command_fold, wire_command
from ui.examples import open_on_click
from ui.forecast import forecast_line, forecast_video, wire_forecast
from ui.keys import keys
from ui.preview import preview_box
from ui.progress import progress_line
from ui.running import STOP, wire_run
from ui.teachers import follow_words, teacher_fold, words_line
from ui.video_examples import OPENED, Example, example_row, opened, read_examples
from ui.video_mask import mask_fold
from ui.video_result import Shown
from ui.video_run import edit, job_of
from ui.video_settings import cut_fold, follow_teacher, method_fold, run_fold
from ui.viewer import viewer

_HEIGHT = 256


def video_tab(visitor: gr.BrowserState) -> tuple[dict[str, Component], dict[str, Component]]:
    """Build the tab inside the current context and wire it.

    Returns its inputs by their name in `job_of`, and its outputs by their name in `Shown`.
    """
    examples = read_examples()
    with gr.Row():
        with gr.Column(min_width=320):
            inputs, buttons, samples, line, command = _form(examples)
        with gr.Column(min_width=320, elem_id="outcome", elem_classes="outcome"):
            outputs = _outcome()
    inputs["visitor"] = visitor
    outputs |= buttons | {"run": gr.State(None), "seed": inputs["seed"], "ended_at": gr.State(None)}
    # What runs take is known better when one has ended.
    wire_forecast(line, forecast_video, inputs, outputs["ended_at"])
    asked = [visitor, outputs["run"], *(inputs[name] for name in signature(job_of).parameters)]
    wire_run(edit, asked, outputs, Shown, "outcome")
    wire_command(command, job_of, inputs)
    open_on_click(samples, lambda index: opened(examples[index]), inputs | outputs, OPENED)
    return inputs, outputs


def _form(
    examples: list[Example],
) -> tuple[dict[str, Component], dict[str, Component], gr.Dataset, gr.Markdown, Command]:
    clip = gr.Video(
        label="Clip", sources=["upload"], height=_HEIGHT, loop=True, buttons=[], elem_id="clip"
    )
    samples = example_row(examples)
    with gr.Row():
        words = {
            "source": gr.Textbox(
                label="What it shows", placeholder=examples[0].source, min_width=180
            ),
            "target": gr.Textbox(
                label="What it should show", placeholder=examples[0].target, min_width=180
            ),
        }
    known = words_line(video_teacher, EditVideo.teacher, "known-words")
    with gr.Row():
        start_button = gr.Button("Edit", variant="primary", elem_id="edit", scale=2, min_width=140)
        stop_button = gr.Button(STOP, interactive=False, elem_id="stop", min_width=100)
    buttons = {"start_button": start_button, "stop_button": stop_button}
    line = forecast_line("forecast")
    keys("edit", "stop")
    run = run_fold()
    cut = cut_fold()
    mask = mask_fold(clip, cut)
    inputs = {"clip": clip} | words | run | cut | mask | method_fold()
    inputs |= teacher_fold("edit", video_teachers(), video_teacher, EditVideo)
    follow_teacher(inputs)
    follow_words(known, inputs["teacher"], video_teacher)
    return inputs, buttons, samples, line, command_fold("clip-command")


def _outcome() -> dict[str, Component]:
    preview = preview_box("preview")
    result = viewer("result")
    status = progress_line("status", "How far it has come from the clip")
    with gr.Row():
        result_file = gr.DownloadButton(
            "Clip (MP4)", visible=False, size="md", elem_id="download", min_width=140
        )
        settings_file = gr.DownloadButton(
            "Settings (JSON)", visible=False, size="md", elem_id="settings", min_width=140
        )
    return {
        "preview": preview,
        "result": result,
        "status": status,
        "result_file": result_file,
        "settings_file": settings_file,
        "metrics": gr.Markdown(label="Metrics", elem_id="metrics"),
    }
