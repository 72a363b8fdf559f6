"""Folded parts of a form: a name, and a sentence that says what is in it before it is opened.

Knows nothing about what is in them.
"""

import gradio as gr


def fold(name: str, says: str, elem_id: str | None = None) -> gr.Accordion:
    """A fold, closed; to be filled in a `with`."""
    return gr.Accordion(f"{name}: {says}", open=False, elem_id=elem_id, elem_classes="fold")
