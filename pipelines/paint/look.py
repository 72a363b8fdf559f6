"""Views of a surface, with what is painted on it in every composite.

This module knows nothing about fields or teachers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.paint.composites import Query, colours
from pipelines.render import Cameras, Points, Surface, compose, rasterise, shade, visible


@dataclass(frozen=True, eq=False)
class Look:
    """The same views of every composite."""

    points: Points
    index: Tensor
    """(N,) long: each point's pixel."""
    shading: Tensor
    """(N,)."""
    background: Tensor
    """(B, 3) in [0, 1]."""
    size: int

    @property
    def views(self) -> int:
        """B."""
        return len(self.background)

    def render(self, query: Query) -> Tensor:
        """All composites, one after the other: (composites * B, 3, size, size) in [0, 1]."""
        return torch.cat([self.picture(colour) for colour in colours(query)])

    def mask(self, values: Tensor) -> Tensor:
        """The views in one unlit value for each point, (N, 1), 0 around: (B, 1, size, size)."""
        nothing = torch.zeros_like(self.background[:, :1])
        return compose(values, torch.ones_like(self.shading), self.index, nothing, self.size)

    def picture(self, colour: Tensor) -> Tensor:
        """The views in one colour for each point, (N, 3): (B, 3, size, size) in [0, 1]."""
        return compose(colour, self.shading, self.index, self.background, self.size)


def look(surface: Surface, cameras: Cameras, size: int, background: Tensor) -> Look:
    """What `cameras` see of a surface. background (B, 3) in [0, 1]."""
    points, index = visible(surface, rasterise(surface, cameras, size))
    return Look(points, index, shade(points, cameras, index, size), background, size)
