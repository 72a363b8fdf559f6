"""What the page works out while a teacher is being loaded.

The libraries of models set torch's default dtype for as long as they read weights, and for all
threads: whoever builds a tensor then and says no dtype gets bfloat16.
"""

from pathlib import Path

import pytest
import torch

from pipelines.clip.gate import read_gate, write_gate
from pipelines.media import read_clip, save_png
from pipelines.paint import brushing
from pipelines.paint.uv_mask import read_masks

MESH, CLIP = Path("assets/examples/mushroom.obj"), Path("assets/examples/ball.mp4")


def brush_a_mesh(folder):
    """Strokes from two views, what is shown of them, and what is kept."""
    brushing._open.cache_clear()
    canvas = brushing.open_canvas(MESH, None, 64)
    strokes = torch.zeros(brushing.SIDE, brushing.SIDE, dtype=torch.uint8)
    strokes[140:190, 220:290] = 255
    masks = canvas.blank()
    for view in ((0.0, 0.0), (90.0, 20.0)):
        masks = brushing.brushed(canvas, masks, strokes, view, takes=False)
        yield masks[0]
        yield brushing.view_picture(canvas, masks, view)
    yield brushing.sides_picture(canvas, masks)
    path = brushing.write_masks(folder, masks)
    yield read_masks(path, canvas.surface, None, canvas.sizes)[0]


def mask_a_clip(folder):
    """A mask on one frame, carried through the clip."""
    clip = read_clip(CLIP)
    mask = torch.zeros(clip.size, dtype=torch.uint8)
    mask[40:70, 40:80] = 255
    save_png(folder / "mask.png", mask)
    gate = read_gate(folder / "mask.png", clip, 3, 2.0, 2.0, False)
    yield gate.masks
    yield gate.at(slice(0, 4))
    write_gate(folder / "shown.mp4", clip, gate)
    yield read_clip(folder / "shown.mp4").frames


@pytest.mark.parametrize("work", [brush_a_mesh, mask_a_clip])
def test_is_what_it_is_at_any_other_time(work, tmp_path):
    usual = list(work(tmp_path))
    torch.set_default_dtype(torch.bfloat16)
    try:
        meanwhile = list(work(tmp_path))
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(usual, meanwhile, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)
