"""The video tab's "More settings": every part of the method and the mask, a sentence each.

Defaults are those of `EditVideo` and `Method`. Knows nothing about running an edit.
"""

from dataclasses import fields

import gradio as gr
from gradio.components import Component

from pipelines.video import EditVideo, Method

_DEFAULT = {f.name: f.default for f in (*fields(EditVideo), *fields(Method))}


def more_settings() -> dict[str, Component]:
    """Build the accordion; its inputs by the name of the setting."""
    with gr.Accordion("More settings", open=False):
        run = _run()
        with gr.Accordion("Mask", open=False):
            mask = _mask()
        with gr.Accordion("Method", open=False):
            method = _method()
    return run | mask | method


def _run() -> dict[str, Component]:
    with gr.Row():
        return {
            "steps": gr.Number(
                0, label="Steps", info="0 takes the preset's.", precision=0, minimum=0
            ),
            "seed": gr.Number(
                _DEFAULT["seed"], label="Seed", info="The same seed repeats the run.", precision=0
            ),
            "high": _slider(
                "high", 1, 999, "First noise level", "Higher changes shapes, lower keeps them.", 1
            ),
            "low": _slider("low", 1, 999, "Last noise level", "Lower settles finer detail.", 1),
        }


def _mask() -> dict[str, Component]:
    gr.Markdown(
        "White may change, black stays exactly as it is. "
        "Give a picture drawn on one frame, which is carried along the motion, or a clip of masks."
    )
    mask = gr.File(label="Mask", file_types=["image", "video"], height=120)
    with gr.Row():
        return {
            "mask": mask,
            "mask_frame": gr.Number(
                _DEFAULT["mask_frame"],
                label="Frame",
                info="Counted from 0.",
                precision=0,
                minimum=0,
                min_width=120,
            ),
            "mask_grow": gr.Number(
                _DEFAULT["mask_grow"], label="Grow", info="Pixels.", min_width=120
            ),
            "mask_feather": gr.Number(
                _DEFAULT["mask_feather"],
                label="Feather",
                info="Soft edge, pixels.",
                minimum=0,
                min_width=120,
            ),
        }


def _method() -> dict[str, Component]:
    return {
        "guidance_target": _slider(
            "guidance_target", 1, 20, "Guidance, target", "How hard the edit follows its words."
        ),
        "guidance_source": _slider(
            "guidance_source", 1, 20, "Guidance, source", "The same for what the clip shows now."
        ),
        "joint": _slider(
            "joint", 0, 2, "Joint guidance", "How much the image teacher adds; 0 leaves it out."
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
            "mask_k", 0, 3, "Smoothing threshold", "Higher smooths only the most abrupt changes."
        ),
        "focus": _slider(
            "focus", 0, 3, "Focus", "Holds back weak changes, so that the rest stays; 0 does not."
        ),
        "anchor": _slider(
            "anchor", 0, 1, "Anchor", "Pulls the result back to the clip; 0 does not."
        ),
    }


def _slider(
    name: str, low: float, high: float, label: str, info: str, step: float = 0.05
) -> gr.Slider:
    return gr.Slider(low, high, value=_DEFAULT[name], step=step, label=label, info=info)
