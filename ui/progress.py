"""A line of text over a thin bar, and two curves: how far a job is, and how it goes.

Knows nothing about jobs.
"""

import math
from collections.abc import Sequence

import gradio as gr

from ui.theme import PAGE
from ui.wording import on_the_page

MOST_POINTS = 200
"""In a curve: a page that draws thousands of them each step is slow."""
_WIDTH, _HEIGHT = 200, 40


def progress_line(elem_id: str, change_says: str) -> gr.HTML:
    """The empty line, to be placed on the page. change_says: what its first curve shows."""
    template = (PAGE / "progress.html").read_text()
    return gr.HTML(
        "",
        label="Progress",
        html_template=template,
        js_on_load=None,
        elem_id=elem_id,
        elem_classes="status",
        percent="0",
        kind="",
        live="polite",
        change="",
        change_now="",
        change_says=change_says,
        loss="",
        loss_now="",
    )


def progress(
    text: str,
    done: float,
    failed: bool = False,
    curves: Sequence[tuple[float, float]] | None = None,
) -> gr.HTML:
    """A new state of the line: its text, and how much is done, 0 to 1.

    curves: change and loss after each step; None leaves them as they are, none takes them away.
    """
    state = {"percent": f"{100 * done:.1f}", "kind": "failed" if failed else ""}
    # Read out at every step, it would leave no time to hear anything else.
    state["live"] = "off" if 0 < done < 1 else "polite"
    if curves is not None:
        for k, name in enumerate(("change", "loss")):
            values = [value[k] for value in curves]
            now = f"{values[-1]:.3g}" if values else ""
            state |= {name: polyline(values), f"{name}_now": now}
    return gr.HTML(on_the_page(text), **state)


def polyline(values: Sequence[float]) -> str:
    """A curve from 0 up to the largest value, as the points of an SVG polyline of 200 x 40.

    Of more than 200 values the last and evenly spaced others are taken.
    """
    stride = math.ceil(len(values) / MOST_POINTS) or 1
    first = (len(values) - 1) % stride
    chosen = values[first::stride]
    if len(chosen) < 2:
        return ""
    most = max(chosen) or 1.0
    step = _WIDTH / (len(chosen) - 1)
    return " ".join(
        f"{k * step:.1f},{_HEIGHT - 1 - (_HEIGHT - 2) * value / most:.1f}"
        for k, value in enumerate(chosen)
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: "4 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
