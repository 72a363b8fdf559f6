"""Before, after and masks side by side in one clip: whoever plays it sees them in step.

The studio cuts the panels apart again and lays them over one another. This module knows nothing
about jobs or pages.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipelines.media import Clip, floats_at, to_uint8, write_clip

COMPARISON = "comparison.mp4"
SIDE = 512
"""A panel's longer side is at most this: it is for looking, the result itself is beside it."""
CHUNK = 16
"""Frames in work at once."""

Panel = Callable[[slice], Tensor]
"""A few frames of a panel, uint8 (n, H, W, 3) or (n, H, W), at any size."""


def write_comparison(folder: Path, panels: Mapping[str, Panel], like: Clip) -> list[str]:
    """Write the panels from left to right; returns their names, which belong into the metrics.

    like: the clip whose timing and sound it gets, and whose shape every panel takes.
    """
    size = panel_size(like.size)
    rows = []
    for start in range(0, len(like), CHUNK):
        few = slice(start, min(start + CHUNK, len(like)))
        rows.append(torch.cat([_at(panel(few), size) for panel in panels.values()], dim=2))
    write_clip(folder / COMPARISON, torch.cat(rows), like)
    return list(panels)


def panel_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of a panel: even, as H.264 needs it, and no larger than need be."""
    scale = min(1.0, SIDE / max(size))
    h, w = (max(round(s * scale / 2), 1) * 2 for s in size)
    return h, w


def grey(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask (n, 1, h, w) in [0, 1], of any size, as frames uint8 (n, *size)."""
    if mask.shape[-2:] != size:
        mask = interpolate(mask, size, mode="bilinear", align_corners=False)
    return to_uint8(mask.cpu())[..., 0]


def _at(frames: Tensor, size: tuple[int, int]) -> Tensor:
    if frames.ndim == 3:
        frames = frames[..., None].expand(-1, -1, -1, 3)
    if frames.shape[1:3] == size:
        return frames
    return to_uint8(floats_at(frames, size))
