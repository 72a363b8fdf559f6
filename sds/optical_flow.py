"""Optical flow as a tensor: pulling a picture along it, chaining it, knowing where it fails.

A flow (N, 2, H, W) lives on the grid of the picture it explains and holds (dx, dy) in pixels:
`warp(x, flow)(p) = x(p + flow(p))` (backward warping). This module knows nothing about how flow is
estimated (OpenCV, in the pipelines) nor about frames of latents (`sds.temporal`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Flows:
    """The flow of one clip of F frames, both ways, in pixels of the grid (H, W) it is given on."""

    to_next: Tensor
    """(F-1, 2, H, W): entry i lives on frame i and points into frame i+1."""
    to_previous: Tensor
    """(F-1, 2, H, W): entry i lives on frame i+1 and points into frame i."""

    def __post_init__(self) -> None:
        if self.to_next.shape != self.to_previous.shape or self.to_next.shape[1] != 2:
            raise ValueError(
                f"to_next {tuple(self.to_next.shape)} and to_previous "
                f"{tuple(self.to_previous.shape)} must both be (F-1, 2, H, W)"
            )

    def to(self, device: torch.device | str) -> "Flows":
        """The same flows on another device."""
        return Flows(self.to_next.to(device), self.to_previous.to(device))


def resize(flows: Flows, size: tuple[int, int]) -> Flows:
    """The flows on a grid of `size` (h, w), their vectors in pixels of that grid."""

    def one(flow: Tensor) -> Tensor:
        h, w = flow.shape[-2:]
        scale = flow.new_tensor([size[1] / w, size[0] / h]).view(1, 2, 1, 1)
        return F.adaptive_avg_pool2d(flow, size) * scale

    return Flows(one(flows.to_next), one(flows.to_previous))


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Bilinear backward warp, borders repeated. x (N, C, H, W), flow (N, 2, H, W) -> (N, C, H, W).

    Gathers in pixel coordinates instead of `grid_sample`'s [-1, 1], whose round trip is not exact:
    here zero flow is the identity and an integer flow a shift, to the last bit.
    """
    n, c, h, w = x.shape
    px, py = _targets(flow)
    px, py = px.clamp(0, w - 1), py.clamp(0, h - 1)
    x0, y0 = px.floor().long(), py.floor().long()
    x1, y1 = (x0 + 1).clamp(max=w - 1), (y0 + 1).clamp(max=h - 1)
    flat = x.flatten(2)

    def take(row: Tensor, column: Tensor) -> Tensor:
        index = (row * w + column).view(n, 1, h * w).expand(-1, c, -1)
        return flat.gather(2, index).view(n, c, h, w)

    wx, wy = (px - x0).unsqueeze(1), (py - y0).unsqueeze(1)
    top = torch.lerp(take(y0, x0), take(y0, x1), wx.expand(-1, c, -1, -1).to(x.dtype))
    bottom = torch.lerp(take(y1, x0), take(y1, x1), wx.expand(-1, c, -1, -1).to(x.dtype))
    return torch.lerp(top, bottom, wy.expand(-1, c, -1, -1).to(x.dtype))


def inside(flow: Tensor) -> Tensor:
    """Where the flow points inside the picture. (N, 2, H, W) -> (N, 1, H, W) bool."""
    h, w = flow.shape[-2:]
    px, py = _targets(flow)
    return ((px >= 0) & (px <= w - 1) & (py >= 0) & (py <= h - 1)).unsqueeze(1)


def chain(first: Tensor, second: Tensor) -> Tensor:
    """Follow `first` (on the grid wanted), then `second` where it leads. (N, 2, H, W) each."""
    return first + warp(second, first)


def reliable(flow: Tensor, back: Tensor) -> Tensor:
    """Where flow and its way back cancel, within the tolerance of Sundaram et al. (ECCV 2010).

    |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5. flow (N, 2, H, W) on the grid wanted, back (N, 2, H, W)
    on the other frame's. -> (N, 1, H, W) bool, false where newly seen or outside the picture.
    """
    returned = warp(back, flow)
    gap = (flow + returned).square().sum(1, keepdim=True)
    size = flow.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    return (gap < 0.01 * size + 0.5) & inside(flow)


def _targets(flow: Tensor) -> tuple[Tensor, Tensor]:
    h, w = flow.shape[-2:]
    rows = torch.arange(h, device=flow.device, dtype=flow.dtype).view(1, h, 1)
    columns = torch.arange(w, device=flow.device, dtype=flow.dtype).view(1, 1, w)
    return columns + flow[:, 0], rows + flow[:, 1]
