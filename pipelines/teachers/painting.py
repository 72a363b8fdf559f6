"""How a painting asks a cascade: the settings that a user may change, and the paper's.

This module knows nothing about surfaces, nor about what the settings come to at a step
(`pipelines.paint.schedule`).
"""

from dataclasses import dataclass
from typing import Literal

from sds import csd

FieldKind = Literal["fourier", "hash", "texture"]
"""The fields there are, `hash` the fastest on a CPU."""


@dataclass(frozen=True)
class Painting:
    """How a surface is painted."""

    field: FieldKind = "hash"
    """What colours are kept in: a hash grid, the paper's Fourier network, or a texture."""
    rate: float = 2e-2
    """Learning rate of Adam."""
    views: int = 4
    """Views per step."""
    cascade: Literal["joint", "phases"] = "joint"
    """Whether both stages judge together, or stage II follows on stage I's frozen result."""
    guidance_1: float = 8.0
    """Guidance scale of stage I; 1 is none (Imagen's convention)."""
    guidance_2: float = 8.0
    """Guidance scale of stage II."""
    style_guidance: float = 0.1
    """How much of the guidance beyond 1 the style's composite gets, as a factor. Much guidance
    finds the part; little keeps its colours true. A pattern gets twice as much, at most 1."""
    low: int = 20
    """Lowest noise level, of 1000."""
    high: int = 950
    """Highest noise level at the first step, of 1000."""
    high_end: int = 350
    """Highest noise level at the last step."""
    detail: float = 0.05
    """Weight of stage II at the end; 0 leaves it out. The built-in one washes colours out where it
    weighs more."""
    detail_from: float = 0.8
    """Share of the run that stage I does alone, before stage II's weight rises from 0."""
    crop: float = 0.5
    """Stage II judges a square of each render at a random place: this share of the render's side. A
    half takes a quarter of stage II's time; 1 is the whole, as published."""
    background: bool = True
    """Whether the background composite is judged too; it holds the region to its part."""
    attached: float = 1.0
    """Share of the noise on stage I's style composite that stays where it is on the surface; over
    the end of the run it falls to 0. It lets patterns find a place; 0 is fresh noise throughout."""
    contrast: float = 3.0
    """Guidance of both stages from what the style should be unlike towards the style. It brings a
    pattern out and moves no colour as a whole; over the end of the run it falls to 0. 0 leaves it
    out."""


PAPER = Painting(
    field="fourier",
    rate=1e-4,
    guidance_1=csd.PAPER.stage_1.guidance,
    guidance_2=csd.PAPER.stage_2.guidance,
    style_guidance=1.0,
    detail=0.8,
    high=980,
    high_end=980,
    detail_from=0.0,
    crop=1.0,
    attached=0.0,
    contrast=0.0,
)
"""3D Paintbrush as published: 5,000 steps of 4 views."""
