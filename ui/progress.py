"""A line of text over a thin bar: how far a job is.

Knows nothing about jobs.
"""

import gradio as gr

from ui.theme import PAGE


def progress_line(elem_id: str) -> gr.HTML:
    """The empty line, to be placed on the page."""
    template = (PAGE / "progress.html").read_text()
    return gr.HTML(
        "",
        label="Progress",
        html_template=template,
        elem_id=elem_id,
        elem_classes="status",
        done=0.0,
        kind="idle",
    )


def progress(text: str, done: float, failed: bool = False) -> gr.HTML:
    """A new state of the line: its text, and how much is done, 0 to 1."""
    return gr.HTML(text, done=done, kind="failed" if failed else "")


def duration(seconds: float) -> str:
    """Seconds as people say them: "4 s", "3 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
