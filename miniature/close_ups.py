"""Close-ups of a part, for training: windows that show it as large as it fits, or less.

The ball around a part, its centre c at distance d from a camera, is shown m times as large as in a
whole view from DISTANCE:

    side of the window = DISTANCE / (d m),     m from 1 to 1 / (MARGIN r)

A teacher that sees parts large learns their patterns where its pictures are fine enough for them,
and paints them better in whole views too. This module knows nothing about styles or captions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.render import Cameras
from pipelines.render.cameras import DISTANCE

MARGIN = 1.1
"""Room around the ball, as a factor of its radius."""


@dataclass(frozen=True, eq=False)
class Ball:
    """Where something is."""

    centre: Tensor
    """(3,)."""
    radius: Tensor
    """()."""


def ball(vertices: Tensor, faces: Tensor) -> Ball:
    """The ball around some faces (F, 3) of vertices (V, 3), its centre their mean by area."""
    corners = vertices[faces]
    a, b, c = corners.unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1, keepdim=True)
    centre = (area * corners.mean(1)).sum(0) / area.sum()
    return Ball(centre, (corners - centre).norm(dim=2).max())


def fitting(found: Ball, closest: float) -> Tensor:
    """How many times larger the ball may be shown than in a whole view: (), in [1, closest]."""
    return (MARGIN * found.radius).reciprocal().clamp(1, closest)


def close_up(cameras: Cameras, centre: Tensor, m: Tensor) -> Cameras:
    """The same cameras with windows around centres (B, 3); whole where m (B,) is 1."""
    right, up, back = ((centre - cameras.position)[:, None] @ cameras.axes.mT)[:, 0].unbind(1)
    edge = math.tan(math.radians(cameras.fov) / 2)
    side = DISTANCE / (centre - cameras.position).norm(dim=1) / m
    around = torch.stack([-right / back / edge, -up / back / edge, side], dim=1)
    whole = around.new_tensor([0.0, 0.0, 1.0])
    return Cameras(cameras.position, cameras.fov, torch.where(m[:, None] > 1, around, whole))
