"""The colours a part already has, in the UVs that are painted."""

import numpy as np
import pytest
import torch
from geometry_files import picture

from pipelines.geometry import Part, base_colour
from pipelines.geometry.base import with_alpha
from pipelines.geometry.model import linear, srgb
from pipelines.render.bake import sample

CORNERS = np.array([[(0, 0), (1, 0), (1, 1)], [(0, 0), (1, 1), (0, 1)]], dtype=float)
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
FACES = np.array([[0, 1, 2], [0, 2, 3]])
# A quarter turn and a margin: nothing lies where it was.
MOVED = 0.1 + 0.8 * np.stack([CORNERS[..., 1], 1 - CORNERS[..., 0]], axis=-1)


def square(uv: np.ndarray | None = None, **about) -> Part:
    return Part("square", VERTICES, FACES, uv=MOVED if uv is None else uv, **about)


def ramp(size: int = 256) -> np.ndarray:
    """Red rises with u, green with v, as coded values."""
    at = ((np.arange(size) + 0.5) / size * 255).round().astype(np.uint8)
    red, green = np.broadcast_to(at, (size, size)), np.broadcast_to(at[::-1, None], (size, size))
    return np.stack([red, green, np.full_like(red, 40)], axis=2)


def points(corners: np.ndarray, count: int = 500) -> np.ndarray:
    """The same random places of the square, whatever is given at its corners: (count, C)."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet((1, 1, 1), count)
    return np.einsum("nk,nkc->nc", weights, corners[rng.integers(0, 2, count)])


def looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    return sample(torch.from_numpy(texture).float(), torch.from_numpy(uv)).numpy()


def test_a_picture_in_kept_uvs_is_itself():
    kept = square(CORNERS, old_uv=CORNERS, picture=picture((16, 24)))
    assert np.array_equal(base_colour(kept, 16), kept.picture)
    assert base_colour(kept, 20).shape == (20, 24, 3)
    with_opacity = square(CORNERS, old_uv=CORNERS, picture=picture((16, 24), 4))
    assert np.array_equal(base_colour(with_opacity, 8), with_opacity.picture[..., :3])


def test_a_part_without_colours_is_white():
    assert (base_colour(square(), 8) == 255).all()


def test_a_factor_multiplies_in_linear_light():
    assert (base_colour(square(factor=(0.5, 1, 0, 1)), 8) == (188, 255, 0)).all()
    kept = square(CORNERS, old_uv=CORNERS, picture=ramp(), factor=(0.5, 1, 1, 1))
    expected = srgb(linear(ramp()[..., 0] / 255) * 0.5) * 255
    assert np.abs(base_colour(kept, 8)[..., 0] - expected).max() <= 0.51


def test_a_picture_moves_to_new_uvs():
    moved = base_colour(square(old_uv=CORNERS, picture=ramp()), 256)
    expected = np.concatenate([points(CORNERS) * 255, np.full((500, 1), 40)], axis=1)
    assert np.abs(looked_up(moved, points(MOVED)) - expected).max() < 1.5


def test_a_picture_that_repeats_is_repeated():
    old = CORNERS * 2 - 0.5
    moved = base_colour(square(old_uv=old, picture=ramp()), 512)
    expected = points(old) % 1
    # Away from the jump, where the picture starts again.
    calm = ((expected > 0.03) & (expected < 0.97)).all(axis=1)
    found = looked_up(moved, points(MOVED))[..., :2]
    assert calm.sum() > 300
    assert np.abs(found[calm] - expected[calm] * 255).max() < 2


def test_vertex_colours_are_baked_in_linear_light():
    colours = np.stack([CORNERS[..., 0], CORNERS[..., 1], CORNERS[..., 0] * 0 + 0.5], axis=2)
    coded = base_colour(square(colours=colours.astype(np.float32)), 256)
    found = linear(looked_up(coded, points(MOVED)) / 255)
    assert np.abs(found - points(colours)).max() < 0.01


def test_the_gutters_hold_no_other_colour():
    flat = np.broadcast_to(np.float32([0.2, 0.4, 0.8]), (2, 3, 3))
    texture = base_colour(square(colours=flat), 64)
    assert (texture == (srgb(np.array([0.2, 0.4, 0.8])) * 255).round()).all()


def test_alpha_follows_the_picture():
    clear = np.concatenate([ramp(), ramp()[..., :1]], axis=2)
    painted = np.zeros((256, 256, 3), np.uint8)
    kept = with_alpha(painted, square(CORNERS, old_uv=CORNERS, picture=clear))
    assert np.array_equal(kept[..., 3], ramp()[..., 0])
    moved = with_alpha(painted, square(old_uv=CORNERS, picture=clear))
    found = looked_up(moved, points(MOVED))[:, 3]
    assert np.abs(found - points(CORNERS)[:, 0] * 255).max() < 1.5
    assert with_alpha(painted, square(old_uv=CORNERS, picture=ramp())) is painted
    given = np.zeros((8, 8, 4), np.uint8)
    assert with_alpha(given, square(CORNERS, old_uv=CORNERS, picture=clear)) is given


def test_uvs_are_needed():
    with pytest.raises(ValueError, match="unwrap"):
        base_colour(Part("a", VERTICES, FACES, uv=None), 8)
