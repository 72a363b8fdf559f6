"""A z-buffer: which face each pixel of each camera sees, and where on it.

In homogeneous pixel coordinates q = (x z, y z, z) the corners of a face give (Olano and Greer,
"Triangle scan conversion using 2D homogeneous coordinates", 1997)

    e_i(x, y) = (q_j x q_k) . (x, y, 1)         three edge functions, all >= 0 inside
    bary_i    = e_i / (e_0 + e_1 + e_2)         perspective-correct
    1 / depth = (e_0 + e_1 + e_2) / q_0 . (q_1 x q_2)

Faces are seen from both sides, since many meshes are open or wound at random. Nothing is clipped
at a near plane: cameras stand outside the unit ball and surfaces lie in it. Geometry is fixed, so
nothing here carries a gradient. One path for CPU and CUDA. This module knows nothing about normals,
textures or light.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.render import scanline
from pipelines.render.cameras import Cameras
from pipelines.render.surface import Surface

WORK = 1 << 20
"""Faces and pixels in work at once, over all cameras; a few hundred bytes each."""
SAMPLES = 1 << 22
"""Pixels of bounding boxes in work at once; bounds the memory to some 200 MB."""
EDGE_ON = 1e-11
"""Faces that cover less than about this share of the picture are lines in it: they hide nothing,
and their depth would be rounding."""
NOTHING = torch.iinfo(torch.int64).max


@dataclass(frozen=True, eq=False)
class Buffer:
    """What B square pictures of H = W pixels see. Row 0 is the top."""

    face: Tensor
    """(B, H, W) long; -1 where nothing is hit."""
    bary: Tensor
    """(B, H, W, 3) fp32, the weights of the face's corners, sum 1; 0 where nothing is hit."""
    depth: Tensor
    """(B, H, W) fp32: distance along the camera's axis; inf where nothing is hit."""


@torch.no_grad()
def rasterise(surface: Surface, cameras: Cameras, size: int) -> Buffer:
    """The nearest face at every pixel centre, on the surface's device. -> Buffer, (B, size, size).

    Raises ValueError when the surface is not wholly in front of a camera.
    """
    corners = project(surface.vertices, cameras, size)
    group = max(WORK // (len(surface.faces) + size * size), 1)
    parts = [_views(q, surface.faces, size) for q in corners.split(group, dim=1)]
    face, bary, depth = (torch.cat(values) for values in zip(*parts, strict=True))
    shape = (len(cameras), size, size)
    return Buffer(face.view(shape), bary.view(*shape, 3), depth.view(shape))


def project(vertices: Tensor, cameras: Cameras, size: int) -> Tensor:
    """Homogeneous pixel coordinates (x z, y z, z) of points (V, 3) in all cameras; z is the depth.

    Pixel centres have whole coordinates, from the top left. -> (3, B, V) fp64. Raises ValueError
    when a point is not in front of a camera.
    """
    position = cameras.position.to(vertices.device).double()
    axes = Cameras(position, cameras.fov).axes
    right, up, back = ((vertices.double() - position[:, None]) @ axes.mT).unbind(2)
    depth = -back
    if (depth <= 0).any():
        raise ValueError(
            "the surface reaches behind a camera: bring it to the unit ball and keep the cameras "
            "outside of that"
        )
    edge = math.tan(math.radians(cameras.fov) / 2)
    right, up, half, middle = right / edge, up / edge, size / 2, (size - 1) / 2
    if cameras.window is not None:
        x, y, side = cameras.window.to(depth).unbind(1)
        right, up = (right.T - x * depth.T).T, (up.T - y * depth.T).T
        half = (half / side)[:, None]
    return torch.stack([half * right + middle * depth, middle * depth - half * up, depth])


def _views(q: Tensor, faces: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """face, bary, depth of some views, their pixels flattened. q (3, B, V)."""
    views = q.shape[1]
    screen = (q[:2] / q[2])[:, :, faces].flatten(1, 2)
    low, high = scanline.boxes(screen, size, size)
    pair = (high >= low).all(0).nonzero()[:, 0]
    view, face = pair // len(faces), pair % len(faces)
    edges, inverse_depth, thick = _edges(q, view, faces[face], size)
    pair, view, face = pair[thick], view[thick], face[thick]
    triangles = scanline.Triangles(edges, low[:, pair], high[:, pair])
    nearest = torch.full((views * size * size,), NOTHING, device=q.device)
    for spans in scanline.spans(triangles, SAMPLES):
        pixel, key = _keys(spans, inverse_depth, view, size)
        nearest.scatter_reduce_(0, pixel, key, "amin")
    return _resolve(nearest, edges, inverse_depth, face, size)


def _edges(q: Tensor, view: Tensor, corners: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """A, B, C of the edge functions and of 1 / depth. view (P,), corners (P, 3).

    Signs are such that the inside is positive from either side. -> edges (3, 3, P'), 1 / depth
    (3, P'), and which of P are in P': those that are not edge-on.
    """
    at = view * q.shape[2]
    q0, q1, q2 = (q.flatten(1)[:, at + corner] for corner in corners.unbind(1))
    edges = torch.stack([_cross(q1, q2), _cross(q2, q0), _cross(q0, q1)])
    volume = (q0 * edges[0]).sum(0)
    thick = volume.abs() > EDGE_ON * size * size
    edges, volume = edges[:, :, thick], volume[thick]
    return edges * volume.sign(), edges.sum(0) / volume, thick


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """a x b, (3, P) each, such that b x a is its negative to the last bit, on any device."""
    (ax, ay, az), (bx, by, bz) = a, b
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _keys(
    spans: scanline.Spans, inverse_depth: Tensor, view: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """All pixels of the spans, and a number to sort them by: depth first, then the triangle.

    -> (M,) long each. The upper half of a key is the depth as fp32, whose bits, as it is positive,
    are in the order of its values.
    """
    owner, first, y = spans.owner, spans.first, spans.y
    begin = scanline.linear(inverse_depth, owner, first, y).float()
    slope = inverse_depth[0].index_select(0, owner).float()
    start = (view.index_select(0, owner) * size + y) * size + first
    row, step = scanline.ragged(spans.count)
    depth = 1 / (begin.index_select(0, row) + slope.index_select(0, row) * step)
    key = (depth.view(torch.int32).long() << 32) | owner.index_select(0, row)
    return start.index_select(0, row) + step, key


def _resolve(
    nearest: Tensor, edges: Tensor, inverse_depth: Tensor, faces: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """From the winners' keys, one a pixel, to face, bary and depth."""
    pixel = (nearest != NOTHING).nonzero()[:, 0]
    owner = nearest[pixel] & 0xFFFFFFFF
    x, y = pixel % size, pixel // size % size
    # A centre on an edge may be out by rounding; its weights must not be.
    e = torch.stack([scanline.linear(edge, owner, x, y) for edge in edges], dim=1).clamp(min=0)
    face = faces.new_full((len(nearest),), -1)
    face[pixel] = faces.index_select(0, owner)
    like = {"dtype": torch.float32, "device": nearest.device}
    bary = torch.zeros(len(nearest), 3, **like)
    bary[pixel] = (e / e.sum(1, keepdim=True)).float()
    depth = torch.full((len(nearest),), torch.inf, **like)
    depth[pixel] = (1 / scanline.linear(inverse_depth, owner, x, y)).float()
    return face, bary, depth
