"""What became of a run whose page was left while it was under way.

Knows nothing about runs.
"""

import gradio as gr

from ui.theme import PAGE


def left_line(*tabs: tuple[str, str]) -> None:
    """The line, empty where there is nothing to say. tabs: the ids of each one's stop button and of
    its status."""
    gr.HTML(
        "",
        html_template='<p role="status"></p>',
        js_on_load=(PAGE / "left.js").read_text(),
        tabs=list(tabs),
        elem_id="left",
    )
