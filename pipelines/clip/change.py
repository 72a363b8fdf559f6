"""From a change at the working size to frames at the clip's own, and what it cost the rest.

With D the decoder and cov the covariance of the three channels over a window,

    change = D(x) - D(x_src)
    result = source + change + A (source - D(x_src))
    A      = cov(change, D(x_src)) (cov(D(x_src), D(x_src)) + FLOOR)^-1

not a decoded picture: of a real clip the autoencoder loses far more than an edit should, and where
nothing is edited the change is zero and the frame exact. A is what the change is made of, out of
what is there (the coefficients of a guided filter, He et al., ECCV 2010), and so says what becomes
of the finest detail, which only the source has: -1 where nothing is left of it, and another colour
where it gets one. What the change has of its own in every frame is flicker: the mean along the
clip's motion is without. This module knows nothing about teachers or files.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from pipelines.clip.flow import optical_flow
from pipelines.clip.gate import Gate
from pipelines.media import Clip, to_float, to_uint8
from sds.masks import composite
from sds.temporal import steady_mean

CHUNK = 4
"""Frames at full size that are in memory as floats at once."""
STEADY_CHUNK = 16
"""Frames that are steadied at once, beside their neighbours."""
WINDOW, STRIDE = 8, 4
"""Pixels along each side of a window of `shares`, and from one to the next, at the working size."""
FLOOR = 3e-3
"""Variance of a contrast that counts half: of less, little is made."""
MOST = 2.0
"""The most, either way, that a change is made of a channel."""


def working_size(size: tuple[int, int], side: int, multiple: int = 16) -> tuple[int, int]:
    """(h, w) of about side x side pixels, in the aspect ratio of `size`, in whole multiples."""
    scale = side / (size[0] * size[1]) ** 0.5
    h, w = (max(round(s * scale / multiple), 1) * multiple for s in size)
    return h, w


def steadied(
    change: Tensor, frames: Tensor, size: int, device: torch.device | str = "cpu"
) -> Tensor:
    """The mean of the change over `size` frames, an odd number, along the motion of the clip.

    change, frames (F, 3, h, w), the clip in [0, 1] -> (F, 3, h, w) where the change is. device:
    where the work is done. 1 leaves the change alone.
    """
    if size == 1:
        return change
    parts = []
    for start in range(0, len(change), STEADY_CHUNK):
        first, stop = max(start - size // 2, 0), start + STEADY_CHUNK
        near = slice(first, min(stop + size // 2, len(change)))
        flows = optical_flow(frames[near]).to(device)
        mean = steady_mean(change[near].to(device), frames[near].to(device), flows, size)
        parts.append(mean[start - first : stop - first].to(change.device))
    return torch.cat(parts)


def shares(before: Tensor, change: Tensor) -> Tensor:
    """A above: (n, 3, h, w) each -> (n, 9, h / STRIDE, w / STRIDE), its rows one after the other.

    0 to the last bit where nothing changes.
    """
    there = _covariance(before, before) + FLOOR * torch.eye(3, device=before.device)
    # Solved from the right: A there = cov(change, before), and `there` is its own transpose.
    found = torch.linalg.solve(there, _covariance(before, change)).mT.clamp(-MOST, MOST)
    return found.flatten(3).permute(0, 3, 1, 2)


def edited(source: Tensor, before: Tensor, change: Tensor) -> Tensor:
    """A change of decoded pictures, brought to the source's: (n, 3, H, W) in [0, 1].

    source (n, 3, H, W); before, the source as it was decoded, and change (n, 3, h, w).
    """
    size = source.shape[-2:]
    of = interpolate(shares(before, change), size, mode="bilinear", align_corners=False)
    if before.shape[-2:] != size:
        wide = dict(size=size, mode="bicubic", align_corners=False)
        before, change = interpolate(before, **wide), interpolate(change, **wide)
    detail = (of.unflatten(1, (3, 3)) * (source - before).unsqueeze(1)).sum(2)
    return (source + change + detail).clamp(0, 1)


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


def _covariance(a: Tensor, b: Tensor) -> Tensor:
    """Of the channels in each window: (n, 3, h, w) each -> (n, h / STRIDE, w / STRIDE, 3, 3)."""
    both = _windows((a.unsqueeze(2) * b.unsqueeze(1)).flatten(1, 2)).unflatten(1, (3, 3))
    apart = _windows(a).unsqueeze(2) * _windows(b).unsqueeze(1)
    return (both - apart).permute(0, 3, 4, 1, 2)


def _windows(picture: Tensor) -> Tensor:
    """The mean of each window, of the pixels that exist."""
    around = (WINDOW - STRIDE) // 2
    return avg_pool2d(picture, WINDOW, STRIDE, around, count_include_pad=False)
