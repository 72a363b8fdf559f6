"""Morphology by hand, gates that are exact, masks that follow a known motion."""

from itertools import pairwise

import pytest
import torch

from sds.masks import carry, composite, feather, grow, to_latent, to_latent_frames
from sds.optical_flow import Flows


def dot(h=15, w=17, y=7, x=8):
    mask = torch.zeros(1, 1, h, w)
    mask[..., y, x] = 1
    return mask


def distances(h=15, w=17, y=7, x=8):
    rows, columns = torch.meshgrid(torch.arange(h) - y, torch.arange(w) - x, indexing="ij")
    return (rows**2 + columns**2).sqrt()


@pytest.mark.parametrize("radius", [0, 1, 2, 2.5, 5, 40])
def test_a_dot_grows_into_a_disk(radius):
    assert torch.equal(grow(dot(), radius)[0, 0] == 1, distances() <= radius)


def test_eroding_undoes_growing_and_the_border_does_not_erode():
    disk = grow(dot(), 4)
    assert torch.equal(grow(disk, -4), dot())
    assert grow(torch.ones(2, 1, 6, 6), -2).eq(1).all()


def test_growing_soft_masks_takes_the_maximum_in_reach():
    mask = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    want = torch.nn.functional.max_pool2d(mask, 3, 1, 1)
    cross = grow(mask, 1)
    assert (cross <= want).all() and (cross >= mask).all()
    assert torch.equal(grow(mask, 1.5), want)  # a disk of 1.5 is the full 3x3 square


def test_feather_keeps_the_mass_and_ends_at_three_sigma():
    soft = feather(dot(41, 41, 20, 20), 2.0)
    assert soft.sum().item() == pytest.approx(1, abs=1e-5)
    assert soft[0, 0, 20, 20 + 6] > 0 and soft[0, 0, 20, 20 + 7] == 0
    assert soft[0, 0, 20, 23] / soft[0, 0, 20, 20] == pytest.approx(
        float(torch.tensor(-9 / 8).exp())
    )
    torch.testing.assert_close(feather(torch.ones(1, 1, 8, 8), 3.0), torch.ones(1, 1, 8, 8))
    assert torch.equal(feather(dot(), 0), dot())


def test_to_latent_takes_means():
    mask = torch.zeros(3, 1, 16, 24)
    mask[1, 0, 0, 0] = 1
    small = to_latent(mask, (2, 3))
    assert small.shape == (1, 1, 3, 2, 3)
    assert small[0, 0, 1, 0, 0] == pytest.approx(1 / 64) and small.count_nonzero() == 1


@pytest.mark.parametrize("frame", [0, 2, 4])
def test_carry_follows_a_known_motion_both_ways(frame):
    flow = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1).expand(4, 2, 15, 17)
    out = carry(dot(y=4 + frame, x=3 + 2 * frame), frame, Flows(flow, -flow))
    assert out.shape == (5, 1, 15, 17)
    for i in range(5):
        assert torch.equal(out[i : i + 1], dot(y=4 + i, x=3 + 2 * i))


def test_carry_interpolates_once_however_long_the_clip():
    flow = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(8, 2, 5, 17)
    mask = dot(5, 17, 2, 4)
    out = carry(mask, 0, Flows(flow, -flow))
    assert torch.equal(out[8:9], dot(5, 17, 2, 8))  # 8 half pixels, no blur left


def test_carry_follows_each_pixels_own_path():
    # First only the left part moves, by 2, then everything by 3.
    column = torch.arange(12.0)
    to_next, to_previous = torch.zeros(2, 2, 5, 12), torch.zeros(2, 2, 5, 12)
    to_next[0, 0], to_next[1, 0] = 2 * (column < 6), 3
    to_previous[0, 0], to_previous[1, 0] = -2 * (column < 8).float(), -3
    out = carry(dot(5, 12, 2, 4), 0, Flows(to_next, to_previous))
    assert torch.equal(out[1:2], dot(5, 12, 2, 6)) and torch.equal(out[2:3], dot(5, 12, 2, 9))


def test_carry_chains_motions_that_differ_both_ways():
    """From the middle of five frames; only what is around the dot moves, each step otherwise."""
    places = [(4, 5), (4, 6), (6, 6), (7, 9), (8, 8)]
    to_next, to_previous = torch.zeros(4, 2, 15, 17), torch.zeros(4, 2, 15, 17)
    for i, ((y, x), (row, column)) in enumerate(pairwise(places)):
        way = torch.tensor([column - x, row - y])[:, None, None]
        to_next[i, :, y - 1 : y + 2, x - 1 : x + 2] = way
        to_previous[i, :, row - 1 : row + 2, column - 1 : column + 2] = -way
    out = carry(dot(y=6, x=6), 2, Flows(to_next, to_previous))
    for i, (y, x) in enumerate(places):
        assert torch.equal(out[i : i + 1], dot(y=y, x=x))


def test_carry_drops_what_cannot_be_followed_back():
    to_next, to_previous = torch.zeros(1, 2, 6, 6), torch.zeros(1, 2, 6, 6)
    to_previous[:, 0, 3, 3] = -2  # a pixel newly seen: it claims to come from elsewhere
    out = carry(torch.ones(1, 1, 6, 6), 0, Flows(to_next, to_previous))
    assert out[1, 0, 3, 3] == 0 and out[1].sum() == 35
    with pytest.raises(ValueError, match="clip of 2 frames"):
        carry(torch.ones(1, 1, 6, 6), 2, Flows(to_next, to_previous))


def test_composite_is_bit_exact_outside_even_against_nan():
    source, edited = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    mask = feather(dot(8, 8, 4, 4), 0.8).expand(2, -1, -1, -1).clone()
    mask[..., 4, 4] = 1
    edited[..., 0, 0] = torch.nan
    out = composite(edited, source, mask)
    outside = (mask == 0).expand_as(out)
    assert outside.any() and torch.equal(out[outside], source[outside])
    assert torch.equal(out[..., 4, 4], edited[..., 4, 4])
    half = composite(edited[..., 1:], source[..., 1:], torch.full((2, 1, 8, 7), 0.25))
    torch.testing.assert_close(half, 0.75 * source[..., 1:] + 0.25 * edited[..., 1:])


def test_a_latent_frame_allows_what_any_of_its_frames_allows():
    mask = torch.zeros(1, 1, 7, 1, 1)
    mask[0, 0, [0, 3, 6]] = torch.tensor([0.2, 0.5, 1.0]).view(3, 1, 1)
    # The first frame alone, then frames 1 to 4, then 5, 6 and two copies of the last.
    got = to_latent_frames(mask, 4, 3)
    assert got.flatten().tolist() == pytest.approx([0.2, 0.5, 1.0])
    assert torch.equal(to_latent_frames(mask, 1, 7), mask)
    assert torch.equal(to_latent_frames(mask[:, :, :1], 4, 1), mask[:, :, :1])
