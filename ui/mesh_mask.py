"""A mask by hand: turn the mesh to a view, brush on it, go to the next; the views add up.

Knows nothing about what its parts do (`ui.mesh_mask_actions`).
"""

import gradio as gr
from gradio.components import Component

from ui.brush import brush_box, no_brush
from ui.folds import fold
from ui.mesh_mask_actions import NOTHING, begin_view, change_strokes, no_mask, show_mask
from ui.theme import PAGE

ASKED = ("mask", "mask_on_view", "mask_around", "mask_above", "brushed", "drawn", "takes")
"""The inputs that together say what the mask is."""


def mask_fold(mesh: gr.File, settings: dict[str, Component]) -> dict[str, Component]:
    """Build the fold and wire it; its inputs by the name of the setting.

    settings: `max_faces` and `resolution`, which decide how a mesh is unwrapped, and `up`, which
    turns it.
    """
    with fold("Mask", "brush where the edit may happen, view after view.", "mesh-masking"):
        where = gr.Radio(
            [
                ("Where the words say", "words"),
                ("There, but only inside the mask", "within"),
                ("Exactly the mask", "mask"),
            ],
            value="words",
            label="Where the edit happens",
        )
        with gr.Row():
            around = _angle("Around", "Degrees from its front.", 0, 355)
            above = _angle("Above", "Degrees; below 0 is from below.", -90, 90)
        with gr.Row():
            begin = gr.Button("Brush on this view", elem_id="brush-view", size="md", scale=3)
            show = gr.Button("Show the mask", elem_id="show-mesh-mask", size="md", scale=2)
            clear = gr.Button("Clear", elem_id="clear-mesh-mask", size="md", min_width=60)
        takes = gr.Radio(
            [("add to the mask", False), ("take away from it", True)],
            value=False,
            label="Strokes",
        )
        brushed = brush_box("mesh-brush", "Brush on the view")
        # Gradio's own picture is a button without a name.
        shown = gr.HTML(
            NOTHING,
            label="The mask from four sides",
            html_template=(PAGE / "sides.html").read_text(),
            js_on_load=None,
            apply_default_css=False,
            visible=False,
            elem_id="mesh-mask-shown",
        )
        mask = gr.File(
            label="Or a file: a picture in the UVs, or a zip of several",
            file_types=["image", ".zip"],
            height=160,
            elem_id="mesh-mask-file",
        )
        on_view = gr.Checkbox(
            False,
            label="The file is drawn on the view above",
            info="A square picture, not one in the mesh's UVs. Set its view before you brush.",
        )
    inputs = {
        "where": where,
        "mask": mask,
        "mask_on_view": on_view,
        "mask_around": around,
        "mask_above": above,
        "brushed": brushed,
        "drawn": gr.State(None),
        "takes": takes,
    }
    asked = [mesh, *(settings[name] for name in ("max_faces", "resolution", "up"))]
    _wire(inputs, asked, begin, show, clear, shown)
    return inputs


def _angle(label: str, info: str, low: int, high: int) -> gr.Slider:
    return gr.Slider(low, high, value=0, step=5, label=label, info=info, min_width=140)


def _wire(
    inputs: dict[str, Component],
    mesh: list[Component],
    begin: gr.Button,
    show: gr.Button,
    clear: gr.Button,
    shown: gr.HTML,
) -> None:
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    asked = [*mesh, *(inputs[name] for name in ASKED)]
    found = [inputs[name] for name in ("where", "mask", "mask_on_view", "brushed", "drawn")]
    begin.click(
        begin_view,
        [*asked, inputs["where"]],
        [*found, shown],
        concurrency_limit=2,
        api_visibility="private",
    )
    inputs["takes"].input(
        change_strokes,
        [*asked, inputs["where"]],
        [*found, shown],
        concurrency_limit=2,
        api_visibility="private",
    )
    show.click(
        show_mask,
        asked,
        shown,
        # What is shown is not there yet, and a button shows no progress.
        show_progress="minimal",
        show_progress_on=inputs["takes"],
        concurrency_limit=2,
        api_visibility="private",
    )
    gone = gr.HTML(NOTHING, visible=False)
    gr.on(
        # A mask that was brushed is kept in the UVs of a mesh with so many faces.
        [clear.click, mesh[0].upload, mesh[0].clear, mesh[1].input],
        lambda: (*no_mask().values(), gone),
        None,
        [*(inputs[name] for name in no_mask()), shown],
        **quiet,
    )
    # Strokes on a view of it lying down belong nowhere once it stands.
    mesh[3].input(
        lambda: (no_brush(), None, gone),
        None,
        [inputs["brushed"], inputs["drawn"], shown],
        **quiet,
    )
    # Also where an example or a run of another mesh is opened, which brings a mask of its own.
    gr.on([mesh[0].change, inputs["mask"].clear], lambda: gone, None, shown, **quiet)
    inputs["mask"].upload(
        lambda where: (
            "within" if where == "words" else where,
            no_brush(),
            None,
            gone,
        ),
        inputs["where"],
        [inputs[name] for name in ("where", "brushed", "drawn")] + [shown],
        **quiet,
    )
