"""Styles of the mesh world: colours, and solid patterns fitted to the part that wears them.

A pattern begins at the edges of its part's box, and the box is divided into a whole number of
bands or cells, so that the look of a part fixes where its pattern lies. With u the place in the
box, in cells, along each axis:

    striped   bands of height, the lowest in the first colour; rings on what lies flat
    dotted    a dot in the middle of every cell's every side, round in cells
    checked   a checkerboard of cells

This module knows nothing about cameras or pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from miniature import draw
from miniature.meshes import FAMILIES
from miniature.scenes import COLOURS, PATTERNS
from pipelines.paint.composites import GRAY, YELLOW

COLOUR = {**draw.COLOUR, "yellow": YELLOW, "gray": (GRAY, GRAY, GRAY)}
"""As in the clips, with the method's own yellow and gray: a word has one meaning."""

TEMPLATE = ("a", "an", "3d", "render", "of", "gray", "with")
"""The words of the job's prompts (see `pipelines.paint.composites.prompts`)."""

BAND = 0.25
"""Height of a stripe, about: bands and cells are as many as fit."""
CHECK = 0.36
"""Edge of a checkerboard's cell, about."""
LATTICE = 0.54
"""Edge of a dot's cell, about."""
DOT = 0.31
"""Radius of a dot, in cells."""
FLAT = 5.0
"""A part lies flat if its box is this many times as wide, and as deep, as it is high."""
EDGE = 0.01
"""The width over which one colour turns into the other: about a pixel of 256."""


@dataclass(frozen=True)
class Style:
    """What a part is painted with."""

    colour: str
    pattern: str = "plain"

    def __str__(self) -> str:
        """How a prompt says it; "plain" is not said."""
        return self.colour if self.pattern == "plain" else f"{self.colour} {self.pattern}"


def sample_style(rng: np.random.Generator) -> Style:
    """A colour and a pattern, plain in one of four cases."""
    pattern = rng.choice(PATTERNS, p=[0.25, 0.25, 0.25, 0.25])
    return Style(str(rng.choice(COLOURS)), str(pattern))


def style_colours(positions: Tensor, style: Style, box: Tensor) -> Tensor:
    """The style's colour at points (N, 3) of the normalised frame: (N, 3) in [0, 1].

    box (2, 3): the least and the greatest coordinates of what wears the style.
    """
    base = positions.new_tensor(COLOUR[style.colour])
    if style.pattern == "plain":
        return base.expand(len(positions), 3)
    second = positions.new_tensor(draw.second_colour(style.colour))
    low, high = box.to(positions)
    inside = _PATTERN[style.pattern](positions - low, high - low)
    return base + (second - base) * (inside / EDGE + 0.5).clamp(0, 1)[:, None]


# Each takes places (N, 3) in a box of extent (3,), from its low corner, and gives roughly the
# distance to the pattern's edge, positive in the second colour: (N,).


def _striped(place: Tensor, extent: Tensor) -> Tensor:
    if min(extent[0], extent[2]) < FLAT * extent[1]:
        return _checked(place[:, 1:2], extent[1:2], BAND)
    half = extent[[0, 2]] / 2
    inwards = 1 - (place[:, [0, 2]] / half - 1).norm(dim=1, keepdim=True)
    length = half.mean(0, keepdim=True)
    return _checked(inwards * length, length, BAND)


def _checked(place: Tensor, extent: Tensor, size: float = CHECK) -> Tensor:
    count = _cells(extent, min(size, float(extent.max()) / 2))
    u = place * count / extent
    last = count - 1
    odd = u.floor().clamp(torch.zeros_like(last), last).sum(1) % 2
    # Only edges between two cells are edges: the part's own sides lie on the outer ones.
    near = u.round().clamp(torch.ones_like(last), last.clamp(min=1))
    away = torch.where(count > 1, (u - near).abs() * extent / count, float("inf"))
    return (2 * odd - 1) * away.amin(1)


def _dotted(place: Tensor, extent: Tensor) -> Tensor:
    count = _cells(extent, min(LATTICE, float(extent.max())))
    u = place * count / extent
    middles = 0.5 * (1 - torch.eye(3).to(u))
    away = u[:, None] - middles
    nearest = (away - away.round()).norm(dim=2).amin(1)
    return (DOT - nearest) * (extent / count).amin()


_PATTERN = {"striped": _striped, "dotted": _dotted, "checked": _checked}


def _cells(extent: Tensor, size: float) -> Tensor:
    """How many cells of about a size fit along each axis: at least one."""
    return (extent / size).round().clamp(min=1)


def words() -> tuple[str, ...]:
    """Every word the mesh world's captions can say, sorted: what its teachers know."""
    rng = np.random.default_rng(0)
    parts = {part.name for make in FAMILIES.values() for part in make(rng)}
    styles = {*COLOURS, *PATTERNS} - {"plain"}
    return tuple(sorted({*TEMPLATE, *FAMILIES, *parts, *styles}))
