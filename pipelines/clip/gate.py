"""The user's mask on every frame: where an edit may happen.

A picture drawn on one frame is carried through the clip along its optical flow, at a moderate size;
a clip of masks is taken as it is. Growing and feathering happen at the clip's size, a few frames at
a time, because masks of a long clip at full size do not fit in memory as floats. What the flow does
not lead to is kept, also where a mask is inverted, which says what stays. This module knows nothing
about teachers.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate

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
from sds.optical_flow import Flows

FLOW_SIDE = 256
"""Optical flow is estimated at no more than about this size squared."""
SPECK = 1
"""Cells: gaps of up to about twice this across, in what the flow leads to, are taken for noise."""


@dataclass(frozen=True, eq=False)
class Gate:
    """A mask on every frame of a clip."""

    masks: Tensor
    """(F, 1, h, w), where the edit may happen, at any size: 1 as float, 255 as uint8."""
    size: tuple[int, int]
    """(H, W) of the clip."""
    grow: float
    """Pixels of the clip that what was drawn is grown by."""
    feather: float
    """Standard deviation of the blur that softens the edge, in pixels of the clip."""
    inverted: bool
    """Whether what was drawn is what stays: its soft edge then lies wholly outside of it."""

    def at(self, frames: slice) -> Tensor:
        """The finished mask of a few frames: float32 (n, 1, H, W) in [0, 1]."""
        mask = self.masks[frames]
        if mask.dtype == torch.uint8:
            mask = mask.float() / 255
        if mask.shape[-2:] != self.size:
            mask = interpolate(mask, self.size, mode="bilinear", align_corners=False)
        if not self.inverted:
            return masks.feather(masks.grow(mask, self.grow), self.feather)
        mask = masks.grow(mask, -self.grow)
        # The blur ends at 3 sigma, but for its corners, and those must not reach what stays either.
        soft = masks.feather(masks.grow(mask, -3 * self.feather), self.feather)
        return torch.minimum(soft, mask)

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
    Raises InputError for a mask that cannot be used, or that lets nothing change, and for a frame
    that is not in the clip.
    """
    _check_edges(grow, feather)
    mask = read_mask(path, clip)
    if mask.ndim == 3:
        on_frames = (255 - mask if invert else mask)[:, None]
    else:
        on_frames = _carried(mask, clip, drawn_on, invert)
    gate = Gate(on_frames, clip.size, grow, feather, invert)
    if not any(gate.at(slice(k, k + 4)).any() for k in range(0, len(clip), 4)):
        raise InputError(_why_nothing(gate, path.name))
    return gate


def _check_edges(grow: float, feather: float) -> None:
    if not -MAX_SIDE <= grow <= MAX_SIDE:
        raise InputError(
            f"--mask-grow is {grow}: give {-MAX_SIDE} to {MAX_SIDE} pixels; below 0 shrinks."
        )
    if not 0 <= feather <= MAX_SIDE:
        raise InputError(f"--mask-feather is {feather}: give 0 to {MAX_SIDE} pixels.")


def _why_nothing(gate: Gate, name: str) -> str:
    """What to say of a mask that lets nothing change."""
    some = bool(gate.masks.any())
    if gate.inverted and some:
        return (
            f"Inverted, the mask {name} leaves nothing that may change at --mask-grow "
            f"{gate.grow:g} and --mask-feather {gate.feather:g}. Lower them, or paint less."
        )
    if gate.inverted:
        return (
            f"Inverted, the mask {name} leaves nothing that may change. Paint less, or leave "
            "--mask-invert out."
        )
    if some:
        return (
            f"Nothing is left of the mask {name} at --mask-grow {gate.grow:g}. Shrink it less, or "
            "paint a larger region."
        )
    return f"The mask {name} is too small to be followed through the clip. Paint a larger region."


def _carried(mask: Tensor, clip: Clip, drawn_on: int, invert: bool) -> Tensor:
    """(H, W) drawn on one frame; where every frame may change, at a moderate size: (F, 1, h, w)."""
    if not 0 <= drawn_on < len(clip):
        raise InputError(
            f"Frame {drawn_on} of the mask is not in the clip: give 0 to {len(clip) - 1}."
        )
    size = _flow_size(clip.size)
    flows = optical_flow(floats_at(clip.frames, size))
    if invert:
        free = _around(_covering(mask, size), drawn_on, flows)
    else:
        free = masks.carry(resize(mask.expand(1, 3, -1, -1), size)[:, :1], drawn_on, flows)
    # Rounding must not leave a trace of the one where the mask is wholly the other.
    return settle(free)


def _around(kept: Tensor, drawn_on: int, flows: Flows) -> Tensor:
    """All that the flow leads to but what is kept, on every frame: (1, 1, h, w) -> (F, 1, h, w).

    The rest stays kept: what was drawn may be there again, come from behind something. Not so the
    specks that the flow misses by chance, which are everywhere, and would be grown.
    """
    known = masks.carry(1 - kept, drawn_on, flows)
    known = masks.grow(masks.grow(known, SPECK), -SPECK)
    return torch.minimum(known, 1 - masks.carry(kept, drawn_on, flows))


def _covering(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W) at a size (h, w) at which it covers all it did, once it is enlarged: (1, 1, h, w)."""
    if mask.shape == size:
        return mask[None, None]
    # A pixel is a mean of the cell that it lies in and that cell's neighbours.
    return masks.grow(adaptive_max_pool2d(mask[None, None], size), 1.5)


def _flow_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, FLOW_SIDE / (size[0] * size[1]) ** 0.5)
    h, w = (max(round(s * scale), MIN_SIDE) for s in size)
    return h, w


def write_gate(path: Path, clip: Clip, gate: Gate) -> None:
    """The mask laid over the clip, small, as a silent mp4: what may change is tinted."""
    size = panel_size(_flow_size(clip.size))
    small = gate.shrunk(size)
    tint = torch.tensor(TINT, dtype=torch.float32).view(1, 3, 1, 1) / 255
    rows = []
    for start in range(0, len(clip), 16):
        few = slice(start, start + 16)
        frames, mask = floats_at(clip.frames[few], size), OPACITY * small.at(few)
        rows.append(to_uint8(torch.lerp(frames, tint.expand_as(frames), mask.expand_as(frames))))
    write_clip(path, torch.cat(rows), replace(clip, has_audio=False))
