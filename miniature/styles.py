"""Styles of the mesh world: colours and solid patterns of the 3D position.

A pattern is a function of the position in the normalised frame (see `Surface`), with one pitch and
one direction, so that the words of an edit fix its answer: with r the distance from the y axis,

    striped   the stripes follow y - r / 2: rings on what is upright and on what is flat
    dotted    balls on a body-centred cubic lattice, so that every flat side cuts some
    checked   a checkerboard of cubes

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

STRIPE = 0.5
"""Period of the stripes; half of it is the second colour."""
LATTICE = 0.54
"""Edge of the dots' lattice cell."""
DOT = 0.17
"""Radius of a dot; more than LATTICE / 4, so that a plane y = const always meets some."""
CHECK = 0.36
"""Edge of a checkerboard's cube."""
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
    """A colour and a pattern, plain in two of five cases."""
    pattern = rng.choice(PATTERNS, p=[0.4, 0.2, 0.2, 0.2])
    return Style(str(rng.choice(COLOURS)), str(pattern))


def style_colours(positions: Tensor, style: Style) -> Tensor:
    """The style's colour at points of the normalised frame: (N, 3) -> (N, 3) in [0, 1]."""
    base = positions.new_tensor(COLOUR[style.colour])
    if style.pattern == "plain":
        return base.expand(len(positions), 3)
    second = positions.new_tensor(draw.second_colour(style.colour))
    inside = _distance(positions, style.pattern)
    return base + (second - base) * (inside / EDGE + 0.5).clamp(0, 1)[:, None]


def _distance(positions: Tensor, pattern: str) -> Tensor:
    """Roughly the distance to the pattern's edge, positive in the second colour: (N,)."""
    x, y, z = positions.unbind(1)
    if pattern == "striped":
        return _wave(y - 0.5 * torch.hypot(x, z), STRIPE) / 1.25**0.5
    if pattern == "checked":
        waves = _wave(positions, 2 * CHECK)
        return waves.prod(1).sign() * waves.abs().amin(1)
    corner = _wrap(positions, LATTICE).norm(dim=1)
    centre = _wrap(positions + LATTICE / 2, LATTICE).norm(dim=1)
    return DOT - torch.minimum(corner, centre)


def _wrap(x: Tensor, period: float) -> Tensor:
    """x less the nearest multiple of the period."""
    return x - period * (x / period).round()


def _wave(x: Tensor, period: float) -> Tensor:
    """Signed distance to the nearest edge of stripes of half a period each, positive about 0."""
    return period / 4 - _wrap(x, period).abs()


def words() -> tuple[str, ...]:
    """Every word the mesh world's captions can say, sorted: what its teachers know."""
    rng = np.random.default_rng(0)
    parts = {part.name for make in FAMILIES.values() for part in make(rng)}
    styles = {*COLOURS, *PATTERNS} - {"plain"}
    return tuple(sorted({*TEMPLATE, *FAMILIES, *parts, *styles}))
