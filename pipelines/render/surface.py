"""What rendering and the fields see of a mesh: triangles, normals and places on a texture.

This module knows nothing about files, cameras or colours.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh at unit size: its box is centred at 0, its farthest vertex is at distance 1.

    y is up, as in glTF and in most OBJ files.
    """

    vertices: Tensor
    """(V, 3) fp32."""
    faces: Tensor
    """(F, 3) long, counter-clockwise from outside."""
    normals: Tensor
    """(F, 3, 3) fp32: the unit normal at every corner of every face, smooth but over creases."""
    uv: Tensor
    """(F, 3, 2) fp32 in [0, 1]: every corner's place on its texture; v = 0 is the bottom row."""
    atlas: Tensor
    """(F,) long: which texture the face is on, counted from 0."""

    def to(self, device: torch.device | str) -> "Surface":
        """The same surface on another device."""
        return Surface(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Points:
    """N points on a surface, in any order: where a field is asked, and what shading needs."""

    position: Tensor
    """(N, 3) fp32 in the unit ball."""
    normal: Tensor
    """(N, 3) fp32 unit vectors."""
    uv: Tensor
    """(N, 2) fp32 in [0, 1]."""
    atlas: Tensor
    """(N,) long."""
