"""The user's mask of a mesh: a picture in its UVs, or one drawn on a view of it.

A picture that was drawn on a view is projected back: a texel belongs to it where the camera sees
the surface under the texel. This module knows nothing about fields or teachers.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from pipelines.bake import sample, texels, texture_image
from pipelines.errors import InputError
from pipelines.media import read_image
from pipelines.painting import Mask
from pipelines.render import Cameras, Surface, rasterise
from pipelines.render.cameras import DISTANCE
from pipelines.render.rasterise import project

NEARER = 0.02
"""How far behind what a camera sees a point may lie and still be seen. The mesh's radius is 1."""


def read_uv_mask(
    path: Path,
    surface: Surface,
    view: tuple[float, float] | None,
    sizes: list[tuple[int, int]],
    replaces: bool,
) -> Mask:
    """The mask in a picture: white is where the edit may happen.

    view: degrees around the mesh and above it, where it was drawn on a view; None where it is in
    the mesh's UVs. sizes: (h, w) of every texture. Raises InputError for a picture of another size,
    for one in the UVs of a mesh with several textures, and for one that allows nothing.
    """
    mask = read_image(path).float().mean(-1) / 255
    if view is None:
        textures = (_in_uv(mask, path.name, sizes),)
    else:
        if mask.shape[0] != mask.shape[1]:
            raise InputError(f"{path.name} must be square, as the views are that it is drawn on.")
        textures = project_mask(mask, surface, view_camera(*view), sizes)
    if not any(bool(texture.any()) for texture in textures):
        raise InputError(f"{path.name} allows nothing: paint white where the edit may happen.")
    return Mask(textures, replaces)


def view_camera(azimuth: float, elevation: float) -> Cameras:
    """One camera, in degrees around the y axis from +z, and above the horizon."""
    turn, up = math.radians(azimuth), math.radians(elevation)
    position = [math.cos(up) * math.sin(turn), math.sin(up), math.cos(up) * math.cos(turn)]
    return Cameras(DISTANCE * torch.tensor([position]))


def project_mask(
    mask: Tensor, surface: Surface, camera: Cameras, sizes: list[tuple[int, int]]
) -> tuple[Tensor, ...]:
    """A mask (S, S) drawn on a view, brought to every texture: (1, h, w) each."""
    side = len(mask)
    depth = rasterise(surface, camera, side).depth[0]
    found = []
    for atlas, size in enumerate(sizes):
        points, index = texels(surface, atlas, size)
        if not len(index):
            found.append(torch.zeros(1, *size))
            continue
        xz, yz, z = project(points.position, camera, side)[:, 0]
        x, y = xz / z, yz / z
        column, row = x.round().long(), y.round().long()
        inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
        row, column = row.clamp(0, side - 1), column.clamp(0, side - 1)
        seen = inside & (z <= depth[row, column] + NEARER)
        uv = torch.stack([(x + 0.5) / side, 1 - (y + 0.5) / side], dim=1).float()
        value = sample(mask[..., None], uv) * seen[:, None]
        found.append(texture_image(value, index, size).permute(2, 0, 1))
    return tuple(found)


def _in_uv(mask: Tensor, name: str, sizes: list[tuple[int, int]]) -> Tensor:
    if len(sizes) > 1:
        raise InputError(
            f"The mesh has {len(sizes)} textures and {name} is one picture. Draw the mask on a "
            "view of the mesh and say which with --mask-view."
        )
    (h, w), (height, width) = mask.shape, sizes[0]
    if h * width != w * height:
        raise InputError(
            f"{name} is {w}x{h}, but the mesh's texture is {width}x{height}. Make the mask that "
            "size, or the same shape."
        )
    return mask[None]
