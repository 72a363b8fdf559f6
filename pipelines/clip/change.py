"""From a change at the working size to frames at the clip's own, and what it cost the rest.

The result is `source + change`, not a decoded picture: of a real clip the autoencoder loses far
more than an edit should, and where nothing is edited the change is zero and the frame exact. This
module knows nothing about teachers or files.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipelines.clip.gate import Gate
from pipelines.media import Clip, to_float, to_uint8
from sds.masks import composite

CHUNK = 4
"""Frames at full size that are in memory as floats at once."""


def working_size(size: tuple[int, int], side: int, multiple: int = 16) -> tuple[int, int]:
    """(h, w) of about side x side pixels, in the aspect ratio of `size`, in whole multiples."""
    scale = side / (size[0] * size[1]) ** 0.5
    h, w = (max(round(s * scale / multiple), 1) * multiple for s in size)
    return h, w


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
