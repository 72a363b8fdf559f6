"""The video tab's folds, a sentence each: how long, which part, how the teachers are asked.

Defaults are those of `EditVideo`, `Cut` and the teacher. Knows nothing about running an edit.
"""

from dataclasses import asdict, fields
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.media import Cut
from pipelines.video import STEPS, EditVideo, usual
from ui.folds import fold
from ui.steps import steps_and_seed
from ui.wording import said_on_the_page


def _of(teacher: str) -> dict[str, Any]:
    """The settings that a teacher brings, those of the method beside the others."""
    own = usual(teacher)
    return own | asdict(own.pop("method"))


_DEFAULT = {f.name: f.default for f in (*fields(EditVideo), *fields(Cut))} | _of(EditVideo.teacher)


def run_fold() -> dict[str, Component]:
    """How long the edit works, how far it goes, and its seed."""
    with fold("More settings", "how long it works, how far it goes, and its seed."):
        preset = gr.Radio(
            [(name.capitalize(), name) for name in STEPS],
            value=EditVideo.preset,
            label="Preset",
            info=f"{', '.join(str(steps) for steps in STEPS.values())} steps.",
        )
        with gr.Row():
            strength = _slider("strength", 0.1, 3, "Strength", "How far each step goes.", 0.1)
            side = gr.Number(
                _DEFAULT["side"],
                label="Working size",
                info="Pixels a side, about; fewer take less memory.",
                precision=0,
                min_width=140,
            )
        numbers = steps_and_seed(EditVideo.seed)
        with gr.Row():
            high = _slider(
                "high",
                1,
                999,
                "First noise level",
                "Higher changes shapes, lower keeps them.",
                1,
            )
            low = _slider("low", 1, 999, "Last noise level", "Lower settles finer detail.", 1)
    return {
        "preset": preset,
        "strength": strength,
        **numbers,
        "high": high,
        "low": low,
        "side": side,
    }


def cut_fold() -> dict[str, Component]:
    """Which part of the clip is edited."""
    with (
        fold("Part of the clip", "edit a piece of it, or fewer of its frames.", "cut"),
        gr.Row(),
    ):
        return {
            "start": gr.Number(
                _DEFAULT["start"],
                label="Start",
                info="Seconds.",
                step=0.1,
                min_width=120,
            ),
            "end": gr.Number(
                0,
                label="End",
                info="Seconds; 0 is the clip's end.",
                step=0.1,
                min_width=120,
            ),
            "every": gr.Number(
                _DEFAULT["every"],
                label="Every n-th frame",
                info="2 takes every second; it lasts as long.",
                precision=0,
                min_width=120,
            ),
        }


def method_fold() -> dict[str, Component]:
    """Every part of the method."""
    with fold("Method", "how the teachers are asked, part by part."):
        return {
            "guidance_target": _slider(
                "guidance_target",
                1,
                20,
                "Guidance, target",
                "How hard the edit follows its words. Where both are 1, a step costs half.",
            ),
            "guidance_source": _slider(
                "guidance_source",
                1,
                20,
                "Guidance, source",
                "The same for what the clip shows now.",
            ),
            "joint": _slider(
                "joint",
                0,
                2,
                "Joint guidance",
                "How much the image teacher adds; 0 leaves it out.",
            ),
            "fusion": _slider(
                "fusion",
                0,
                1,
                "Attention fusion",
                "How much the edit looks at itself instead of at the source; 1 only at itself.",
            ),
            "smoothing": gr.Radio(
                [("Off", "off"), ("Residual", "residual"), ("Shared noise", "shared")],
                value=_DEFAULT["smoothing"],
                label="Smoothing",
                info="Steadies what changes abruptly from frame to frame.",
            ),
            "smooth_along_flow": gr.Checkbox(
                _DEFAULT["smooth_along_flow"],
                label="Smooth along the motion",
                info="Follows moving things instead of staying at the same pixel.",
            ),
            "mask_k": _slider(
                "mask_k",
                -10,
                10,
                "Smoothing threshold",
                "Higher smooths only the most abrupt changes; -10 smooths everywhere.",
            ),
            "focus": _slider(
                "focus",
                0,
                3,
                "Focus",
                "Holds back weak changes, so that the rest stays; 0 does not.",
            ),
            "anchor": _slider(
                "anchor", 0, 1, "Anchor", "Pulls the result back to the clip; 0 does not."
            ),
            "eta": _slider(
                "eta",
                0,
                1,
                "From DDS to FlowEdit",
                "Flow teachers only; 1 holds on to the clip less.",
            ),
            "ode": gr.Checkbox(
                _DEFAULT["ode"],
                label="Step along the noise levels",
                info="As a sampler does; flow teachers only.",
            ),
            "moves": gr.Number(
                _DEFAULT["moves"],
                label="Moves at most",
                info="More steps than that ask several times before each; 0 moves at every step.",
                precision=0,
            ),
            "steady": _slider(
                "steady",
                1,
                15,
                "Steadied over",
                "Frames along the motion that answers and the change are averaged over; 1 is off. "
                "Where a latent holds 4 frames, answers are from 9 on.",
                2,
            ),
        }


def follow_teacher(inputs: dict[str, Component]) -> None:
    """Choosing a teacher sets what it brings; a run that is opened again keeps its own."""
    names = list(_of(EditVideo.teacher))

    def brought(teacher: str) -> list[Any]:
        with said_on_the_page():
            return [_of(teacher)[name] for name in names]

    inputs["teacher"].input(
        brought,
        inputs["teacher"],
        [inputs[name] for name in names],
        show_progress="hidden",
        api_visibility="private",
    )


def _slider(
    name: str, low: float, high: float, label: str, info: str, step: float = 0.05
) -> gr.Slider:
    return gr.Slider(
        low, high, value=_DEFAULT[name], step=step, label=label, info=info, min_width=160
    )
