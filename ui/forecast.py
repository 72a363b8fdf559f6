"""What a run will take, said before it begins: as earlier runs here took, or else the examples.

Knows nothing about how runs work.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.bounds import check_steps
from pipelines.clip.change import working_size
from pipelines.clip.checks import check_side
from pipelines.errors import InputError
from pipelines.estimate import Estimate, estimate
from pipelines.media import facts
from pipelines.media.part import MAX_FRAMES, check_cut
from pipelines.mesh import STEPS as MESH_STEPS
from pipelines.teachers.catalog import video_teacher
from pipelines.video import STEPS
from ui.examples import EXAMPLES
from ui.folders import base_folder
from ui.progress import duration
from ui.video_mask_actions import cut_of
from ui.wording import on_the_page

_SHOWN = ("h264", "vp8", "vp9", "av1")
"""Codecs of clips that browsers show."""
_UNSEEN = "Your browser may not show this clip; it can be edited all the same."


def forecast_line(elem_id: str) -> gr.Markdown:
    """The empty line, to be placed on the page."""
    return gr.Markdown("", elem_id=elem_id, elem_classes="forecast")


def wire_forecast(
    line: gr.Markdown,
    says: Callable[..., str],
    inputs: Mapping[str, Component],
    *others: Component,
) -> None:
    """Let the line say what `says` does of the inputs, again whenever one of them or of the others
    changes."""
    asked = [inputs[name] for name in signature(says).parameters]
    gr.on(
        [component.change for component in (*asked, *others)],
        says,
        asked,
        line,
        queue=False,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )


def forecast_video(
    clip: str | None,
    teacher: str,
    compile: bool,
    preset: str,
    steps: int | None,
    side: int | None,
    start: float | None,
    end: float | None,
    every: int | None,
) -> str:
    """How long the part is, and what its edit will take, or why it cannot be edited like that.

    "" where there is none.
    """
    if not clip:
        return ""
    cut, steps = cut_of(start, end, every), steps or STEPS[preset]
    try:
        side = side or video_teacher(teacher).side
        check_steps(steps, "make no edit")
        check_side(side)
        check_cut(cut)
        file = facts(clip)
    except InputError as error:
        return on_the_page(str(error))
    frames = file.frames(cut)
    if frames > MAX_FRAMES:
        return (
            f"{frames} frames are more than the {MAX_FRAMES} that are edited at once. "
            'Open "Part of the clip": take a piece, or every n-th frame.'
        )
    if frames < 2:
        return "There are no two frames in this part of the clip. Choose another part."
    h, w = working_size(file.size, side)
    asked = ("video", teacher, steps, float(frames * h * w), compile)
    said = f"{frames} frames. {_said(*asked)}"
    return said if file.codec in _SHOWN else f"{said} {_UNSEEN}"


def forecast_mesh(teacher: str, compile: bool, preset: str, steps: int | None, views: int) -> str:
    """What a painting will take, or why none is done like that."""
    steps = steps or MESH_STEPS[preset]
    try:
        check_steps(steps, "paint nothing")
    except InputError as error:
        return on_the_page(str(error))
    return _said("mesh", teacher, steps, float(views or 1), compile)


def _said(*asked: Any) -> str:
    """What is to be expected of what `estimate` is asked."""
    if found := estimate(base_folder(), *asked):
        return f"{_about(found)}."
    if found := estimate(EXAMPLES, *asked):
        return f"{_about(found)} where the examples were made. Nothing like it has run here yet."
    return "No estimate yet: nothing like it has run on this machine."


def _about(found: Estimate) -> str:
    return f"About {duration(found.seconds)} and {found.memory_mb / 1000:.1f} GB of memory"
