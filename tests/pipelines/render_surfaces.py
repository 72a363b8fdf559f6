"""Surfaces with known shapes, and a ray caster (embree) that is not ours."""

import math

import numpy as np
import torch
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from torch import Tensor
from torch.nn.functional import normalize

from pipelines.render import Cameras, Surface

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 3**0.5
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def flat(vertices, faces, uv=None, atlas=None) -> Surface:
    """A surface with one normal per face."""
    vertices = torch.as_tensor(vertices, dtype=torch.float32)
    faces = torch.as_tensor(faces).long()
    a, b, c = vertices[faces].unbind(1)
    normals = normalize(torch.linalg.cross(b - a, c - a), dim=1)[:, None].expand(-1, 3, -1)
    uv = torch.zeros(len(faces), 3, 2) if uv is None else torch.as_tensor(uv, dtype=torch.float32)
    atlas = torch.zeros(len(faces), dtype=torch.long) if atlas is None else torch.as_tensor(atlas)
    return Surface(vertices, faces, normals, uv, atlas)


def cube(margin: float = 0.04) -> Surface:
    """A cube in the unit ball; its sides are squares in a 3 x 2 grid of charts with gaps between.

    Every chart leaves `margin` of the texture free within its cell, all around. Faces 2k and 2k + 1
    are side k.
    """
    faces, uv = [], []
    for k, (a, b, c, d) in enumerate(SIDES):
        left, right = k % 3 / 3 + margin, (k % 3 + 1) / 3 - margin
        low, high = k // 3 / 2 + margin, (k // 3 + 1) / 2 - margin
        cell = [(left, low), (right, low), (right, high), (left, high)]
        faces += [(a, b, c), (a, c, d)]
        uv += [[cell[0], cell[1], cell[2]], [cell[0], cell[2], cell[3]]]
    return flat(CORNERS, faces, uv)


def bumpy_torus(around: int, across: int) -> Surface:
    """A torus with bumps, tilted: it hides parts of itself. 2 * around * across faces."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = 2 * np.pi * u / around, 2 * np.pi * v / across
    tube = 0.28 * (1 + 0.15 * np.sin(5 * a) * np.cos(3 * b))
    ring = 0.6 + tube * np.cos(b)
    points = np.stack([ring * np.cos(a), tube * np.sin(b), ring * np.sin(a)], -1).reshape(-1, 3)
    points = points @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    here, right = u * across + v, (u + 1) % around * across + v
    up, both = u * across + (v + 1) % across, (u + 1) % around * across + (v + 1) % across
    faces = np.stack([[here, up, right], [right, up, both]]).reshape(2, 3, -1)
    return flat(
        points / np.linalg.norm(points, axis=1).max(), faces.transpose(2, 0, 1).reshape(-1, 3)
    )


def rays(cameras: Cameras, size: int) -> tuple[Tensor, Tensor]:
    """Through every pixel centre: origins and unit directions, (B, size, size, 3) fp64 each."""
    place = ((torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1) * math.tan(
        math.radians(cameras.fov) / 2
    )
    position = cameras.position.double()
    right, up, back = Cameras(position, cameras.fov).axes[:, :, None, None].unbind(1)
    direction = place[:, None] * right - place[:, None, None] * up - back
    return position[:, None, None].expand_as(direction), normalize(direction, dim=-1)


def embree(surface: Surface) -> EmbreeScene:
    scene = EmbreeScene()
    TriangleMesh(scene, surface.vertices[surface.faces].numpy())
    return scene


def cast(scene: EmbreeScene, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """The first face each ray hits, -1 where none, and how far that is. (...,) each."""
    shape = origins.shape[:-1]
    flat_origins, flat_directions = (
        np.ascontiguousarray(v.reshape(-1, 3).numpy(), dtype=np.float32)
        for v in (origins, directions)
    )
    hit = scene.run(flat_origins, flat_directions, output=True)
    face = torch.from_numpy(hit["primID"].astype(np.int64)).view(shape)
    return face, torch.from_numpy(hit["tfar"].astype(np.float64)).view(shape)
