"""A live preview: a few frames side by side, and masks that can be laid over them.

The pictures travel inside the page's value, as JPEG and, where they are see-through, as PNG: no
file is written for what is gone a second later. Knows nothing about jobs.
"""

import gradio as gr

from pipelines.events import Preview
from pipelines.media import contact_sheet, data_uri, floats_at, to_uint8
from pipelines.media.comparison import grey
from pipelines.media.masks import OPACITY, TINT
from ui.theme import PAGE

WIDTH = 960
"""Pixels that the frames beside one another are at most wide."""
GAP = 2
_TINTS = {"mask": TINT, "smoothed": (255, 176, 0)}
_NOTHING = "data:,"


def preview_box(elem_id: str) -> gr.HTML:
    """The empty preview, hidden until there is something to see."""
    return gr.HTML(
        _NOTHING,
        label="Preview",
        html_template=(PAGE / "preview.html").read_text(),
        js_on_load=None,
        apply_default_css=False,
        visible=False,
        elem_id=elem_id,
        mask="",
        smoothed="",
    )


def previewed(preview: Preview, columns: int) -> gr.HTML:
    """The state of the box that shows a job's preview, `columns` frames in a row."""
    frames = preview.frames
    columns = min(columns, len(frames))
    height, width = frames.shape[1:3]
    scale = min(1.0, WIDTH / (columns * width))
    if scale < 1:
        frames = to_uint8(floats_at(frames, (round(height * scale), round(width * scale))))
    laid = {name: "" for name in _TINTS}
    for name, mask in preview.masks.items():
        shown = grey(mask[:, None].float(), frames.shape[1:3])
        alpha = contact_sheet(shown[..., None].expand(-1, -1, -1, 3), columns, GAP, fill=0)[..., :1]
        colour = alpha.new_tensor(_TINTS[name]).expand(*alpha.shape[:2], 3)
        laid[name] = data_uri(colour, (alpha.float() * OPACITY).to(alpha.dtype))
    return gr.HTML(data_uri(contact_sheet(frames, columns, GAP)), visible=True, **laid)
