"""What is painted and who judges it: fields on a surface, the user's mask, teachers, prompts.

This module knows nothing about views or steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pipelines.paint import fields
from pipelines.paint.composites import Query
from pipelines.render import Points, Surface
from pipelines.render.bake import sample
from pipelines.teachers.painting import Painting
from sds import csd


class Fields(nn.Module):
    """P, T and B of a surface, as far as a run needs them."""

    def __init__(
        self,
        how: Painting,
        atlases: int,
        everywhere: bool,
        generator: torch.Generator,
        resolution: int = 1024,
    ) -> None:
        """everywhere: the whole surface is painted, so there is no P and no B.

        resolution: texels along each side of the textures, where that is what the fields are.
        """
        super().__init__()
        self.region = self.background = None

        def field(what: fields.What) -> nn.Module:
            return fields.make_field(how.field, what, atlases, generator, resolution)

        self.style = field("colour")
        if not everywhere:
            self.region = field("region")
            if how.background:
                self.background = field("colour")

    def forward(self, points: Points, background: bool = True) -> Query:
        """What the fields say at N points; B is left out where it is not wanted."""
        behind = self.background if background else None
        return Query(
            region=None if self.region is None else fields.localisation(self.region(points)),
            style=fields.colour(self.style(points)),
            background=None if behind is None else fields.colour(behind(points)),
        )


@dataclass(frozen=True, eq=False)
class Mask:
    """The user's word on where the edit may happen."""

    textures: tuple[Tensor, ...]
    """(1, h, w) in [0, 1] for each texture, 1 where it may."""
    replaces: bool
    """Whether it is the region itself, or only bounds the one that is found."""

    def on(self, query: Query, allowed: Tensor) -> Query:
        """What the fields say, within the mask. Without a region nothing is bounded here.

        allowed (N, 1): the mask at the points that the query is about.
        """
        if query.region is None:
            return query
        return replace(query, region=allowed if self.replaces else query.region * allowed)

    def to(self, device: torch.device | str) -> "Mask":
        """The same mask on another device: where the points are, or every query uploads it."""
        return replace(self, textures=tuple(texture.to(device) for texture in self.textures))


@dataclass(frozen=True, eq=False)
class Task:
    """What is painted, and who judges it."""

    surface: Surface
    cascade: csd.Cascade
    prompts: csd.Prompts
    """One row for each composite."""
    mask: Mask | None

    def asked(
        self,
        painted: Fields,
        points: Points,
        bound: Tensor | None = None,
        background: bool = True,
    ) -> Query:
        """What `painted` says at N points, within the mask.

        bound: what `bound` says of the points, where that is known already.
        """
        query = painted(points, background)
        if self.mask is None:
            return query
        return self.mask.on(query, self.bound(points) if bound is None else bound)

    def bound(self, points: Points) -> Tensor:
        """The mask itself at N points, 1 without one: (N, 1)."""
        if self.mask is None:
            return torch.ones_like(points.uv[:, :1])
        return sample_atlases(self.mask.textures, points)


def sample_atlases(textures: Sequence[Tensor], points: Points) -> Tensor:
    """Every point's value on its own texture. textures (C, h, w) each -> (N, C)."""
    values = points.uv.new_zeros(len(points.uv), len(textures[0]))
    for k, texture in enumerate(textures):
        here = points.atlas == k
        values[here] = sample(texture.permute(1, 2, 0).to(values.device), points.uv[here])
    return values
