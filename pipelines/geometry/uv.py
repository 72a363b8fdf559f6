"""Whether a file's UVs can be painted in, and if not, why.

A texture is painted in UVs where every place of the surface has a place of its own on the texture.
This module knows nothing about files or unwrapping.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.corners import face_normals
from pipelines.geometry.model import Floats

GRID = 1024
"""Overlap is measured at the centres of a grid this size over the UVs' own box."""
MAX_OVERLAP = 0.02
"""Share of the UVs' area that lies on an area already used. Rounding and a few stitched faces stay
below it in atlases made by hand; one mirrored limb is above, and paint would show on both sides."""
MAX_FLAT = 0.01
"""Share of the surface whose UVs have no area."""
EDGE = 1e-4
"""How far outside the square rounding may put a UV."""


def unusable(vertices: Floats, faces: NDArray[np.int64], uv: Floats | None) -> str | None:
    """Why `uv` (F, 3, 2) cannot be painted in, as words that follow "because"; None if it can."""
    if uv is None:
        return "it has none for every face"
    if not np.isfinite(uv).all():
        return "some of them are not numbers"
    area = np.linalg.norm(face_normals(vertices, faces), axis=1)
    sides = uv[:, 1:] - uv[:, :1]
    flat = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    if area[flat < 1e-12].sum() > MAX_FLAT * area.sum():
        return f"they give no area to {area[flat < 1e-12].sum() / area.sum():.0%} of the surface"
    if uv.min() < -EDGE or uv.max() > 1 + EDGE:
        return "they lie outside the texture, which repeats"
    shared = overlap(uv)
    if shared > MAX_OVERLAP:
        return f"{shared:.0%} of their area is used more than once"
    return None


def overlap(uv: Floats) -> float:
    """Share of the area of the triangles uv (F, 3, 2) that lies on an area already used."""
    low, high = uv.min(axis=(0, 1)), uv.max(axis=(0, 1))
    placed = (uv - low) / np.maximum(high - low, 1e-300) * GRID
    # As many rows as all triangles cross: few at a time, so that memory stays bounded.
    counts = np.zeros((GRID, GRID + 1), dtype=np.int64)
    rows = np.ceil(placed[..., 1].max(1) - 0.5) - np.ceil(placed[..., 1].min(1) - 0.5)
    cuts = np.searchsorted(np.cumsum(rows), np.arange(2e6, rows.sum(), 2e6))
    for chunk in np.split(placed, cuts):
        _count(chunk, counts)
    covered = np.cumsum(counts, axis=1)
    return float((covered.sum() - (covered > 0).sum()) / max(covered.sum(), 1))


def _count(triangles: Floats, counts: NDArray[np.int64]) -> None:
    """Add to `counts` where each triangle's stretch of each row of centres begins and ends.

    Half-open on both axes and with every edge computed from its lower end, so that two triangles
    on one edge never both cover a centre.
    """
    first = np.ceil(triangles[..., 1].min(1) - 0.5).astype(np.int64)
    rows = np.ceil(triangles[..., 1].max(1) - 0.5).astype(np.int64) - first
    face = np.repeat(np.arange(len(triangles)), rows)
    row = np.arange(len(face)) - np.repeat(np.cumsum(rows) - rows, rows) + first[face]
    y = row + 0.5
    left, right = np.full(len(face), np.inf), np.full(len(face), -np.inf)
    for k in range(3):
        a, b = triangles[:, k], triangles[:, (k + 1) % 3]
        up = ((a[:, 1] < b[:, 1]) | ((a[:, 1] == b[:, 1]) & (a[:, 0] < b[:, 0])))[:, None]
        a, b = np.where(up, a, b)[face], np.where(up, b, a)[face]
        crosses = (a[:, 1] <= y) & (y < b[:, 1])
        slope = (b[:, 0] - a[:, 0]) / np.where(crosses, b[:, 1] - a[:, 1], 1)
        x = a[:, 0] + (y - a[:, 1]) * slope
        left = np.where(crosses, np.minimum(left, x), left)
        right = np.where(crosses, np.maximum(right, x), right)
    hit = right >= left
    for edge, sign in ((left, 1), (right, -1)):
        column = np.clip(np.ceil(edge[hit] - 0.5), 0, GRID).astype(np.int64)
        at = row[hit] * (GRID + 1) + column
        counts += sign * np.bincount(at, minlength=counts.size).reshape(counts.shape)
