"""Squares cut out of pictures and clips, each sample's at a place of its own.

This module knows nothing about what they are cut for.
"""

import torch
from torch import Tensor


def squares(x: Tensor, corner: Tensor, side: int) -> Tensor:
    """A square of each sample: x (N, C, ..., h, w) -> (N, C, ..., side, side).

    corner: (N, 2) in cells, row and column of its first cell.
    """
    sample = torch.arange(len(x), device=x.device)[:, None, None]
    rows, columns = corner.T[:, :, None] + torch.arange(side, device=x.device)
    cut = x.flatten(1, -3)[sample, :, rows[:, :, None], columns[:, None]]
    return cut.permute(0, 3, 1, 2).reshape(*x.shape[:-2], side, side)


def random_squares(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square at a random place of each picture (N, C, S, S): (N, C, side, side)."""
    most = x.shape[-1] - side + 1
    corners = torch.randint(most, (len(x), 2), generator=generator, device=generator.device)
    return squares(x, corners, side)
