"""A line of text over a thin bar, and two curves: how far a job is, and how it goes.

Knows nothing about jobs.
"""

import gradio as gr

from pipelines.runs.curve import Curve
from ui.theme import PAGE
from ui.wording import on_the_page

_WIDTH, _HEIGHT = 200, 40


def progress_line(elem_id: str, change_says: str) -> gr.HTML:
    """The empty line, to be placed on the page. change_says: what its first curve shows."""
    # Not a property: in a tab that was not open yet, gradio forgets those that a change leaves out.
    template = (PAGE / "progress.html").read_text().replace("CHANGE", change_says)
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
        loss="",
        loss_now="",
    )


def progress(
    text: str,
    done: float,
    curve: Curve | None = None,
    failed: bool = False,
    ended: bool = False,
) -> gr.HTML:
    """A new state of the line: its text, and how much is done, 0 to 1.

    curve: how it went; None leaves what is there, an empty one takes it away.
    ended: whether it stays so, however much is done.
    """
    state = {"percent": f"{100 * done:.1f}", "kind": "failed" if failed else ""}
    # Read out at every step, it would leave no time to hear anything else.
    state["live"] = "off" if 0 < done < 1 and not ended else "polite"
    if curve is not None:
        for name in ("change", "loss"):
            now = f"{getattr(curve[-1], name):.3g}" if curve else ""
            state |= {name: polyline(curve, name), f"{name}_now": now}
    return gr.HTML(on_the_page(text), **state)


def polyline(curve: Curve, name: str) -> str:
    """One of its numbers, from 0 up to the largest, as the points of an SVG polyline of 200 x 40.

    Nothing where there are fewer than two points.
    """
    if len(curve) < 2:
        return ""
    most = max(getattr(point, name) for point in curve) or 1.0
    first, span = curve[0].step, curve[-1].step - curve[0].step
    return " ".join(
        f"{_WIDTH * (point.step - first) / span:.1f},"
        f"{_HEIGHT - 1 - (_HEIGHT - 2) * getattr(point, name) / most:.1f}"
        for point in curve
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: "4 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
