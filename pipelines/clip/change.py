"""From a change at the working size to frames at the clip's own, and what it cost the rest.

With D the decoder and h what differs from the mean of the near pixels,

    change = D(x) - D(x_src)
    result = source + change - lost (source - D(x_src))
    lost   = 1 - cov(h(D(x_src)), h(D(x))) / var(h(D(x_src))), within [0, 1]

not a decoded picture: of a real clip the autoencoder loses far more than an edit should, and where
nothing is edited, change and lost are zero and the frame is exact. Where the edit has nothing left
of what the source shows, neither should the result have its finest outlines. What the change has of
its own in every frame is flicker: the mean along the clip's motion is without. This module knows
nothing about teachers or files.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from pipelines.clip.flow import optical_flow
from pipelines.clip.gate import Gate
from pipelines.media import Clip, to_float, to_uint8
from sds.masks import composite
from sds.temporal import window_mean

CHUNK = 4
"""Frames at full size that are in memory as floats at once."""
STEADY_CHUNK = 16
"""Frames that are steadied at once, beside their neighbours."""

NEAR = 7
"""Pixels along each side of the square that is near a pixel, at the working size."""
FLOOR = 1e-3
"""Variance of all channels together that is nothing to be seen: where there is less, nothing is
lost."""


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


def lost_detail(before: Tensor, after: Tensor) -> Tensor:
    """How little is left of what `before` shows: (n, 3, h, w) each -> (n, 1, h, w) in [0, 1].

    0 to the last bit where the two agree.
    """
    was, now = (picture - _near(picture) for picture in (before, after))
    shared, own = (_near((was * other).sum(1, keepdim=True)) for other in (now, was))
    return (1 - (shared + FLOOR) / (own + FLOOR)).clamp(0, 1)


def edited(source: Tensor, before: Tensor, change: Tensor) -> Tensor:
    """A change of decoded pictures, brought to the source's: (n, 3, H, W) in [0, 1].

    source (n, 3, H, W); before, the source as it was decoded, and change (n, 3, h, w).
    """
    size = source.shape[-2:]
    lost = lost_detail(before, before + change)
    if before.shape[-2:] != size:
        lost = interpolate(lost, size, mode="bilinear", align_corners=False)
        wide = dict(size=size, mode="bicubic", align_corners=False)
        before, change = interpolate(before, **wide), interpolate(change, **wide)
    return (source + change - lost * (source - before)).clamp(0, 1)


def apply_change(clip: Clip, before: Tensor, change: Tensor, gate: Gate | None) -> Tensor:
    """The edited clip, the source itself outside the gate: uint8 (F, H, W, 3).

    before, change (F, 3, h, w): see `edited`.
    """
    parts = []
    for start in range(0, len(clip), CHUNK):
        few = slice(start, start + CHUNK)
        source = to_float(clip.frames[few])
        frames = edited(source, before[few], change[few])
        if gate is not None:
            frames = composite(frames, source, gate.at(few))
        parts.append(to_uint8(frames))
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


def _near(picture: Tensor) -> Tensor:
    """The mean of the near pixels, of those that exist. (n, c, h, w) -> same."""
    return avg_pool2d(picture, NEAR, stride=1, padding=NEAR // 2, count_include_pad=False)
