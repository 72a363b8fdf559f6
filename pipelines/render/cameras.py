"""Pinhole cameras that look at the origin, and ways to spread them around it.

A camera sits at `position`, looks at 0 and keeps y up, as in glTF: in its own frame x is right, y
is up, and it looks along -z. With the default distance and field of view the unit ball fits the
picture: asin(1 / 3) = 19.5 degrees < 40 / 2. A window takes a square of the picture, which may
reach beyond it. This module knows nothing about surfaces or pixels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

DISTANCE = 3.0
"""From the origin, in radii of the unit ball."""
FOV = 40.0
"""Degrees from one side of the square picture to the other."""
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
POLE = 1e-6
"""A camera this close to the y axis, in radii, has no direction that y is up in."""


@dataclass(frozen=True, eq=False)
class Cameras:
    """B pinhole cameras that look at the origin."""

    position: Tensor
    """(B, 3) fp32, outside the unit ball."""
    fov: float = FOV
    """Degrees, in (0, 180)."""
    window: Tensor | None = None
    """(B, 3): the square of the picture that is taken instead of the whole. Its middle, right and
    up of the picture's, and its side: all in halves of the picture's side, but the side in wholes.
    None is (0, 0, 1)."""

    def __len__(self) -> int:
        return len(self.position)

    def some(self, which: slice) -> "Cameras":
        """Those of a slice."""
        window = None if self.window is None else self.window[which]
        return Cameras(self.position[which], self.fov, window)

    @property
    def axes(self) -> Tensor:
        """(B, 3, 3): the rows are each camera's right, up and back, unit vectors in the world.

        Straight above or below, where no direction is up, x is right.
        """
        back = normalize(self.position, dim=1)
        x, _, z = back.unbind(1)
        zero = torch.zeros_like(x)
        right = torch.stack([z, zero, -x], dim=1)
        at_pole = torch.hypot(x, z)[:, None] < POLE
        right = torch.where(at_pole, right.new_tensor([1.0, 0.0, 0.0]), right)
        right = normalize(right, dim=1)
        return torch.stack([right, torch.linalg.cross(back, right, dim=1), back], dim=1)


def sphere_views(
    count: int, generator: torch.Generator, distance: float = DISTANCE, fov: float = FOV
) -> Cameras:
    """Cameras spread evenly over the whole sphere, from below too, differently at every call.

    A golden-angle spiral (Fibonacci lattice) under a uniformly random rotation: every camera is
    uniform on the sphere, and together they leave no large hole. -> `count` cameras on the
    generator's device.
    """
    device = generator.device
    k = torch.arange(count, dtype=torch.float32, device=device) + 0.5
    height = 1 - 2 * k / count
    radius = (1 - height.square()).sqrt()
    turn = GOLDEN_ANGLE * k
    spiral = torch.stack([radius * turn.cos(), height, radius * turn.sin()], dim=1)
    rotation = _rotation(torch.randn(4, generator=generator, device=device))
    return Cameras(distance * spiral @ rotation.T, fov)


def orbit(count: int, elevation: float, distance: float = DISTANCE, fov: float = FOV) -> Cameras:
    """A turntable: `count` cameras evenly around the y axis, the first in front, at +z.

    elevation: degrees above the horizon, in [-90, 90].
    """
    turn = 2 * math.pi * torch.arange(count, dtype=torch.float32) / count
    up = math.radians(elevation)
    flat = math.cos(up)
    position = torch.stack(
        [flat * turn.sin(), torch.full_like(turn, math.sin(up)), flat * turn.cos()], dim=1
    )
    return Cameras(distance * position, fov)


def _rotation(quaternion: Tensor) -> Tensor:
    """The rotation of a quaternion of any length (4,); uniform for a Gaussian one. -> (3, 3)."""
    w, x, y, z = normalize(quaternion, dim=0).tolist()
    return quaternion.new_tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
