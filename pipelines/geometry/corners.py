"""Values at the corners of faces: smooth normals over creases, and splitting vertices at seams.

This module knows nothing about files.
"""

import numpy as np
from numpy.typing import NDArray
from trimesh.graph import connected_component_labels

from pipelines.geometry.model import Floats

CREASE = 40.0
"""Degrees between two faces above which their edge is sharp."""


def face_normals(vertices: Floats, faces: NDArray[np.int64]) -> Floats:
    """(F, 3): normals as long as twice the faces' areas; exactly 0 for faces without area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    # A sliver whose area is all rounding has no direction to speak of.
    reach = np.maximum(np.square(b - a).sum(1), np.square(c - a).sum(1))
    normals[np.linalg.norm(normals, axis=1) <= 1e-12 * reach] = 0
    return normals


def corner_normals(vertices: Floats, faces: NDArray[np.int64], crease: float = CREASE) -> Floats:
    """(F, 3, 3) unit normals at every corner of every face, smooth but over creases.

    Vertices at one place count as one, since files split them at seams. The faces around it are
    averaged by area as far as edges that are not sharp connect them. (0, 1, 0) where all have none.
    """
    normals = face_normals(vertices, faces)
    _, welded = np.unique(vertices, axis=0, return_inverse=True)
    group = _smooth_groups(welded.reshape(-1)[faces], normals, crease)
    total = np.zeros((int(group.max(initial=-1)) + 1, 3))
    for axis in range(3):
        total[:, axis] = np.bincount(group, np.repeat(normals[:, axis], 3), len(total))
    smooth = total[group].reshape(-1, 3, 3)
    length = np.linalg.norm(smooth, axis=-1, keepdims=True)
    return np.where(length > 0, smooth / np.maximum(length, 1e-300), (0.0, 1.0, 0.0))


def split(
    faces: NDArray[np.int64], values: Floats, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Give every vertex one value by repeating vertices whose corners differ.

    faces (F, 3) of `count` vertices; values (F, 3, C). -> new faces (F, 3), the old vertex of
    every new one (V,), its value (V, C). The old vertices come first, in their order; those that no
    face uses get 0.
    """
    corners, flat = faces.reshape(-1), values.reshape(-1, values.shape[-1])
    _, number = np.unique(flat, axis=0, return_inverse=True)
    pairs, first, inverse = np.unique(
        corners * (len(flat) + 1) + number.reshape(-1), return_index=True, return_inverse=True
    )
    # Pairs in the order the faces name them: a vertex keeps the first value it was given.
    order = np.argsort(first)
    vertex = corners[first[order]]
    _, keeper = np.unique(vertex, return_index=True)
    extra = np.setdiff1d(np.arange(len(pairs)), keeper)
    place = np.empty(len(pairs), dtype=np.int64)
    place[keeper] = vertex[keeper]
    place[extra] = count + np.arange(len(extra))
    rank = np.empty(len(pairs), dtype=np.int64)
    rank[order] = np.arange(len(pairs))
    out = np.zeros((count + len(extra), flat.shape[1]), dtype=values.dtype)
    out[place] = flat[first[order]]
    origin = np.concatenate([np.arange(count), vertex[extra]])
    return place[rank[inverse.reshape(-1)]].reshape(-1, 3), origin, out


def _smooth_groups(faces: NDArray[np.int64], normals: Floats, crease: float) -> NDArray[np.int64]:
    """(3 F,): corners with one number share a normal."""
    corner = np.arange(faces.size).reshape(-1, 3)
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    # Every side of a face, with its two corners named from the lower vertex to the higher.
    low, high = corner.reshape(-1), corner[:, [1, 2, 0]].reshape(-1)
    swap = start > end
    low, high = np.where(swap, high, low), np.where(swap, low, high)
    key = np.minimum(start, end) * (int(faces.max(initial=0)) + 1) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    one, other = order[same], order[same + 1]
    length = np.linalg.norm(normals, axis=1)
    f, g = one // 3, other // 3
    dot = (normals[f] * normals[g]).sum(1)
    smooth = dot >= np.cos(np.radians(crease)) * length[f] * length[g]
    smooth &= dot > 0
    one, other = one[smooth], other[smooth]
    joined = np.concatenate(
        [np.stack([low[one], low[other]], 1), np.stack([high[one], high[other]], 1)]
    )
    return connected_component_labels(joined, node_count=faces.size)
