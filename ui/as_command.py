"""What a tab asks for, or a run was made with, as a command line.

Knows nothing about what the settings mean.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.runs import history
from pipelines.runs.history import Job
from ui.folds import fold
from ui.visitors import is_local
from ui.wording import said_on_the_page

_COPY = """() => {
    document.querySelector('#%s textarea').select();
    document.execCommand('copy');
}"""
"""The clipboard's newer interface is not there on a page that came by plain http."""
Command = tuple[gr.Button, gr.Textbox]
"""A button that writes a command line, and where it writes it."""
_QUIET = {"show_progress": "hidden", "api_visibility": "private"}


def command_box(label: str, elem_id: str, **look: Any) -> gr.Textbox:
    """Where a command line is shown."""
    return gr.Textbox(
        label=label,
        lines=3,
        max_lines=12,
        # So that it can be reached and selected; gradio's own copy button would take its label.
        interactive=True,
        elem_id=elem_id,
        **look,
    )


def copies(button: gr.Button, box: gr.Textbox) -> None:
    """Let a button copy what a box holds."""
    button.click(None, js=_COPY % box.elem_id, api_visibility="private")


def command_fold(elem_id: str) -> Command:
    """Fold up a command line, below the settings it is made from."""
    with fold("Command line", "what runs these settings without the page"):
        box = command_box("The command", elem_id)
        with gr.Row():
            write = gr.Button("Write it out", size="md", elem_id=f"{elem_id}-write")
            copy = gr.Button("Copy", size="md", elem_id=f"{elem_id}-copy")
    copies(copy, box)
    return write, box


def wire_command(
    command: Command,
    job_of: Callable[..., Job],
    inputs: Mapping[str, Component],
) -> None:
    """Fill a `command_fold` when asked to, and empty it when what is asked for changes."""
    write, box = command
    asked = [inputs[name] for name in signature(job_of).parameters]

    def written(request: gr.Request, *values: Any) -> str:
        with said_on_the_page():
            return history.command_line(to_copy(job_of(*values), is_local(request)))

    # A brushed mask is written for it, which may take a moment.
    write.click(written, asked, box, api_visibility="private")
    changes = [component.change for component in asked if hasattr(component, "change")]
    gr.on(changes, None, None, box, js="() => ''", **_QUIET)


def to_copy(job: Job, by_path: bool) -> Job:
    """The job as a command says it. by_path: whether to say where its files are."""
    here = Path.cwd()
    paths = {f.name: getattr(job, f.name) for f in fields(job)}
    paths = {name: path for name, path in paths.items() if isinstance(path, Path)}
    shown = {
        name: path.relative_to(here)
        if by_path and path.is_relative_to(here)
        else path
        if by_path
        else Path(path.name)
        for name, path in paths.items()
    }
    return replace(job, **shown)
