"""From a change at the working size to frames at the clip's own, and what it cost the rest.

The result is `source + change`, not a decoded picture: of a real clip the autoencoder loses far
more than an edit should, and where nothing is edited the change is zero and the frame exact. What
the change has of its own in every frame is flicker: the mean along the clip's motion is without.
This module knows nothing about teachers or files.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipelines.clip.flow import optical_flow
from pipelines.clip.gate import Gate
from pipelines.media import Clip, to_float, to_uint8
from sds.masks import composite
from sds.temporal import window_mean

CHUNK = 4
"""Frames at full size that are in memory as floats at once."""
STEADY_CHUNK = 16
"""Frames that are steadied at once, beside their neighbours."""


def working_size(size: tuple[int, int], side: int, multiple: int = 16) -> tuple[int, int]:
    """(h, w) of about side x side pixels, in the aspect ratio of `size`, in whole multiples."""
    scale = side / (size[0] * size[1]) ** 0.5
    h, w = (max(round(s * scale / multiple), 1) * multiple for s in size)
    return h, w


def steadied(change: Tensor, frames: Tensor, size: int) -> Tensor:
    """The mean of the change over `size` frames, an odd number, along the motion of the clip.

    change, frames (F, 3, h, w), the clip in [0, 1] -> (F, 3, h, w). 1 leaves the change alone.
    """
    if size == 1:
        return change
    parts = []
    for start in range(0, len(change), STEADY_CHUNK):
        first, stop = max(start - size // 2, 0), start + STEADY_CHUNK
        near = slice(first, min(stop + size // 2, len(change)))
        mean = window_mean(change[near].transpose(0, 1)[None], size, optical_flow(frames[near]))
        parts.append(mean[0].transpose(0, 1)[start - first : stop - first])
    return torch.cat(parts)


def apply_change(clip: Clip, change: Tensor, gate: Gate | None) -> Tensor:
    """The clip plus a change (F, 3, h, w), inside the gate only: uint8 (F, H, W, 3)."""
    parts = []
    for start in range(0, len(clip), CHUNK):
        few = slice(start, start + CHUNK)
        source = to_float(clip.frames[few])
        wide = interpolate(change[few], clip.size, mode="bicubic", align_corners=False)
        edited = (source + wide).clamp(0, 1)
        if gate is not None:
            edited = composite(edited, source, gate.at(few))
        parts.append(to_uint8(edited))
    return torch.cat(parts)


def psnr_outside(frames: Tensor, clip: Clip, gate: Gate | None) -> float | None:
    """PSNR in dB to the clip where the gate is 0 (everywhere without one).

    frames uint8 (F, H, W, 3). None where there is no difference at all.
    """
    error, count = 0.0, 0
    for start in range(0, len(clip), CHUNK):
        few = slice(start, start + CHUNK)
        squared = (frames[few].float() - clip.frames[few].float()).square()
        if gate is not None:
            squared = squared[gate.at(few).squeeze(1) == 0]
        error, count = error + float(squared.sum(dtype=torch.float64)), count + squared.numel()
    if error == 0:
        return None
    return round(float(10 * torch.log10(torch.tensor(255.0**2 * count / error))), 3)
