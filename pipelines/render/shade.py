"""From what is seen to pictures: points of the visible pixels, their light, and the composite.

Shading is Lambert's cosine law with some ambient light; its values lie in [AMBIENT, 1], so that a
shaded colour in [0, 1] stays there. This module knows nothing about fields, teachers or files.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipelines.render.cameras import Cameras
from pipelines.render.rasterise import Buffer
from pipelines.render.surface import Points, Surface

AMBIENT = 0.5
"""The light that reaches a surface turned away from the lamp."""
LAMP = (-0.4, 0.5, 1.0)
"""Where the lamp is from a camera: right, up, back; up-left of it and behind."""
AVERTED = -0.2
"""Cosine to the camera below which a normal belongs to a back side. Smooth normals bend a little
beyond the silhouette, and must not be turned round there."""


def at(surface: Surface, face: Tensor, bary: Tensor) -> Points:
    """The points at weights `bary` (N, 3) on faces (N,), all attributes interpolated."""
    return Points(
        position=_mix(surface.vertices[surface.faces], face, bary),
        normal=normalize(_mix(surface.normals, face, bary), dim=1),
        uv=_mix(surface.uv, face, bary),
        atlas=surface.atlas.index_select(0, face),
    )


def _mix(corners: Tensor, face: Tensor, bary: Tensor) -> Tensor:
    """Weighted mean of a face's corners. corners (F, 3, C), face (N,), bary (N, 3). -> (N, C).

    Three products instead of a matrix one, which a GPU might round to TF32.
    """
    a, b, c = (values.index_select(0, face) for values in corners.unbind(1))
    return bary[:, :1] * a + bary[:, 1:2] * b + bary[:, 2:] * c


def visible(surface: Surface, buffer: Buffer) -> tuple[Points, Tensor]:
    """What the pixels see, of those that see anything.

    -> Points, and index (N,) long: each point's place in the B * H * W flattened pixels.
    """
    face = buffer.face.flatten()
    index = (face >= 0).nonzero()[:, 0]
    return at(surface, face[index], buffer.bary.view(-1, 3)[index]), index


def shade(
    points: Points, cameras: Cameras, index: Tensor, size: int, light: Tensor | None = None
) -> Tensor:
    """How light each point is. -> (N,) fp32 in [AMBIENT, 1].

    index (N,) from `visible`, for pictures of `size`; light (B, 3): the direction towards each
    view's lamp, of any length; without it the lamp goes with the camera, up-left of it. Back sides
    are lit like front sides.
    """
    device = points.position.device
    position, axes = cameras.position.to(device), cameras.axes.to(device)
    if light is None:
        light = axes.new_tensor(LAMP) @ axes
    view = index // (size * size)
    to_camera = normalize(position[view] - points.position, dim=1)
    to_light = normalize(light.to(device), dim=1)[view]
    facing = (points.normal * to_camera).sum(1)
    cosine = (points.normal * to_light).sum(1)
    cosine = torch.where(facing < AVERTED, -cosine, cosine)
    return AMBIENT + (1 - AMBIENT) * cosine.clamp(0, 1)


def compose(
    colours: Tensor, shading: Tensor, index: Tensor, background: Tensor, size: int
) -> Tensor:
    """Pictures of shaded points before plain backgrounds. Differentiable in colours.

    colours (N, C) in [0, 1]; shading (N,) in [0, 1]; index (N,) from `visible`; background (B, C)
    in [0, 1]. -> (B, C, size, size) in [0, 1].
    """
    pixels = background[:, None].repeat(1, size * size, 1).flatten(0, 1)
    pixels = pixels.index_copy(0, index, colours * shading[:, None])
    return pixels.view(len(background), size, size, -1).permute(0, 3, 1, 2)
