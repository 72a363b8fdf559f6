"""The user's mask on every frame: where an edit may happen.

A picture drawn on one frame is carried through the clip along its optical flow, at a moderate size;
a clip of masks is taken as it is. Growing and feathering happen at the clip's size, a few frames at
a time, because masks of a long clip at full size do not fit in memory. This module knows nothing
about teachers.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipelines.clip.flow import MIN_SIDE, optical_flow
from pipelines.errors import InputError
from pipelines.media import (
    Clip,
    floats_at,
    read_mask,
    resize,
    settle,
    to_uint8,
    write_clip,
)
from pipelines.media.comparison import panel_size
from pipelines.media.masks import OPACITY, TINT
from pipelines.media.source import MAX_SIDE
from sds import masks

FLOW_SIDE = 256
"""Optical flow is estimated at no more than about this size squared."""


@dataclass(frozen=True, eq=False)
class Gate:
    """A mask on every frame of a clip."""

    masks: Tensor
    """(F, 1, h, w) in [0, 1], 1 where the edit may happen, at any size."""
    size: tuple[int, int]
    """(H, W) of the clip."""
    grow: float
    """Pixels of the clip that the mask is grown by."""
    feather: float
    """Width of the mask's soft edge, in pixels of the clip."""

    def at(self, frames: slice) -> Tensor:
        """The finished mask of a few frames: (n, 1, H, W)."""
        mask = self.masks[frames]
        if mask.shape[-2:] != self.size:
            mask = interpolate(mask, self.size, mode="bilinear", align_corners=False)
        return masks.feather(masks.grow(mask, self.grow), self.feather)

    def shrunk(self, size: tuple[int, int]) -> "Gate":
        """The same at another size (h, w) of the clip, its edges as wide as they look."""
        scale = (size[0] * size[1] / (self.size[0] * self.size[1])) ** 0.5
        return replace(self, size=size, grow=self.grow * scale, feather=self.feather * scale)

    def latent(self, grid: tuple[int, int]) -> Tensor:
        """The finished mask on the latent grid (h, w): (1, 1, F, h, w)."""
        parts = [self.at(slice(k, k + 4)) for k in range(0, len(self.masks), 4)]
        return torch.cat([masks.to_latent(part, grid) for part in parts], dim=2)


def read_gate(
    path: Path, clip: Clip, drawn_on: int, grow: float, feather: float, invert: bool = False
) -> Gate:
    """The mask in a file, on every frame of `clip`.

    drawn_on: the frame a mask picture belongs to, from 0; invert: white is kept, black may change.
    Raises InputError for a mask that cannot be used, or of which nothing is left, and for a frame
    that is not in the clip.
    """
    _check_edges(grow, feather)
    mask = read_mask(path, clip)
    if mask.ndim == 3:
        masks_of_frames = mask[:, None]
    else:
        if not 0 <= drawn_on < len(clip):
            raise InputError(
                f"Frame {drawn_on} of the mask is not in the clip: give 0 to {len(clip) - 1}."
            )
        masks_of_frames = _carried(mask, clip, drawn_on)
    if invert:
        masks_of_frames = 1 - masks_of_frames
        if not masks_of_frames.any():
            raise InputError(f"{path.name} covers every frame, so inverted it allows nothing.")
    gate = Gate(masks_of_frames, clip.size, grow, feather)
    if not any(gate.at(slice(k, k + 4)).any() for k in range(0, len(clip), 4)):
        raise InputError(
            f"Nothing is left of the mask {path.name} at --mask-grow {grow:g}. Shrink it less, or "
            "paint a larger region."
        )
    return gate


def _check_edges(grow: float, feather: float) -> None:
    if not -MAX_SIDE <= grow <= MAX_SIDE:
        raise InputError(
            f"--mask-grow is {grow}: give {-MAX_SIDE} to {MAX_SIDE} pixels; below 0 shrinks."
        )
    if not 0 <= feather <= MAX_SIDE:
        raise InputError(f"--mask-feather is {feather}: give 0 to {MAX_SIDE} pixels.")


def _carried(mask: Tensor, clip: Clip, drawn_on: int) -> Tensor:
    """(H, W) drawn on one frame, on every frame at a moderate size: (F, 1, h, w)."""
    size = _flow_size(clip.size)
    small = floats_at(clip.frames, size)
    drawn = resize(mask.expand(1, 3, -1, -1), size)[:, :1]
    # Rounding must not leave a trace of the one where the mask is wholly the other.
    return settle(masks.carry(drawn, drawn_on, optical_flow(small)))


def _flow_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, FLOW_SIDE / (size[0] * size[1]) ** 0.5)
    h, w = (max(round(s * scale), MIN_SIDE) for s in size)
    return h, w


def write_gate(path: Path, clip: Clip, gate: Gate) -> None:
    """The mask laid over the clip, small, as a silent mp4: what may change is tinted."""
    size = panel_size(_flow_size(clip.size))
    small, tint = gate.shrunk(size), torch.tensor(TINT, dtype=torch.float32).view(1, 3, 1, 1)
    rows = []
    for start in range(0, len(clip), 16):
        few = slice(start, start + 16)
        frames, mask = floats_at(clip.frames[few], size), OPACITY * small.at(few)
        rows.append(to_uint8(torch.lerp(frames, tint.expand_as(frames), mask.expand_as(frames))))
    write_clip(path, torch.cat(rows), replace(clip, has_audio=False))
