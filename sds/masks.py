"""Masks: grow, feather, bring to the latent grid, carry through time, composite.

A mask of a clip is (F, 1, H, W) in [0, 1], 1 where the edit may happen. This module knows nothing
about how a mask was drawn, nor about how the flows were estimated.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sds.optical_flow import Flows, chain, inside, reliable, warp


def grow(mask: Tensor, radius: float) -> Tensor:
    """Dilate by a disk of `radius` pixels; erode when it is negative. (F, 1, H, W) -> same.

    Greyscale morphology, exact for soft masks too. The picture's border neither grows nor erodes.
    """
    return -_dilate(-mask, -radius) if radius < 0 else _dilate(mask, radius)


def feather(mask: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `sigma` pixels, borders repeated. (F, 1, H, W) -> same.

    The kernel ends at 3 sigma, so the mask stays exactly 0 farther than that from the edit.
    """
    if sigma == 0:
        return mask
    half = math.ceil(3 * sigma)
    offsets = torch.arange(-half, half + 1, device=mask.device, dtype=mask.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    blurred = F.conv2d(F.pad(mask, (half, half, 0, 0), mode="replicate"), kernel)
    kernel = kernel.transpose(2, 3)
    blurred = F.conv2d(F.pad(blurred, (0, 0, half, half), mode="replicate"), kernel)
    return blurred.clamp(0, 1)


def to_latent(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Downsample to the latent grid of `size` (h, w). (F, 1, H, W) -> (1, 1, F, h, w).

    A cell takes the mean of its pixels, so that the edge of the gate is soft.
    """
    return F.adaptive_avg_pool2d(mask, size).transpose(0, 1).unsqueeze(0)


def to_latent_frames(mask: Tensor, stride: int, count: int) -> Tensor:
    """From frames to the latent frames that hold them: one for the first, then one for `stride`.

    (1, 1, F, h, w) -> (1, 1, count, h, w), what any of the frames allows. Frames that a clip was
    padded with are like its last.
    """
    first, rest = mask[:, :, :1], mask[:, :, 1:]
    missing = (count - 1) * stride - rest.shape[2]
    rest = torch.cat([rest, mask[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
    return torch.cat([first, rest.unflatten(2, (count - 1, stride)).amax(3)], dim=2)


def carry(mask: Tensor, frame_index: int, flows: Flows) -> Tensor:
    """A mask drawn on one frame, on all frames of the clip.

    mask (1, 1, H, W), flows of F frames on the same grid -> (F, 1, H, W). The flow is chained, not
    the mask, so that the mask is interpolated once however long the clip. A pixel whose motion
    cannot be followed back (it was hidden, or comes from outside) gets 0.
    """
    n_frames = len(flows.to_next) + 1
    if not 0 <= frame_index < n_frames:
        raise ValueError(f"frame {frame_index} is not in a clip of {n_frames} frames")
    out = [mask] * n_frames
    ahead = zip(flows.to_previous[frame_index:], flows.to_next[frame_index:], strict=True)
    out[frame_index + 1 :] = _follow(mask, list(ahead))
    behind = zip(flows.to_next[:frame_index], flows.to_previous[:frame_index], strict=True)
    out[:frame_index] = _follow(mask, list(behind)[::-1])[::-1]
    return torch.cat(out)


def composite(edited: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """The edit over the source: bit for bit the source where the mask is 0, the edit where it is 1.

    edited, source (F, 3, H, W), mask (F, 1, H, W) in [0, 1] -> (F, 3, H, W).
    """
    mask = mask.to(source.dtype).expand_as(source)
    return torch.where(mask == 0, source, torch.lerp(source, edited, mask))


def _follow(mask: Tensor, steps: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Carry a mask along steps of (flow towards the mask's frame, flow back), nearest first."""
    out, total, valid = [], None, torch.ones_like(mask)
    for flow, back in steps:
        flow, back = flow[None], back[None]
        valid = (reliable(flow, back) & (warp(valid, flow) >= 0.5)).to(mask.dtype)
        total = flow if total is None else chain(flow, total)
        out.append(warp(mask, total) * valid * inside(total))
    return out


def _dilate(mask: Tensor, radius: float) -> Tensor:
    # A disk is a stack of horizontal runs. Runs are built once, from short to long, and each is
    # raised and lowered to the rows that need that length: about 4 r maxima instead of pi r^2.
    reach = math.floor(radius)
    runs = [math.floor(math.sqrt(radius * radius - dy * dy)) for dy in range(reach + 1)]
    out, run = mask, mask
    for half in range(reach + 1):
        run = torch.maximum(run, torch.maximum(_shift(mask, half, 3), _shift(mask, -half, 3)))
        for dy in (dy for dy, length in enumerate(runs) if length == half):
            out = torch.maximum(out, torch.maximum(_shift(run, dy, 2), _shift(run, -dy, 2)))
    return out


def _shift(x: Tensor, by: int, dim: int) -> Tensor:
    """x moved by `by` pixels along a dimension; -inf comes in from the border."""
    size = x.shape[dim]
    if abs(by) >= size:
        return torch.full_like(x, -torch.inf)
    fill = torch.full_like(x.narrow(dim, 0, abs(by)), -torch.inf)
    kept = x.narrow(dim, max(-by, 0), size - abs(by))
    return torch.cat([fill, kept] if by >= 0 else [kept, fill], dim=dim)
