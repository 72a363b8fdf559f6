"""The colours a part already has, as a texture in the UVs that are painted.

    base = picture(old uv) * factor * colours      in linear light, as glTF multiplies them

Where the file's UVs are kept and it has no vertex colours, that is its own texture. Otherwise the
old UVs and colours are baked: they are carried over the new texture as positions are, so `texels`
gives them at every texel. This module knows nothing about painting.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.geometry import pictures
from pipelines.geometry.model import Floats, Part, linear, srgb
from pipelines.render.bake import sample, texels, texture_image
from pipelines.render.surface import Surface


def base_colour(part: Part, resolution: int) -> NDArray[np.uint8]:
    """uint8 (h, w, 3), first row on top: what the part looks like before it is painted.

    Each side is at least `resolution`; larger where the file's own texture is kept and larger.
    White where the part has no colours. Raises ValueError unless the part has UVs (`unwrap`).
    """
    if part.uv is None:
        raise ValueError(f"{part.name} has no UVs: call unwrap first")
    size = (resolution, resolution)
    picture = None
    if part.picture is not None and part.old_uv is not None:
        picture = part.picture[..., :3]
    if part.keeps_uv and picture is not None:
        size = (max(picture.shape[0], resolution), max(picture.shape[1], resolution))
        picture = pictures.resize(picture, size)
    if part.keeps_uv and part.colours is None and part.factor[:3] == (1, 1, 1):
        return np.full((*size, 3), 255, np.uint8) if picture is None else picture
    light = np.broadcast_to(np.array(part.factor[:3], dtype=np.float32), (*size, 3))
    if picture is not None and part.keeps_uv:
        light = light * linear(picture / np.float32(255))
    elif picture is not None:
        light = light * linear(_moved(part, picture, size))
    if part.colours is not None:
        light = light * _baked(part, part.colours, size).numpy()
    return (srgb(light) * 255).round().astype(np.uint8)


def with_alpha(texture: NDArray[np.uint8], part: Part) -> NDArray[np.uint8]:
    """The texture (h, w, 3 or 4) with the alpha of the picture it replaces, if only that has one.

    (h, w, 3 or 4), in the part's `uv`.
    """
    picture = part.picture
    if texture.shape[2] == 4 or picture is None or picture.shape[2] == 3 or part.old_uv is None:
        return texture
    size = texture.shape[:2]
    if part.keeps_uv:
        alpha = pictures.resize(picture[..., 3:], size)
    else:
        alpha = (_moved(part, picture[..., 3:], size) * 255).round().astype(np.uint8)
    return np.concatenate([texture, alpha], axis=2)


def _moved(part: Part, picture: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    """The picture as it lies in the old UVs, baked into the new: (h, w, C) in [0, 1], coded."""
    old = np.concatenate([part.old_uv, np.zeros((len(part.faces), 3, 1))], axis=2)
    uv = _baked(part, old, size)[..., :2].reshape(-1, 2)
    # Outside the square the picture repeats. 1 itself is its edge, not its start.
    uv = torch.where((uv < 0) | (uv > 1), uv - uv.floor(), uv)
    coded = torch.from_numpy(np.array(picture)).float() / 255
    return sample(coded, uv).view(*size, picture.shape[2]).numpy()


def _baked(part: Part, values: Floats, size: tuple[int, int]) -> Tensor:
    """Values at corners (F, 3, 3), interpolated over the new texture: fp32 (h, w, 3)."""
    count = len(part.faces)
    carrier = Surface(
        vertices=torch.tensor(values.reshape(-1, 3), dtype=torch.float32),
        faces=torch.arange(3 * count).view(-1, 3),
        normals=torch.zeros(count, 3, 3, dtype=torch.float32),
        uv=torch.from_numpy(np.clip(part.uv, 0, 1)).float(),
        atlas=torch.zeros(count, dtype=torch.long),
    )
    points, index = texels(carrier, 0, size)
    return texture_image(points.position, index, size)
