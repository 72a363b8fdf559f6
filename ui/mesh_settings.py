"""The mesh tab's "More settings": every part of the run, the mask and the method, a sentence each.

Defaults are those of `PaintMesh` and `Painting`. Knows nothing about running a painting.
"""

from dataclasses import fields

import gradio as gr
from gradio.components import Component

from pipelines.mesh import PaintMesh
from pipelines.painting import Painting

_DEFAULT = {f.name: f.default for f in (*fields(PaintMesh), *fields(Painting))}


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
    plural = gr.Checkbox(
        _DEFAULT["plural"],
        label="The part is a plural",
        info='Such as "legs": prompts then give it no article.',
    )
    with gr.Row():
        return {
            "plural": plural,
            "steps": _number(0, "Steps", "0 takes the preset's."),
            "seed": gr.Number(
                _DEFAULT["seed"], label="Seed", info="The same seed repeats the run.", precision=0
            ),
            "resolution": _number(
                _DEFAULT["resolution"],
                "Texture side",
                "Texels, where the mesh brings no larger texture.",
            ),
            "max_faces": _number(
                0, "Simplify to faces", "0 keeps the mesh; else its UVs and materials are lost."
            ),
        }


def _mask() -> dict[str, Component]:
    gr.Markdown(
        "Where the edit may happen: white may change, black stays exactly as it is. "
        "Give a picture in the mesh's UVs, or one drawn on a view of the mesh."
    )
    mask = gr.File(label="Mask", file_types=["image"], height=120)
    replaces = gr.Checkbox(
        _DEFAULT["mask_replaces"],
        label="The mask is the region",
        info="Instead of bounding the one that is found.",
    )
    on_view = gr.Checkbox(False, label="Drawn on a view", info="Instead of in the mesh's UVs.")
    with gr.Row():
        return {
            "mask": mask,
            "mask_replaces": replaces,
            "mask_on_view": on_view,
            "mask_around": gr.Number(
                0, label="Around", info="Degrees around the mesh from its front.", min_width=140
            ),
            "mask_above": gr.Number(
                0, label="Above", info="Degrees above the mesh.", min_width=140
            ),
        }


def _method() -> dict[str, Component]:
    kept = gr.Radio(
        [("Hash grid", "hash"), ("Fourier network", "fourier"), ("Texture", "texture")],
        value=_DEFAULT["field"],
        label="Colours are kept in",
        info="A hash grid is fast, the Fourier network is the paper's.",
    )
    cascade = gr.Radio(
        [("Jointly", "joint"), ("In phases", "phases")],
        value=_DEFAULT["cascade"],
        label="The two models judge",
        info="In phases, the second follows on the first one's frozen result.",
    )
    with gr.Row():
        rate = gr.Number(
            _DEFAULT["rate"], label="Learning rate", info="Of Adam.", minimum=0, step=0.001
        )
        views = _slider("views", 1, 16, "Views", "Seen in each step.", 1)
    return {
        "field": kept,
        "cascade": cascade,
        "rate": rate,
        "views": views,
        "guidance_1": _slider(
            "guidance_1", 1, 50, "Guidance, first model", "How hard it follows the words.", 0.5
        ),
        "guidance_2": _slider(
            "guidance_2", 1, 50, "Guidance, second model", "The same for the finer model.", 0.5
        ),
        "high": _slider(
            "high", 1, 999, "Highest noise level, first step", "Higher finds larger shapes.", 1
        ),
        "high_end": _slider(
            "high_end", 1, 999, "Highest noise level, last step", "Lower settles finer detail.", 1
        ),
        "low": _slider("low", 1, 999, "Lowest noise level", "The same for all steps.", 1),
        "detail": _slider(
            "detail", 0, 2, "Detail", "Weight of the second model at the end; 0 leaves it out."
        ),
        "detail_from": _slider(
            "detail_from", 0, 1, "Detail from", "Share of the run that the first does alone."
        ),
        "background": gr.Checkbox(
            _DEFAULT["background"],
            label="Judge the background too",
            info="It holds the region to its part.",
        ),
    }


def _number(value: int, label: str, info: str) -> gr.Number:
    # The page turns an empty number into 0, so 0 is what "not given" looks like here.
    return gr.Number(value, label=label, info=info, precision=0, minimum=0, min_width=140)


def _slider(
    name: str, low: float, high: float, label: str, info: str, step: float = 0.05
) -> gr.Slider:
    return gr.Slider(low, high, value=_DEFAULT[name], step=step, label=label, info=info)
