"""The keyboard: Ctrl-Enter presses a tab's start button, Escape its stop button.

Knows nothing about what they do.
"""

import gradio as gr

from ui.theme import PAGE


def keys(start: str, stop: str) -> None:
    """Listen while the tab is on the page. start, stop: the buttons' ids."""
    gr.HTML(
        "",
        html_template='<p class="keys">Ctrl+Enter starts. Escape stops, but not in a field.</p>',
        js_on_load=(PAGE / "keys.js").read_text(),
        start=start,
        stop=stop,
    )
