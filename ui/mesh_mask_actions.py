"""What the mask's fold does on the mesh tab: views to brush on, what was brushed kept as they
change, and the mask as a job takes it.

Knows nothing about layout, nor about running a painting.
"""

from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipelines.errors import InputError
from pipelines.geometry import Up
from pipelines.media import contact_sheet, data_uri, read_strokes, resize
from pipelines.paint import brushing
from pipelines.paint.uv_mask import read_masks
from ui.brush import kept_folder, no_brush, strokes_of, to_brush
from ui.wording import said_on_the_page

Where = Literal["words", "within", "mask"]
View = tuple[float, float]
NO_MESH = "There is no mesh. Upload one or pick an example."
NOTHING = "data:,"
"""No picture of the mask."""
_NO_MASK = "There is no mask. Brush one on a view, upload one, or leave the place to the words."


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
    shown = gr.HTML(NOTHING, visible=False)
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
