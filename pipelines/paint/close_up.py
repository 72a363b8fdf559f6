"""Close-ups of the region: views that show it as large as it fits.

A teacher's picture is small, and so is a part in it. The ball around what is painted, its centre c
at distance d from a camera, is shown m times as large as in a whole view from DISTANCE:

    m = 2^(k/2), the largest within 1 and 1 / (MARGIN r),     side of the window = DISTANCE / (d m)

m goes in steps, so that what hangs on the size of a pixel stays the same while the region still
moves a little. Views that are cut to what matters: Michel et al., "Text2Mesh" (CVPR 2022). This
module knows nothing about teachers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.render import Cameras, Points, Surface, at
from pipelines.render.cameras import DISTANCE

SAMPLES = 2048
"""Points of the surface that are asked where the region is."""
MARGIN = 1.1
"""Room around the ball, as a factor of its radius."""
REACH = 0.98
"""Share of the region that the ball holds: a speck elsewhere must not widen it."""


@dataclass(frozen=True, eq=False)
class Ball:
    """Where something is."""

    centre: Tensor
    """(3,)."""
    radius: Tensor
    """()."""


def scattered(surface: Surface, count: int = SAMPLES) -> Points:
    """Points all over a surface, by area; always the same ones."""
    generator = torch.Generator().manual_seed(0)
    a, b, c = surface.vertices[surface.faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1).double().cumsum(0)
    place = torch.rand(count, generator=generator, dtype=torch.float64).to(area.device)
    face = torch.searchsorted(area, place * area[-1]).clamp(max=len(area) - 1)
    u, v = torch.rand(2, count, generator=generator).to(surface.vertices)
    u = u.sqrt()
    return at(surface, face, torch.stack([1 - u, u * (1 - v), u * v], dim=1))


def ball(position: Tensor, region: Tensor) -> Ball:
    """The ball around those points (N, 3) with a region (N, 1) of a half or more.

    Where none has, it is the unit ball.
    """
    inside = (region[:, 0] >= 0.5).float()
    total = inside.sum()
    centre = (inside[:, None] * position).sum(0) / total.clamp(min=1)
    away, order = (position - centre).norm(dim=1).sort()
    reached = inside[order].cumsum(0) >= REACH * total
    radius = away.gather(0, reached.int().argmax(0, keepdim=True))[0]
    return Ball(centre, torch.where(total > 0, radius, torch.ones_like(radius)))


def magnification(found: Ball, closest: float) -> Tensor:
    """m, (), at most `closest`."""
    return torch.exp2((2 * fitting(found, closest).log2()).floor() / 2)


def fitting(found: Ball, closest: float) -> Tensor:
    """How many times larger the ball may be shown than in a whole view: (), in [1, closest]."""
    return (MARGIN * found.radius).reciprocal().clamp(1, closest)


def close_up(cameras: Cameras, centre: Tensor, m: Tensor) -> Cameras:
    """The same cameras with windows around centres (3,) or (B, 3); whole where m (), (B,) is 1."""
    position = cameras.position.to(centre)
    axes = cameras.axes.to(position)
    right, up, back = ((centre - position)[:, None] @ axes.mT)[:, 0].unbind(1)
    edge = math.tan(math.radians(cameras.fov) / 2)
    side = DISTANCE / (centre - position).norm(dim=1) / m
    around = torch.stack([-right / back / edge, -up / back / edge, side], dim=1)
    whole = around.new_tensor([0.0, 0.0, 1.0])
    close = (m > 1).expand(len(around))[:, None]
    return Cameras(cameras.position, cameras.fov, torch.where(close, around, whole))
