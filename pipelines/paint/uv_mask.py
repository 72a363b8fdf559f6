"""The user's mask of a mesh: pictures in its UVs, or one drawn on a view of it.

White is where the edit may happen; black and transparent places are kept. A picture that was drawn
on a view is projected back: a texel belongs to it where the camera sees the surface under the
texel. This module knows nothing about fields or teachers.
"""

import math
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from pipelines.errors import InputError
from pipelines.geometry.files import DAMAGED
from pipelines.media import read_level
from pipelines.media.files import expect_file
from pipelines.paint.task import Mask
from pipelines.render import Cameras, Surface, rasterise
from pipelines.render.bake import sample, texels, texture_image
from pipelines.render.cameras import DISTANCE
from pipelines.render.rasterise import project

MOST_BYTES = 64 * 2**20
"""Of a picture in a zip."""
NEARER = 0.02
"""How far behind what a camera sees a point may lie and still be seen. The mesh's radius is 1."""
NEARER_AVERTED = 0.004
"""The same where the surface faces away: a closed mesh hides it right behind its front, and only
the back of a sheet is to be seen."""


def read_uv_mask(
    path: Path,
    surface: Surface,
    view: tuple[float, float] | None,
    sizes: list[tuple[int, int]],
    replaces: bool,
) -> Mask:
    """The mask in a file: white is where the edit may happen.

    view: degrees around the mesh and above it, where it is a picture drawn on a view; None where it
    is in the mesh's UVs: a picture, or a zip of one for each texture. sizes: (h, w) of every
    texture. Raises InputError for pictures of another size, for another number of them than the
    mesh has textures, and for a mask that allows nothing.
    """
    textures = read_masks(path, surface, view, sizes)
    if not any(bool(texture.any()) for texture in textures):
        raise InputError(f"{path.name} allows nothing: paint white where the edit may happen.")
    return Mask(textures, replaces)


def read_masks(
    path: Path,
    surface: Surface,
    view: tuple[float, float] | None,
    sizes: list[tuple[int, int]],
) -> tuple[Tensor, ...]:
    """`read_uv_mask` that accepts a mask that allows nothing: (1, h, w) in [0, 1] each."""
    if view is None:
        masks = zip(_pictures(path, len(sizes)), sizes, strict=True)
        return tuple(_in_uv(mask, path.name, size) for mask, size in masks)
    mask = read_level(path)
    if mask.shape[0] != mask.shape[1]:
        raise InputError(f"{path.name} must be square, as the views are that it is drawn on.")
    return project_mask(mask, surface, view_camera(*view), sizes)


def mask_name(texture: int) -> str:
    """A texture's picture in a zip of masks."""
    return f"mask_{texture}.png"


def view_camera(azimuth: float, elevation: float) -> Cameras:
    """One camera, in degrees around the y axis from +z, and above the horizon."""
    turn, up = math.radians(azimuth), math.radians(elevation)
    position = [math.cos(up) * math.sin(turn), math.sin(up), math.cos(up) * math.cos(turn)]
    return Cameras(DISTANCE * torch.tensor([position], dtype=torch.float32))


def project_mask(
    mask: Tensor, surface: Surface, camera: Cameras, sizes: list[tuple[int, int]]
) -> tuple[Tensor, ...]:
    """A mask (S, S) drawn on a view, brought to every texture: (1, h, w) each.

    surface: in the unit ball; camera: sees all of that.
    """
    side = len(mask)
    depth = _without_rim(rasterise(surface, camera, side).depth[0])
    found = []
    for atlas, size in enumerate(sizes):
        points, index = texels(surface, atlas, size)
        xz, yz, z = project(points.position, camera, side)[:, 0]
        x, y = xz / z, yz / z
        # The picture holds the whole unit ball, and so every place.
        column, row = x.round().long(), y.round().long()
        to_camera = camera.position.to(points.position.device) - points.position
        faces = (points.normal * to_camera).sum(1) > 0
        nearer = torch.where(faces, NEARER, NEARER_AVERTED)
        seen = z <= depth[row, column] + nearer
        uv = torch.stack([(x + 0.5) / side, 1 - (y + 0.5) / side], dim=1)
        value = sample(mask[..., None], uv) * seen[:, None]
        found.append(texture_image(value, index, size).permute(2, 0, 1))
    return tuple(found)


def _without_rim(depth: Tensor) -> Tensor:
    """(S, S): a pixel that sees nothing beside one that does takes its depth.

    What lies just inside an outline may fall on it; nothing there is seen through the front.
    """
    nearest = -max_pool2d(-depth[None], 3, stride=1, padding=1)[0]
    return torch.where(depth.isinf(), nearest, depth)


def _pictures(path: Path, textures: int) -> list[Tensor]:
    """(h, w) in [0, 1] for each texture."""
    if path.suffix.lower() == ".zip":
        return _unzipped(path, textures)
    if textures > 1:
        raise InputError(
            f"The mesh has {textures} textures and {path.name} is one picture. Give a zip of "
            f"{mask_name(0)} to {mask_name(textures - 1)}, or draw the mask on a view of the mesh "
            "and say which with --mask-view."
        )
    return [read_level(path)]


def _unzipped(path: Path, textures: int) -> list[Tensor]:
    expect_file(path)
    try:
        # Only what is asked for by name is taken out, and only so much of it.
        with zipfile.ZipFile(path) as archive, TemporaryDirectory() as folder:
            pictures = []
            for name in map(mask_name, range(textures)):
                if archive.getinfo(name).file_size > MOST_BYTES:
                    raise InputError(f"{name} in {path.name} is too large for a mask.")
                pictures.append(read_level(Path(archive.extract(name, folder))))
            return pictures
    except (KeyError, *DAMAGED) as error:
        raise InputError(
            f"{path.name} holds no {mask_name(0)} to {mask_name(textures - 1)} that can be read, a "
            f"mask for each of the mesh's {textures} textures. Zip them again, without a password, "
            "brush the mask again, or give a picture drawn on a view."
        ) from error


def _in_uv(mask: Tensor, name: str, size: tuple[int, int]) -> Tensor:
    (h, w), (height, width) = mask.shape, size
    if h * width != w * height:
        raise InputError(
            f"{name} is {w}x{h}, but the mesh's texture is {width}x{height}. Make the mask that "
            "size, or the same shape."
        )
    return mask[None]
