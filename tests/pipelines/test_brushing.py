"""Brushing on views of a mesh: strokes land where they were seen, views add up, files go round."""

import math
import os
import zipfile

import numpy as np
import pytest
import torch
import trimesh
from geometry_files import damage, obj_cubes, save

from pipelines import geometry
from pipelines.errors import InputError
from pipelines.media import clip_from_frames, read_mask
from pipelines.paint import brushing
from pipelines.paint.painted import random_points
from pipelines.paint.task import sample_atlases
from pipelines.paint.uv_mask import (
    MOST_BYTES,
    project_mask,
    read_masks,
    read_uv_mask,
    view_camera,
)
from tests.pipelines.test_painting import sphere

FRONT, RIGHT = (0.0, 0.0), (90.0, 0.0)
# A box of 2 x 3 x 1: its front is 6 of the 22 units of its area, its right side 3.
FRONT_SHARE, RIGHT_SHARE = 6 / 22, 3 / 22


@pytest.fixture
def box(tmp_path):
    path = tmp_path / "box.obj"
    trimesh.creation.box((2, 3, 1)).subdivide().export(path)
    return brushing.open_canvas(path, None, 256)


@pytest.fixture
def pair(tmp_path):
    """Two boxes side by side, each with a texture of its own."""
    scene = trimesh.Scene()
    for name, x in (("left", -1.5), ("right", 1.5)):
        part = trimesh.creation.box((2, 2, 2)).subdivide()
        part.apply_translation((x, 0, 0))
        scene.add_geometry(part, geom_name=name, node_name=name)
    scene.export(tmp_path / "pair.glb")
    return brushing.open_canvas(tmp_path / "pair.glb", None, 64)


def everywhere():
    return torch.full((128, 128), 255, dtype=torch.uint8)


def share(canvas, masks):
    """Of the surface's area."""
    points = random_points(canvas.surface, 20_000, torch.Generator().manual_seed(0))
    return float((sample_atlases(masks, points) > 0.5).float().mean())


def test_views_add_up_and_strokes_take_away(box):
    front = brushing.brushed(box, box.blank(), everywhere(), FRONT, takes=False)
    assert share(box, front) == pytest.approx(FRONT_SHARE, abs=0.02)
    both = brushing.brushed(box, front, everywhere(), RIGHT, takes=False)
    assert share(box, both) == pytest.approx(FRONT_SHARE + RIGHT_SHARE, abs=0.02)
    again = brushing.brushed(box, both, everywhere(), RIGHT, takes=False)
    assert all(torch.equal(a, b) for a, b in zip(again, both, strict=True))
    right = brushing.brushed(box, both, everywhere(), FRONT, takes=True)
    assert share(box, right) == pytest.approx(RIGHT_SHARE, abs=0.02)


def test_a_stroke_is_seen_where_it_was_drawn(box):
    strokes = torch.zeros(128, 128, dtype=torch.uint8)
    strokes[56:72, 56:72] = 255
    masks = brushing.brushed(box, box.blank(), strokes, FRONT, takes=False)
    plain = brushing.view_picture(box, box.blank(), FRONT).int()
    shown = brushing.view_picture(box, masks, FRONT).int()
    changed = (shown - plain).abs().sum(-1) > 30
    assert changed[232:280, 232:280].all()
    changed[216:296, 216:296] = False
    assert not changed.any()
    # From behind there is nothing of it.
    away = (180.0, 0.0)
    behind = brushing.view_picture(box, box.blank(), away)
    assert torch.equal(brushing.view_picture(box, masks, away), behind)
    assert brushing.sides_picture(box, masks).shape == (4, brushing.SIDES, brushing.SIDES, 3)


def test_from_aside_and_above_one_brushes_the_part_of_a_ball_that_faces_there():
    ball, turn, up = sphere(), math.radians(30), math.radians(20)
    masks = project_mask(torch.ones(128, 128), ball, view_camera(30.0, 20.0), [(256, 256)])
    points = random_points(ball, 5000, torch.Generator().manual_seed(0))
    there = [math.cos(up) * math.sin(turn), math.sin(up), math.cos(up) * math.cos(turn)]
    beyond = points.position @ torch.tensor(there)
    found = sample_atlases(masks, points)[:, 0] > 0.5
    # From three radii away the horizon is at a third of a radius, and what is at it is uncertain.
    assert found[beyond > 0.6].float().mean() > 0.99
    assert found[beyond < 0.2].float().mean() < 0.01


def test_masks_go_to_a_file_and_back(box, pair, tmp_path):
    for canvas, name in ((box, "mask.png"), (pair, "masks.zip")):
        masks = brushing.brushed(canvas, canvas.blank(), everywhere(), FRONT, takes=False)
        path = brushing.write_masks(tmp_path, masks)
        assert path.name == name
        back = read_masks(path, canvas.surface, None, canvas.sizes)
        for a, b in zip(back, masks, strict=True):
            assert (a - b).abs().max() <= 0.5 / 255 + 1e-6
        read_uv_mask(path, canvas.surface, None, canvas.sizes, replaces=True)


