"""Names for screen readers where gradio's own do not tell one control from another.

Knows nothing about which controls there are.
"""

import gradio as gr

from ui.theme import PAGE


def names() -> None:
    """Name the controls of the page, and those that come later."""
    gr.HTML("", js_on_load=(PAGE / "names.js").read_text(), elem_classes="absent")
