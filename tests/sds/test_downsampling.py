"""Pictures at a smaller size: means are kept, and what is too fine goes."""

import pytest
import torch
from torch.nn.functional import interpolate

from sds.downsampling import downsample


def checker(side):
    grid = torch.arange(side)
    return ((grid[:, None] + grid) % 2).float().expand(1, 3, side, side)


def test_block_means_where_the_sizes_divide():
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    small = downsample(images, 4)
    torch.testing.assert_close(small[1, 2, 3, 0], images[1, 2, 9:12, 0:3].mean())
    torch.testing.assert_close(small.mean((2, 3)), images.mean((2, 3)))
    for size in (6, 4, 3):
        torch.testing.assert_close(downsample(images, size), interpolate(images, size, mode="area"))
    assert downsample(images, 12).equal(images)


@pytest.mark.parametrize(("side", "size"), [(12, 5), (96, 42)])
def test_a_broken_factor_lets_no_fine_pattern_through(side, size):
    fine = checker(side)
    # At the border the filter is cut off; picking pixels would give 0 and 1 everywhere.
    assert (downsample(fine, size)[..., 1:-1, 1:-1] - 0.5).abs().max() < 0.15
    assert (interpolate(fine, size, mode="bilinear") - 0.5).abs().max() > 0.15
    flat = torch.full((1, 3, side, side), 0.3)
    torch.testing.assert_close(downsample(flat, size), torch.full((1, 3, size, size), 0.3))


def test_no_pixels_are_invented():
    with pytest.raises(ValueError, match=r"12x12 .* to 16x16; render"):
        downsample(checker(12), 16)