def test_every_texture_gets_its_part(pair):
    strokes = torch.zeros(128, 128, dtype=torch.uint8)
    strokes[:, :64] = 255
    left, right = brushing.brushed(pair, pair.blank(), strokes, FRONT, takes=False)
    assert left.any() and not right.any()


def test_what_cannot_be_a_mask_says_so(pair, tmp_path):
    path = brushing.write_masks(tmp_path, pair.blank())
    with pytest.raises(InputError, match="allows nothing"):
        read_uv_mask(path, pair.surface, None, pair.sizes, replaces=False)
    single = brushing.write_masks(tmp_path, pair.blank()[:1])
    with pytest.raises(InputError, match="has 2 textures and mask"):
        read_uv_mask(single, pair.surface, None, pair.sizes, replaces=False)
    with pytest.raises(InputError, match=r"There is no file .*gone\.zip"):
        read_uv_mask(tmp_path / "gone.zip", pair.surface, None, pair.sizes, replaces=False)
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="holds no mask_0"):
        read_uv_mask(tmp_path / "bad.zip", pair.surface, None, pair.sizes, replaces=False)


@pytest.mark.parametrize("how", ["bytes", "password", "method"])
def test_a_damaged_zip_of_masks_says_so(pair, tmp_path, how):
    path = brushing.write_masks(tmp_path, pair.blank())
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(tmp_path / "m.zip", "w", 8) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    damaged = damage(tmp_path / "m.zip", "mask_1.png", how)
    with pytest.raises(InputError, match=r"that can be read.* without a password"):
        read_masks(damaged, pair.surface, None, pair.sizes)


def test_a_picture_too_large_for_a_mask_is_not_unpacked(pair, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mask_0.png", bytes(MOST_BYTES + 1))
    with pytest.raises(InputError, match=r"mask_0\.png in m\.zip is too large for a mask"):
        read_masks(tmp_path / "m.zip", pair.surface, None, pair.sizes)


def test_transparent_places_of_a_mask_are_kept_as_a_clip_s_are(box, tmp_path):
    white = np.full((256, 256, 4), 255, np.uint8)
    white[:, 128:, 3] = 0
    path = save(tmp_path / "mask.png", white)
    (mask,) = read_masks(path, box.surface, None, box.sizes)
    frame = clip_from_frames(torch.zeros(1, 256, 256, 3, dtype=torch.uint8), 10)
    torch.testing.assert_close(mask[0], read_mask(path, frame))
    assert mask[0, :, :128].min() > 0.999 and mask[0, :, 128:].max() == 0
    white[..., 3] = 0
    drawn = read_masks(save(tmp_path / "view.png", white), box.surface, FRONT, box.sizes)
    assert share(box, drawn) == 0


def test_an_unwrapped_mesh_opens_the_same_every_time(tmp_path):
    path = tmp_path / "ball.ply"
    trimesh.creation.icosphere(subdivisions=3).export(path)
    first = brushing.open_canvas(path, None, 64)
    assert brushing.open_canvas(path, None, 64) is first
    brushing._open.cache_clear()
    assert torch.equal(brushing.open_canvas(path, None, 64).surface.uv, first.surface.uv)


def test_a_mesh_that_was_saved_anew_is_opened_anew_and_one_that_is_gone_is_said(box, tmp_path):
    path = tmp_path / "box.obj"
    trimesh.creation.box((2, 3, 1)).export(path)
    os.utime(path, (1, 1))
    again = brushing.open_canvas(path, None, 256)
    assert (len(box.surface.faces), len(again.surface.faces)) == (48, 12)
    path.unlink()
    with pytest.raises(InputError, match=r"There is no file .*box\.obj"):
        brushing.open_canvas(path, None, 256)


def test_a_mesh_with_z_up_is_brushed_standing(tmp_path):
    canvases = [
        brushing.open_canvas(path, None, 64, up) for up, path in obj_cubes(tmp_path).items()
    ]
    standing, lying = (
        brushing.view_picture(canvas, canvas.blank(), (30.0, 20.0)) for canvas in canvases
    )
    assert standing.equal(lying) and not standing.eq(standing[0, 0]).all()


def test_a_mesh_that_is_simplified_is_brushed_as_the_run_sees_it(tmp_path):
    path = tmp_path / "ball.ply"
    trimesh.creation.icosphere(subdivisions=3).export(path)
    model = geometry.unwrap(geometry.decimate(geometry.read_mesh(path), 200))
    seen = brushing.open_canvas(path, 200, 64).surface
    assert seen.faces.equal(geometry.surface(model).faces) and len(seen.faces) < 220
    assert seen.uv.equal(geometry.surface(model).uv)
    assert len(brushing.open_canvas(path, None, 64).surface.faces) == 1280
