"""Brushing on views of a mesh, as the tab's handlers do it: from view to view to the job's mask."""

import os
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch

from pipelines.errors import InputError
from pipelines.media import read_level, read_strokes, resize, save_png
from pipelines.paint import brushing
from pipelines.paint.painted import random_points
from pipelines.paint.task import sample_atlases
from pipelines.paint.uv_mask import read_masks
from tests.ui.pictures import address
from ui.brush import strokes_of
from ui.mesh_examples import OPENED
from ui.mesh_mask import ASKED
from ui.mesh_mask_actions import begin_view, change_strokes, mask_of, no_mask, show_mask

MESH = Path("assets/examples/mushroom.obj")
SIDE = 128


def stroke():
    """The brush's value after a stroke in the middle of the cap."""
    pixels = np.zeros((brushing.SIDE, brushing.SIDE, 4), np.uint8)
    pixels[140:190, 220:290] = (255, 45, 120, 255)
    return address(pixels)


def inside(mask):
    """Where on the surface the mask is."""
    canvas = brushing.open_canvas(MESH, None, SIDE)
    points = random_points(canvas.surface, 20_000, torch.Generator().manual_seed(0))
    masks = read_masks(Path(mask), canvas.surface, None, canvas.sizes)
    return points.position[sample_atlases(masks, points)[:, 0] > 0.5]


def smaller(mask, folder):
    """The same mask at half the size."""
    half = resize(read_level(Path(mask))[None, None], (SIDE // 2, SIDE // 2))[0, 0]
    save_png(folder / "half.png", (half * 255).round().to(torch.uint8))
    return folder / "half.png"


def test_a_side_no_texture_has_is_refused_before_anything_is_made():
    for side in (50_000, -1):
        with pytest.raises(gr.Error, match="16 to 8192"):
            begin_view(str(MESH), 0, side, "y", None, False, 0, 0, "", None, False, "words")


def test_one_view_after_another(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    mesh = (str(MESH), 0, SIDE, "y")
    first = begin_view(*mesh, None, False, 0, 0, "", None, False, "words")
    where, mask, on_view, _, drawn, _ = first
    assert (where, mask, on_view, drawn) == ("within", None, False, (0, 0))
    one = two = stroke()
    _, mask, _, _, drawn, _ = begin_view(*mesh, mask, False, 90, 0, one, drawn, False, where)
    assert drawn == (90, 0)
    front = inside(mask)
    assert (front[:, 2] > 0.5).all() and len(front) > 50
    asked = (MESH, None, SIDE, "y", "mask", mask, None)
    both, view = mask_of(*asked, two, drawn, False)
    found = inside(both)
    assert view is None
    assert (found[:, 2] > 0.5).any() and (found[:, 0] > 0.5).any()
    assert ((found[:, 2] > 0.5) | (found[:, 0] > 0.5)).all()
    # So does a mask of another size than the texture, which a run takes as it is.
    asked = (*mesh, str(smaller(mask, tmp_path)), False, 0, 0)
    assert show_mask(*asked, two, drawn, False).visible
    _, again, *_ = begin_view(*asked, two, drawn, False, where)
    assert len(inside(again)) == pytest.approx(len(found), rel=0.1)
    # Strokes that take away leave the other view's.
    left, _ = mask_of(MESH, None, SIDE, "y", "mask", str(both), None, one, (0, 0), True)
    assert (inside(left)[:, 0] > 0.5).all()


def test_strokes_before_a_change_are_meant_as_they_were_made(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    mesh = (str(MESH), 0, SIDE, "y")
    # Brushed from the right, the sliders elsewhere by now, and "take away" chosen.
    asked = (*mesh, None, False, 45, 10, stroke(), (90, 0))
    _, mask, _, box, drawn, _ = change_strokes(*asked, True, "within")
    assert drawn == (90, 0) and box.value == "" and (inside(mask)[:, 0] > 0.5).all()
    # The same stroke takes all of it away again.
    _, mask, _, _, _, _ = change_strokes(
        *mesh, mask, False, 45, 10, stroke(), drawn, False, "within"
    )
    assert len(inside(mask)) == 0
    # Nothing brushed, nothing to keep.
    unbrushed = change_strokes(*mesh, mask, False, 45, 10, "", drawn, True, "within")
    assert len(unbrushed) == 6 and all(change == gr.skip() for change in unbrushed)


def test_a_file_drawn_on_a_view_stays_there_when_another_view_is_brushed(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    file = tmp_path / "drawn.png"
    save_png(file, read_strokes(strokes_of(stroke())))
    mesh = (str(MESH), 0, SIDE, "y")
    where, mask, on_view, *_ = begin_view(*mesh, str(file), True, 90, 0, "", None, False, "words")
    assert on_view is False and (inside(mask)[:, 0] > 0.5).all()
    # The sliders are on the front by now, which is brushed.
    _, mask, on_view, _, _, _ = begin_view(
        *mesh, mask, on_view, 0, 0, stroke(), (0, 0), False, where
    )
    found = inside(mask)
    assert on_view is False and (found[:, 0] > 0.5).any() and (found[:, 2] > 0.5).any()
    assert ((found[:, 0] > 0.5) | (found[:, 2] > 0.5)).all()


def test_no_mask_is_all_that_says_one_and_an_example_takes_all_of_it():
    assert set(no_mask()) == {"where", *ASKED} - {"mask_around", "mask_above"}
    assert no_mask()["takes"] is False
    assert set(no_mask()) <= set(OPENED)


def test_what_was_brushed_long_ago_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    old, new = strokes_of(stroke()), strokes_of(stroke())
    os.utime(old.parent, (0, 0))
    strokes_of(stroke())
    assert not old.parent.exists() and new.exists()


def test_words_need_no_mask_and_a_mask_needs_one():
    nothing = (MESH, None, SIDE, "y")
    assert mask_of(*nothing, "words", "m.png", None, "", None, False) == (None, None)
    found = mask_of(*nothing, "within", "m.png", (0.0, 0.0), "", None, False)
    assert found == (Path("m.png"), (0.0, 0.0))
    with pytest.raises(InputError, match="There is no mask"):
        mask_of(*nothing, "mask", None, None, "", None, False)


def test_what_there_is_nothing_to_show_of_is_said():
    nothing = (0, SIDE, "y", None, False, 0, 0, "", None, False)
    with pytest.raises(gr.Error, match=r"There is no mask\. Brush one on a view"):
        show_mask(str(MESH), *nothing)
    with pytest.raises(gr.Error, match=r"There is no mesh\. Upload one"):
        show_mask(None, *nothing)
    with pytest.raises(gr.Error, match=r"There is no mesh\. Upload one"):
        begin_view(None, *nothing, "words")
