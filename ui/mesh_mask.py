"""A mask by hand: turn the mesh to a view, brush on it, go to the next; the views add up.

Knows nothing about running a painting.
"""

from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.components import Component

from pipelines.errors import InputError
from pipelines.geometry import Up
from pipelines.media import contact_sheet, data_uri, read_strokes, resize
from pipelines.paint import brushing
from pipelines.paint.uv_mask import read_masks
from ui.brush import brush_box, kept_folder, no_brush, strokes_of, to_brush
from ui.folds import fold
from ui.theme import PAGE
from ui.wording import said_on_the_page

Where = Literal["words", "within", "mask"]
View = tuple[float, float]
NO_MESH = "There is no mesh. Upload one or pick an example."
_NO_MASK = "There is no mask. Brush one on a view, upload one, or leave the place to the words."
_NOTHING = "data:,"
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
            _NOTHING,
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
    gone = gr.HTML(_NOTHING, visible=False)
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


def no_mask() -> dict[str, Any]:
    """The fold's inputs where there is no mask."""
    return {
        "where": "words",
        "mask": None,
        "mask_on_view": False,
        "brushed": no_brush(),
        "drawn": None,
        "takes": False,
    }


def begin_view(
    mesh: str | None,
    max_faces: int | None,
    resolution: int | None,
    up: Up,
    mask: str | None,
    mask_on_view: bool,
    mask_around: float | None,
    mask_above: float | None,
    brushed: str | None,
    drawn: View | None,
    takes: bool,
    where: Where,
    again: View | None = None,
) -> tuple[Any, ...]:
    """Keep what was brushed, and give a view to be brushed on: the sliders', or the one `again`."""
    with said_on_the_page():
        canvas = _canvas(mesh, max_faces, resolution, up)
        sliders = (mask_around or 0.0, mask_above or 0.0)
        painted = strokes_of(brushed)
        masks = _masks(canvas, mask, sliders if mask_on_view else None, painted, drawn, takes)
        view = again or sliders
        picture = brushing.view_picture(canvas, masks or canvas.blank(), view)
        if painted is not None or (mask_on_view and masks is not None):
            # For good: the sliders, which say where a file is drawn, go on to other views.
            mask, mask_on_view = str(brushing.write_masks(kept_folder(), masks)), False
    where = "within" if where == "words" else where
    shown = gr.HTML(_NOTHING, visible=False)
    box = to_brush(picture, f"{view[0]:g}° around, {view[1]:g}° above")
    return where, mask, mask_on_view, box, view, shown


def change_strokes(*asked: Any) -> tuple[Any, ...]:
    """Strokes begin to take away, or to add: those before were meant as they were made.

    asked: as `begin_view` is.
    """
    *before, brushed, drawn, takes, where = asked
    if not brushed:
        return (gr.skip(),) * 6
    return begin_view(*before, brushed, drawn, not takes, where, again=drawn)


def show_mask(
    mesh: str | None,
    max_faces: int | None,
    resolution: int | None,
    up: Up,
    mask: str | None,
    mask_on_view: bool,
    mask_around: float | None,
    mask_above: float | None,
    brushed: str | None,
    drawn: View | None,
    takes: bool,
) -> gr.HTML:
    """The mesh from four sides, with the mask on its surface."""
    with said_on_the_page():
        canvas = _canvas(mesh, max_faces, resolution, up)
        view = (mask_around or 0.0, mask_above or 0.0) if mask_on_view else None
        masks = _masks(canvas, mask, view, strokes_of(brushed), drawn, takes)
        if masks is None:
            raise InputError(_NO_MASK)
        sheet = contact_sheet(brushing.sides_picture(canvas, masks), columns=2, gap=2)
    return gr.HTML(data_uri(sheet), visible=True)


def mask_of(
    mesh: Path,
    max_faces: int | None,
    resolution: int,
    up: Up,
    where: Where,
    mask: str | None,
    view: View | None,
    brushed: str | None,
    drawn: View | None,
    takes: bool,
) -> tuple[Path | None, View | None]:
    """The file of the mask that the page shows and the view it is drawn on, None for none.

    What was brushed last and not yet kept is in it. Raises InputError where there should be a mask
    and is none.
    """
    if where == "words":
        return None, None
    painted = strokes_of(brushed)
    if painted is None and mask is None:
        raise InputError(_NO_MASK)
    if painted is None:
        return Path(mask), view
    canvas = brushing.open_canvas(mesh, max_faces, resolution, up)
    masks = _masks(canvas, mask, view, painted, drawn, takes)
    return brushing.write_masks(painted.parent, masks), None


def _canvas(
    mesh: str | None, max_faces: int | None, resolution: int | None, up: Up
) -> brushing.Canvas:
    if mesh is None:
        raise InputError(NO_MESH)
    return brushing.open_canvas(Path(mesh), max_faces or None, int(resolution or 1024), up)


def _masks(
    canvas: brushing.Canvas,
    mask: str | None,
    view: View | None,
    painted: Path | None,
    drawn: View | None,
    takes: bool,
) -> brushing.Masks | None:
    """The file's masks and, over them, what was brushed; None where there is neither."""
    if mask is None and painted is None:
        return None
    masks = canvas.blank()
    if mask is not None:
        # A file in the UVs may be smaller or larger than the textures it is for.
        read = read_masks(Path(mask), canvas.surface, view, canvas.sizes)
        each = zip(read, canvas.sizes, strict=True)
        masks = tuple(resize(mask[None], size)[0] for mask, size in each)
    if painted is None:
        return masks
    return brushing.brushed(canvas, masks, read_strokes(painted), drawn or (0.0, 0.0), takes)
