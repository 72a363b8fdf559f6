"""Closed triangle solids made in numpy: revolved profiles, boxes, swept tubes, extruded outlines.

Every solid is watertight and counter-clockwise from outside, y is up, and the unit is the maker's.
This module knows nothing about parts, families or colours.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Solid:
    """One closed surface."""

    vertices: Array
    """float64 (V, 3)."""
    faces: Array
    """int64 (F, 3), counter-clockwise from outside."""


def lathe(profile: Array, segments: int = 24) -> Solid:
    """Revolve an open profile about the y axis.

    profile (K, 2): radius and height, from the axis at the bottom, up the outside, to the axis at
    the top; only its two ends may touch the axis.
    """
    profile = np.asarray(profile, float)
    rings = _rings(profile[1:-1], segments)
    ends = np.array([(0, profile[0, 1], 0), (0, profile[-1, 1], 0)])
    return _capped(rings, ends, segments)


def ring(profile: Array, segments: int = 24) -> Solid:
    """Revolve a closed profile that stays clear of the y axis: a tube or a torus.

    profile (K, 2): radius and height, up the outside and down the inside.
    """
    profile = np.asarray(profile, float)
    faces = _walls(len(profile) + 1, segments) % (len(profile) * segments)
    return Solid(_rings(profile, segments), faces)


def _rings(profile: Array, segments: int) -> Array:
    """Vertices of every profile point all round: (K * segments, 3)."""
    angle = 2 * np.pi * np.arange(segments) / segments
    circle = np.stack([np.cos(angle), np.zeros(segments), -np.sin(angle)], axis=1)
    height = np.array([0.0, 1.0, 0.0])
    return np.concatenate([r * circle + y * height for r, y in profile])


def _walls(rows: int, segments: int) -> Array:
    """Two triangles for each cell between neighbouring rings of a (rows, segments) grid."""
    i, j = (a.ravel() for a in np.mgrid[: rows - 1, :segments])
    a, b = i * segments + j, i * segments + (j + 1) % segments
    c, d = a + segments, b + segments
    return np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])


def cylinder(radius: float, bottom: float, top: float) -> Solid:
    """Upright cylinder."""
    side = [(radius, bottom + (top - bottom) * k) for k in np.linspace(0, 1, 4)]
    return lathe([(0, bottom), *side, (0, top)])


def ellipsoid(a: float, b: float, c: float, rows: int = 14, segments: int = 24) -> Solid:
    """Ellipsoid about the origin with half axes `a`, `b`, `c` along x, y, z."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    unit = lathe(np.stack([np.cos(angle), np.sin(angle)], axis=1), segments)
    return Solid(unit.vertices * (a, b, c), unit.faces)


def box(width: float, height: float, depth: float, cells: int = 3) -> Solid:
    """Box about the origin; every side is a grid of `cells` x `cells` squares."""
    grid = np.linspace(-0.5, 0.5, cells + 1)
    u, v = (a.ravel() for a in np.meshgrid(grid, grid, indexing="ij"))
    w = np.full_like(u, 0.5)
    sides = [np.stack(s, axis=1) for s in ((u, v, w), (w, u, v), (v, w, u))]
    sides += [np.stack(s, axis=1) for s in ((v, u, -w), (-w, v, u), (u, -w, v))]
    i, j = (a.ravel() for a in np.mgrid[:cells, :cells])
    a = i * (cells + 1) + j
    b, c, d = a + cells + 1, a + cells + 2, a + 1
    side = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    faces = np.concatenate([side + k * (cells + 1) ** 2 for k in range(6)])
    vertices, index = np.unique(np.concatenate(sides).round(9), axis=0, return_inverse=True)
    return Solid(vertices * (width, height, depth), index.reshape(-1)[faces])


def tube(path: Array, radius: float, segments: int = 10) -> Solid:
    """Sweep a circle along a path (K, 3).

    The circle is carried from point to point without twist (parallel transport).
    """
    path = np.asarray(path, float)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent[0], np.eye(3)[np.abs(tangent[0]).argmin()])
    angle = 2 * np.pi * np.arange(segments)[:, None] / segments
    rows = []
    for point, along in zip(path, tangent, strict=True):
        side = side - along * (side @ along)
        side /= np.linalg.norm(side)
        rows.append(point + radius * (np.cos(angle) * side + np.sin(angle) * np.cross(along, side)))
    return _capped(np.concatenate(rows), path[[0, -1]], segments)


def extrude(outline: Array, depth: float, rows: int = 1) -> Solid:
    """Outline (K, 2) in x and y, pulled `depth` along z about z = 0.

    The outline runs counter-clockwise and must be seen whole from the mean of its points.
    """
    outline = np.asarray(outline, float)
    z = np.linspace(-depth / 2, depth / 2, rows + 1)
    layers = [np.concatenate([outline, np.full((len(outline), 1), s)], axis=1) for s in z]
    ends = [np.append(outline.mean(0), s) for s in z[[0, -1]]]
    return _capped(np.concatenate(layers), np.array(ends), len(outline))


def _capped(rows: Array, ends: Array, segments: int) -> Solid:
    """Close rings (K * segments, 3) that turn counter-clockwise about their direction of travel."""
    count = len(rows)
    here = np.arange(segments)
    ahead = (here + 1) % segments
    last = count - segments
    first = np.stack([np.full(segments, count), ahead, here], axis=1)
    final = np.stack([np.full(segments, count + 1), last + here, last + ahead], axis=1)
    faces = np.concatenate([_walls(count // segments, segments), first, final])
    return Solid(np.concatenate([rows, ends]), faces)


def moved(solid: Solid, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
    """The solid somewhere else."""
    return Solid(solid.vertices + np.array((x, y, z)), solid.faces)


def turned(solid: Solid, axis: str, angle: float) -> Solid:
    """The solid turned about the x, y or z axis by `angle` radians, counter-clockwise."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return Solid(solid.vertices @ matrix.T, solid.faces)
