"""A painted texture as layers: what was there, the new colours, and where they show.

    texture = base + w (style - base),   w = 1 inside the region, falling to 0 just outside it

w comes from the localization by a threshold, so the region can be moved after a run. Where w is 0
the base is untouched to the last bit. The soft edge lies outside: a later edit lies over the result
of an earlier one, and where their regions meet nothing of what was there first shows between them.
This module knows nothing about fields or teachers.
"""

import os
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import torch
from torch import Tensor

from pipelines import geometry
from pipelines.errors import InputError
from pipelines.media import read_image, save_png

SOFTNESS = 0.2
"""Width of the soft edge around the region, in units of the localization."""
NAMES = ("base", "style", "localization")
MOST_TEXELS = 2**28
"""Of all textures of a mesh: four of 8192 x 8192. With all their layers they take 2 GB."""


@dataclass(frozen=True, eq=False)
class Layers:
    """One texture's layers, all of one size."""

    base: Tensor
    """uint8 (h, w, 3): the mesh's own colours."""
    style: Tensor
    """uint8 (h, w, 3): the new colours, everywhere."""
    localization: Tensor
    """uint8 (h, w): how sure the run is that the texel belongs to the region, 0..255."""

    def weight(self, threshold: float) -> Tensor:
        """How much of the new colour shows at a threshold in (0, 1): (h, w) in [0, 1]."""
        p = self.localization.double() / 255
        # The edge ends within [0, 1], so that 0 shows nothing.
        soft = min(SOFTNESS, threshold)
        # Rounded, so that the ends are met to the last bit.
        return ((p - threshold) / soft + 1).round(decimals=6).clamp(0, 1).float()

    def texture(self, threshold: float) -> Tensor:
        """uint8 (h, w, 3): what the mesh wears."""
        weight = self.weight(threshold)[..., None]
        base = self.base.float()
        return (base + weight * (self.style.float() - base)).round().to(torch.uint8)


def base_colours(model: geometry.Model, resolution: int) -> list[Tensor]:
    """Each part's own colours, the base of its layers: uint8 (h, w, 3).

    resolution: side of those that bring none, or smaller ones. Raises InputError where they are too
    many to be held at once.
    """
    found: list[Tensor] = []
    texels = 0
    for part in model.parts:
        found.append(torch.tensor(geometry.base_colour(part, resolution)))
        texels += found[-1].shape[:2].numel()
        if texels > MOST_TEXELS:
            raise InputError(
                f"The mesh has {len(model.parts)} parts, and textures of {resolution} x "
                f"{resolution} or more for each of them do not fit into memory: lower --resolution "
                "or join parts that wear one material."
            )
    return found


def check_threshold(threshold: float) -> None:
    """Raises InputError when the threshold shows everything or nothing."""
    if not 0 < threshold < 1:
        raise InputError(f"The threshold {threshold} must lie between 0 and 1; 0.5 is the default.")


def file_name(layer: str, atlas: int, count: int) -> str:
    """A layer's file: "style.png", or "style_2.png" where a mesh has several textures."""
    return f"{layer}.png" if count == 1 else f"{layer}_{atlas}.png"


def save_layers(folder: Path, layers: tuple[Layers, ...]) -> None:
    """Write every layer as a PNG."""
    for k, layer in enumerate(layers):
        for name in NAMES:
            save_png(folder / file_name(name, k, len(layers)), getattr(layer, name))


def load_layers(folder: Path) -> tuple[Layers, ...]:
    """What `save_layers` wrote. Raises InputError where a picture is missing."""
    single = os.path.exists(folder / file_name("style", 0, 1))
    count = 1 if single else len(glob("style_*.png", root_dir=folder))
    if not count:
        raise InputError(f"{folder.name} holds no painted mesh. Give the folder of a finished run.")

    def read(name: str, k: int) -> Tensor:
        return read_image(folder / file_name(name, k, count))

    return tuple(
        Layers(read("base", k), read("style", k), read("localization", k)[..., 0])
        for k in range(count)
    )
