"""Where a gradient is strong: what an edit is about, without a mask.

    s = min(M / q, 1),   M = mean_c |g| over 3x3 cells,   q = its 98 % quantile in the frame

The difference of two predictions is never quite zero where nothing should change; guidance makes
that a drift of the whole picture. Weighting by the difference's own size holds it back, as the
masks of LUSD (2503.11054) and of UniEdit-Flow do. This module knows nothing about
teachers.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

QUANTILE = 0.98
"""Cells above this quantile of their frame count as fully strong: a few outliers do not set it."""


def salience(g: Tensor) -> Tensor:
    """How strong g is for its frame. g (B, C, F, h, w) -> (B, 1, F, h, w) in [0, 1].

    0 in a frame where g is zero everywhere.
    """
    size = g.abs().mean(1)
    near = avg_pool2d(size, 3, stride=1, padding=1, count_include_pad=False)
    top = torch.quantile(near.flatten(2), QUANTILE, dim=2)[..., None, None]
    return torch.where(top > 0, near / top, 0).clamp(max=1).unsqueeze(1)
