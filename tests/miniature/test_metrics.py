"""Scores on pictures whose errors are known by construction."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from miniature.draw import draw
from miniature.metrics import (
    background_regions,
    object_regions,
    psnr,
    still,
    temporal_error_background,
    temporal_error_object,
)
from miniature.scenes import sample_scene


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def square(frames=1, size=32, side=11):
    mask = torch.zeros(frames, 1, size, size)
    mask[..., 10 : 10 + side, 10 : 10 + side] = 1
    return mask


def drawn(scene):
    clip = draw(scene)
    return (torch.from_numpy(part) for part in (clip.frames, clip.mask, clip.centres))


def moving(step, **changes):
    """A scene that moves `step` pixels to the right per frame."""
    travel = step * 15 / 128
    return replace(
        sample_scene("test", 0), motion="right", travel=travel, x=0.4873, radius=0.2, **changes
    )


def test_psnr_counts_the_region_only():
    a = 0.2 + 0.5 * noise(2, 3, 32, 32)
    where = square(2).bool()
    b = torch.where(where, a + 0.1, a - 0.2)
    assert psnr(a, b, where) == pytest.approx(20, abs=1e-4)
    assert psnr(a, b, ~where) == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
    assert psnr(a, a, where) == math.inf
    with pytest.raises(ValueError, match="empty"):
        psnr(a, b, torch.zeros_like(where))


def test_object_regions_are_the_union_of_both_masks_dilated_by_a_disc_of_3_px():
    before, after = torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32)
    before[0, 0, 8, 8] = 1.0
    after[0, 0, 20, 20] = 0.01
    regions = object_regions(before, after)
    # 29 points of the integer grid lie within a distance of 3.
    assert regions.inside.sum((1, 2, 3)).tolist() == [58, 0]
    assert regions.inside[0, 0, 8, 11] and not regions.inside[0, 0, 10, 11]
    assert regions.inside[0, 0, 20, 23]
    assert torch.equal(regions.outside, ~regions.inside)


def test_background_regions_keep_the_object_eroded_by_3_px():
    regions = background_regions(square(side=11))
    assert torch.equal(regions.outside[0, 0, 13:18, 13:18], torch.ones(5, 5).bool())
    assert regions.outside.sum() == 25
    assert torch.equal(regions.inside, ~regions.outside)


def test_a_rigid_shift_has_no_temporal_error_and_flicker_its_own_size():
    picture, mask = noise(1, 3, 32, 32), square()
    steps = [(0, 0), (2, 1), (5, 1), (4, 3)]
    shifted = [[torch.roll(m, (y, x), (-2, -1)) for x, y in steps] for m in (picture, mask)]
    frames, masks = (torch.cat(part) for part in shifted)
    centres = 15.5 + torch.tensor(steps).double()
    assert temporal_error_object(frames, masks, centres) == 0
    sign = torch.tensor([1, -1, 1, -1]).view(4, 1, 1, 1)
    flicker = temporal_error_object(frames + 0.01 * sign, masks, centres)
    assert flicker == pytest.approx(255 * 0.02, rel=1e-4)
    assert temporal_error_object(frames, masks, 31 - centres) > 20


def test_the_object_is_compared_where_both_frames_show_it_alone():
    frames, mask = noise(3, 3, 8, 8), torch.zeros(3, 1, 8, 8)
    for f in range(3):
        mask[f, 0, 1:, 2 * f : 2 * f + 4] = 1
    mask[:, 0, 0] = 0.99
    frames[1, :, 1:, 2:4] = frames[0, :, 1:, 2:4] + 0.1
    frames[2, :, 1:, 4:6] = frames[1, :, 1:, 4:6] - 0.1
    assert temporal_error_object(frames, mask, torch.zeros(3, 2)) == pytest.approx(25.5, rel=1e-5)


def test_the_motion_of_a_drawn_object_is_its_centres():
    whole = moving(2, pattern="checked", object="fish", background="grass")
    assert temporal_error_object(*drawn(whole)) < 1e-2
    part = moving(1.37, pattern="checked", object="fish", background="grass")
    frames, mask, centres = drawn(part)
    # Between pixels the interpolation blurs the checks, and no more than that.
    own = temporal_error_object(frames, mask, centres)
    assert 0.5 < own < 20
    assert temporal_error_object(frames, mask, centres[:1].expand(16, 2)) > 2 * own


def test_an_object_that_never_shows_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        temporal_error_object(noise(2, 3, 8, 8), torch.zeros(2, 1, 8, 8), torch.zeros(2, 2))


def test_where_the_object_is_in_either_frame_nothing_stands_still():
    where = still(torch.zeros(3, 3, 1, 4), torch.eye(3, 4).view(3, 1, 1, 4))
    assert where.int().flatten(1).tolist() == [[0, 0, 1, 1], [1, 0, 0, 1]]


def test_what_stands_still_is_neither_the_object_nor_its_shadow():
    truth, mask, _ = drawn(moving(2, object="ball", background="desert"))
    where = still(truth, mask)
    assert temporal_error_background(truth, where) == 0
    assert 0.5 < where.float().mean() < 1
    shadow = (truth[1:] != truth[:-1]).any(1, keepdim=True) & (mask[1:] == 0) & (mask[:-1] == 0)
    assert shadow.any() and not (where & shadow).any()
    sign = torch.from_numpy(np.resize([1.0, -1.0], 16)).float().view(16, 1, 1, 1)
    flicker = temporal_error_background(truth + 0.01 * sign, where)
    assert flicker == pytest.approx(255 * 0.02, rel=1e-4)
    on_object = torch.where(mask > 0, truth + 0.01 * sign, truth)
    assert temporal_error_background(on_object, where) == 0
