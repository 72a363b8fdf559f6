"""Between a surface and its textures: where each texel lies, values to a picture, and back.

Texel (row i, column j) of an h x w texture has its centre at u = (j + 1/2) / w and
v = 1 - (i + 1/2) / h: row 0 is the top, v = 0 the bottom, as PNG and OBJ have it. A bilinear lookup
reads texels up to sqrt(2) from where it looks, so every texel that near to a triangle takes the
triangle's closest point: lookups at a chart's border read this chart only. All others, the gutters,
take their nearest texel's value, for renderers that blend further (mipmaps). This module knows
nothing about fields, teachers or files.
"""

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import grid_sample

from pipelines.render import scanline
from pipelines.render.shade import at
from pipelines.render.surface import Points, Surface

REACH = 2**0.5
"""Texels: how far from a texel's centre a bilinear lookup still reads it."""
CHUNK = 1 << 19
"""Texels of bounding boxes in work at once; bounds the memory to some 300 MB."""
NOTHING = torch.iinfo(torch.int64).max
OWNER = 0xFFFFFFFF
"""The lower half of a key."""


@torch.no_grad()
def texels(surface: Surface, atlas: int, resolution: tuple[int, int]) -> tuple[Points, Tensor]:
    """The surface under every texel of one texture that a lookup on the surface can read.

    atlas: which texture, as in `surface.atlas`; resolution (h, w). A texel whose centre lies in no
    triangle takes the closest point of the closest one; where triangles overlap the first wins.
    -> Points, and index (N,) long: each texel's place in the h * w flattened texels.
    """
    height, width = resolution
    faces = (surface.atlas == atlas).nonzero()[:, 0]
    u, v = surface.uv[faces].double().unbind(2)
    corners = torch.stack([u * width - 0.5, (1 - v) * height - 0.5])
    nearest = _nearest(corners, height, width)
    index = (nearest != NOTHING).nonzero()[:, 0]
    owner = nearest[index] & OWNER
    weights, _ = _closest(corners[:, owner], index % width, index // width)
    return at(surface, faces[owner], weights.float()), index


def texture_image(values: Tensor, index: Tensor, resolution: tuple[int, int]) -> Tensor:
    """A texture from the values at `texels`, its gutters filled with the nearest texel's value.

    values (N, C); index (N,); resolution (h, w). -> (h, w, C) on the values' device. Raises
    ValueError when there are no values.
    """
    if not len(index):
        raise ValueError("no face is on this texture, so there is nothing to fill it with")
    height, width = resolution
    empty = torch.ones(height * width, dtype=torch.bool)
    empty[index.cpu()] = False
    rows, columns = distance_transform_edt(
        empty.view(height, width).numpy(), return_distances=False, return_indices=True
    )
    source = torch.from_numpy(rows).long() * width + torch.from_numpy(columns).long()
    image = values.new_zeros(height * width, values.shape[1])
    image = image.index_copy(0, index, values)
    return image[source.to(image.device)]


def sample(texture: Tensor, uv: Tensor) -> Tensor:
    """Bilinear lookup, clamped at the picture's border. Differentiable in the texture.

    texture (h, w, C); uv (N, 2) in [0, 1]. -> (N, C).
    """
    place = uv.to(texture.dtype) * 2 - 1
    grid = torch.stack([place[:, 0], -place[:, 1]], dim=1)[None, None]
    picture = texture.permute(2, 0, 1)[None]
    looked = grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return looked[0, :, 0].T


def _nearest(corners: Tensor, height: int, width: int) -> Tensor:
    """Each texel's closest triangle within REACH. corners (2, P, 3) in texels. -> (h * w,) long.

    The squared distance as fp32 in the upper half, the triangle in the lower; else NOTHING.
    """
    nearest = torch.full((height * width,), NOTHING, device=corners.device)
    # Found below as well, at a distance of 0, but not to work it out takes less than half the time.
    inner = scanline.Triangles(_edges(corners), *scanline.boxes(corners, width, height))
    for spans in scanline.spans(inner, CHUNK):
        texel, owner = _texels(spans, width)
        nearest.scatter_reduce_(0, texel, owner, "amin")
    edges = corners.new_empty(0, 3, corners.shape[1])
    outer = scanline.Triangles(edges, *scanline.boxes(corners, width, height, REACH))
    for spans in scanline.spans(outer, CHUNK):
        texel, owner = _texels(spans, width)
        outside = nearest[texel] > OWNER
        texel, owner = texel[outside], owner[outside]
        _, squared = _closest(corners[:, owner], texel % width, texel // width)
        near = squared <= REACH * REACH
        key = (squared.float().view(torch.int32).long() << 32) | owner
        nearest.scatter_reduce_(0, texel[near], key[near], "amin")
    return nearest


def _texels(spans: scanline.Spans, width: int) -> tuple[Tensor, Tensor]:
    """All texels of the spans, and whose they are. -> (M,) long each."""
    row, step = scanline.ragged(spans.count)
    start = spans.y * width + spans.first
    return start.index_select(0, row) + step, spans.owner.index_select(0, row)


def _edges(corners: Tensor) -> Tensor:
    """The edge functions of `scanline.Triangles`, (3, 3, P); negative where there is no area."""
    x, y = corners.roll(-1, 2)
    dx, dy = corners.roll(-2, 2) - corners.roll(-1, 2)
    edges = torch.stack([-dy, dx, dy * x - dx * y])
    area = edges[2].sum(1)
    edges = edges * area.sign()[:, None]
    edges[2, area == 0] = -1.0
    return edges.permute(2, 0, 1)


def _closest(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The point of each triangle that is closest to each place. corners (2, N, 3), x, y (N,).

    -> the weights of the corners there (N, 3), and the squared distance (N,); fp64.
    """
    place = torch.stack([x, y])[:, :, None]
    # Edge i is opposite corner i, from corner i + 1 to corner i + 2.
    start, end = corners.roll(-1, 2), corners.roll(-2, 2)
    edge, away = end - start, place - start
    area = edge[0] * away[1] - edge[1] * away[0]
    whole = area.sum(1, keepdim=True)
    inside = ((area * whole.sign() >= 0).all(1) & (whole[:, 0] != 0))[:, None]
    along = (away * edge).sum(0) / edge.square().sum(0).clamp(min=1e-30)
    along = along.clamp(0, 1)
    squared = (away - along * edge).square().sum(0)
    squared, nearest = squared.min(1, keepdim=True)
    along = along.gather(1, nearest)
    on_edge = torch.zeros_like(area)
    on_edge.scatter_(1, (nearest + 1) % 3, 1 - along).scatter_(1, (nearest + 2) % 3, along)
    weights = torch.where(inside, area / torch.where(whole == 0, 1.0, whole), on_edge)
    return weights, torch.where(inside, 0.0, squared)[:, 0]
