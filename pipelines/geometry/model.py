"""What a mesh file holds, as the rest of the program sees it: parts, their UVs and base colours.

This module knows nothing about file formats, unwrapping or rendering.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError

if TYPE_CHECKING:
    from pipelines.geometry.gltf_file import Gltf
    from pipelines.geometry.obj_read import Obj

Floats = NDArray[np.floating]
Textures = Sequence[NDArray[np.uint8] | None]
"""One per part, (h, w, 3 or 4); None where it stays as it was."""
WHITE = (1.0, 1.0, 1.0, 1.0)
MAX_FACES = 2_000_000
"""Of a model."""
MAX_VERTICES = 8 * MAX_FACES
"""Of all parts together."""


@dataclass(frozen=True, eq=False)
class Part:
    """One geometry of a scene: what gets a texture of its own.

    Its existing base colour is `picture` (sRGB) times `factor` times `colours` (both linear light),
    each of them where there is one, multiplied in linear light as glTF does.
    """

    name: str
    vertices: Floats
    """(V, 3) fp64 in the scene's coordinates."""
    faces: NDArray[np.int64]
    """(F, 3) in the file's order, counter-clockwise from outside."""
    uv: Floats | None
    """(F, 3, 2) fp64 in [0, 1], v up: every corner's place on the texture that is painted; None
    until `unwrap`, where the file has no usable UVs."""
    old_uv: Floats | None = None
    """(F, 3, 2) fp64: where `picture` is read, as in the file; outside [0, 1] it repeats."""
    picture: NDArray[np.uint8] | None = None
    """(h, w, 3 or 4): the file's base-colour texture, first row on top."""
    factor: tuple[float, float, float, float] = WHITE
    """The material's base colour and opacity; the colour in linear light, [0, 1]."""
    colours: Floats | None = None
    """(F, 3, 3) fp32 linear light in [0, 1]: vertex or face colours, at every corner."""

    @property
    def keeps_uv(self) -> bool:
        """Whether the texture is painted in the UVs of the file."""
        return self.uv is not None and self.uv is self.old_uv


@dataclass(frozen=True, eq=False)
class Model:
    """A scene that can be painted and written back."""

    name: PurePath
    """The file's name, without its folders."""
    parts: tuple[Part, ...]
    """In the file's order."""
    notes: tuple[str, ...]
    """What the user should know: which UVs were not kept and why, which pictures are missing."""
    source: "Obj | Gltf | None"
    """What is needed to write the file back as it was; None where the parts are all there is."""
    beside: tuple[str, ...] = ()
    """The files it names and that are there, relative to its folder; none for a zip or a GLB."""

    @property
    def faces(self) -> int:
        """Faces of all parts together."""
        return sum(len(part.faces) for part in self.parts)


def check_size(faces: int, vertices: int = 0) -> None:
    """InputError above MAX_FACES, or where their parts hold more vertices than fit in memory.

    Parts that share vertices each hold all of them.
    """
    if faces > MAX_FACES or vertices > MAX_VERTICES:
        raise InputError(
            f"The mesh has more than {MAX_FACES:,} faces, or its parts {MAX_VERTICES:,} vertices. "
            "Simplify it first, for example with Blender's Decimate, or join parts."
        )


def linear(srgb: Floats) -> Floats:
    """The sRGB transfer curve, IEC 61966-2-1: coded values in [0, 1] to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def light_of(coded: Floats, most: float) -> Floats:
    """Colours coded as 0 to `most`, as fp32 linear light; what is not a number is black."""
    return linear(np.clip(np.nan_to_num(coded / most), 0, 1)).astype(np.float32)


def srgb(light: Floats) -> Floats:
    """The inverse of `linear`."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
