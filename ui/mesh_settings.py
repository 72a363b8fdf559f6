"""The mesh tab's folds, a sentence each: how long, how fine, how the cascade is asked.

Defaults are those of `PaintMesh` and `Painting`. Knows nothing about running a painting.
"""

from dataclasses import fields
from typing import Any, get_args

import gradio as gr
from gradio.components import Component

from pipelines.geometry import Up
from pipelines.mesh import STEPS, PaintMesh
from pipelines.teachers.catalog import mesh_teacher
from pipelines.teachers.painting import Painting
from ui.folds import fold
from ui.steps import steps_and_seed
from ui.wording import said_on_the_page

_DEFAULT = {f.name: f.default for f in (*fields(PaintMesh), *fields(Painting))}


def run_fold() -> dict[str, Component]:
    """How long the painting works, how much of the mesh it is for, and its seed."""
    with fold("More settings", "how long it works, on how much, and its seed."):
        preset = gr.Radio(
            [(name.capitalize(), name) for name in STEPS],
            value=PaintMesh.preset,
            label="Preset",
            info=f"{', '.join(f'{steps:,}' for steps in STEPS.values())} steps.",
        )
        with gr.Row():
            everywhere = gr.Checkbox(
                False,
                label="Paint everything",
                info="The whole mesh instead of a part of it.",
                min_width=160,
            )
            plural = gr.Checkbox(
                _DEFAULT["plural"],
                label="The part is a plural",
                info='Such as "legs": prompts then give it no article.',
                min_width=160,
            )
        numbers = steps_and_seed(PaintMesh.seed)
    return {
        "preset": preset,
        "everywhere": everywhere,
        "plural": plural,
        **numbers,
    }


def texture_fold() -> dict[str, Component]:
    """How large the texture is, whether the mesh is simplified first, and which way is up."""
    with fold("Texture and faces", "how fine they are, and which way is up."):
        with gr.Row():
            resolution = _number(
                _DEFAULT["resolution"],
                "Texture side",
                "Texels, where the mesh brings no larger texture.",
            )
            max_faces = _number(
                0, "Simplify to faces", "0 keeps the mesh; else its UVs and materials are lost."
            )
        up = gr.Radio(
            [(axis.upper(), axis) for axis in get_args(Up)],
            value=_DEFAULT["up"],
            label="Up",
            info="The axis of the file that points up: Z in what comes from CAD and most scans.",
        )
    return {"resolution": resolution, "max_faces": max_faces, "up": up}


def follow_teacher(inputs: dict[str, Component]) -> None:
    """Choosing a teacher sets how it is asked; a run that is opened again keeps its own."""
    names = [f.name for f in fields(Painting)]

    def brought(teacher: str) -> list[Any]:
        with said_on_the_page():
            painting = mesh_teacher(teacher).painting
        return [getattr(painting, name) for name in names]

    inputs["teacher"].input(
        brought,
        inputs["teacher"],
        [inputs[name] for name in names],
        show_progress="hidden",
        api_visibility="private",
    )


def method_fold() -> dict[str, Component]:
    """Every part of the method."""
    with fold("Method", "how the cascade is asked, part by part."):
        return _method()


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
            "guidance_1", 1, 100, "Guidance, first model", "How hard it follows the words.", 0.5
        ),
        "guidance_2": _slider(
            "guidance_2", 1, 100, "Guidance, second model", "The same for the finer model.", 0.5
        ),
        "style_guidance": _slider(
            "style_guidance", 0, 1, "Guidance, colours", "The share of it that colours get."
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
        "crop": _slider("crop", 0.05, 1, "Detail crop", "Share of a view's side the second sees."),
        "background": gr.Checkbox(
            _DEFAULT["background"],
            label="Judge the background too",
            info="It holds the region to its part.",
        ),
        "attached": _slider(
            "attached", 0, 1, "Attached noise", "Share of it that goes with the surface: patterns."
        ),
        "contrast": _slider(
            "contrast", 0, 10, "Contrast", "How far it is told from the style below: patterns.", 0.1
        ),
        "unlike": gr.Textbox(
            _DEFAULT["unlike"],
            label="Unlike",
            info='A style it is not: "red" beside "red dotted". The built-in teacher finds it.',
        ),
    }


def _number(value: int, label: str, info: str) -> gr.Number:
    # The page turns an empty number into 0, so 0 is what "not given" looks like here.
    return gr.Number(value, label=label, info=info, precision=0, min_width=140)


def _slider(
    name: str, low: float, high: float, label: str, info: str, step: float = 0.05
) -> gr.Slider:
    return gr.Slider(low, high, value=_DEFAULT[name], step=step, label=label, info=info)
