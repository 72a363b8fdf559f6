"""How close an edit came to the true answer, and how steadily it follows the true motion.

    PSNR = -10 log10 mean (a - b)^2, over the pixels of a region
    temporal error = 255 sqrt(mean (y_f+1 moved back by d_f - y_f)^2),   d_f = c_f+1 - c_f

c_f is the true centre of the object, which moves as a rigid whole. Frames are (F, 3, H, W) in
[0, 1], masks (F, 1, H, W). This module knows nothing about scenes, prompts or methods.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.masks import grow
from sds.optical_flow import warp

MARGIN = 3.0
"""Pixels between the outline of an object and the region that must be kept."""
WHOLE = 0.999
"""Coverage from which on a pixel counts as the object's alone."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Where an edit has to happen, and where nothing may."""

    inside: Tensor
    """(F, 1, H, W) bool: the edited region."""
    outside: Tensor
    """(F, 1, H, W) bool: the rest."""


def object_regions(before: Tensor, after: Tensor) -> Regions:
    """For an edit of the object: the union of both masks, dilated by MARGIN, and the rest.

    before, after: coverage (F, 1, H, W) in [0, 1] in the source and in the true answer.
    """
    inside = grow(((before > 0) | (after > 0)).float(), MARGIN) > 0
    return Regions(inside, ~inside)


def background_regions(mask: Tensor) -> Regions:
    """For an edit of the background: all but the object eroded by MARGIN, which must be kept.

    mask: coverage (F, 1, H, W) in [0, 1], the same before and after.
    """
    outside = grow((mask > 0).float(), -MARGIN) > 0
    return Regions(~outside, outside)


def psnr(a: Tensor, b: Tensor, where: Tensor) -> float:
    """PSNR in dB over the pixels `where` (F, 1, H, W) bool; inf if they agree.

    a, b (F, 3, H, W) in [0, 1]. Raises ValueError for an empty region.
    """
    error = _mean_square(a - b, where)
    return math.inf if error == 0 else -10 * math.log10(error)


def temporal_error_object(frames: Tensor, mask: Tensor, centres: Tensor) -> float:
    """How much the object changes along its motion: RMS in 0..255 units.

    frames (F, 3, H, W) in [0, 1]; mask (F, 1, H, W) coverage; centres (F, 2) in pixels, x then y.
    Frame f+1 is moved back bilinearly and compared where both frames show the object alone.
    Raises ValueError when they never do.
    """
    h, w = frames.shape[-2:]
    step = centres.diff(dim=0).to(frames.dtype).view(-1, 2, 1, 1).expand(-1, 2, h, w)
    both = torch.cat([frames, mask.to(frames.dtype)], dim=1)
    back = warp(both[1:], step)
    where = (mask[:-1] >= WHOLE) & (back[:, 3:] >= WHOLE)
    return 255 * math.sqrt(_mean_square(back[:, :3] - frames[:-1], where))


def still(frames: Tensor, mask: Tensor) -> Tensor:
    """Which pixels a drawn clip repeats bit for bit, outside its object: not its moving shadow.

    frames (F, 3, H, W), mask (F, 1, H, W) coverage -> (F-1, 1, H, W) bool.
    """
    repeated = (frames[1:] == frames[:-1]).all(1, keepdim=True)
    return repeated & (mask[1:] == 0) & (mask[:-1] == 0)


def temporal_error_background(frames: Tensor, where: Tensor) -> float:
    """How much flickers that should stand still: RMS between neighbouring frames, 0..255 units.

    frames (F, 3, H, W) in [0, 1]; where (F-1, 1, H, W) bool: what is `still` both in the source and
    in the true answer, for which this is then 0. Raises ValueError when nothing stands still.
    """
    return 255 * math.sqrt(_mean_square(frames.diff(dim=0), where))


def _mean_square(difference: Tensor, where: Tensor) -> float:
    """Mean over the pixels of a region and all channels. (F, 3, H, W), (F, 1, H, W) bool."""
    count = int(where.sum()) * difference.shape[1]
    if count == 0:
        raise ValueError("the region is empty; give a larger object or more frames")
    return float((difference.double().square() * where).sum()) / count
