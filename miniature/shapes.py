"""Outlines of the objects as signed distances, in the object's own frame.

The frame runs from -1 to 1 in both axes, x to the right and y down; the object looks right.
Distances are negative inside and in the same unit. Primitives follow Inigo Quilez, "2D distance
functions". This module knows nothing about colours of the grammar or about pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Outline = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Part:
    """A piece of an object, painted over the pieces before it."""

    outline: Outline
    colour: tuple[float, float, float] | None = None
    """None takes the object's colour and pattern."""
    shade: float = 1.0
    """Factor on the object's colour."""


def circle(cx: float, cy: float, r: float) -> Outline:
    return lambda x, y: np.hypot(x - cx, y - cy) - r


def ellipse(cx: float, cy: float, a: float, b: float) -> Outline:
    """First-order distance to an ellipse: exact on the outline, which is where it is used."""

    def distance(x: Array, y: Array) -> Array:
        px, py = x - cx, y - cy
        k0 = np.hypot(px / a, py / b)
        k1 = np.hypot(px / a**2, py / b**2)
        return k0 * (k0 - 1) / np.maximum(k1, 1e-6)

    return distance


def box(cx: float, cy: float, w: float, h: float, r: float = 0.0) -> Outline:
    """Box of half sizes `w`, `h` with corners rounded by `r`."""

    def distance(x: Array, y: Array) -> Array:
        qx, qy = np.abs(x - cx) - w + r, np.abs(y - cy) - h + r
        outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
        return outside + np.minimum(np.maximum(qx, qy), 0) - r

    return distance


def polygon(*points: tuple[float, float]) -> Outline:
    def distance(x: Array, y: Array) -> Array:
        squared = np.full_like(x, np.inf)
        inside = np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            ex, ey = bx - ax, by - ay
            wx, wy = x - ax, y - ay
            s = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
            squared = np.minimum(squared, (wx - s * ex) ** 2 + (wy - s * ey) ** 2)
            if ey != 0:
                inside ^= ((ay > y) != (by > y)) & (x < ex * (y - ay) / ey + ax)
        return np.where(inside, -1, 1) * np.sqrt(squared)

    return distance


def union(*outlines: Outline) -> Outline:
    def distance(x: Array, y: Array) -> Array:
        result = outlines[0](x, y)
        for outline in outlines[1:]:
            result = np.minimum(result, outline(x, y))
        return result

    return distance


def _star_points(n: int, outer: float, inner: float) -> list[tuple[float, float]]:
    radii = [outer, inner] * n
    angles = [np.pi * k / n - np.pi / 2 for k in range(2 * n)]
    return [(r * np.cos(a), r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]


DARK, PALE, GLASS = (0.13, 0.13, 0.14), (0.93, 0.91, 0.86), (0.62, 0.82, 0.92)
BARK, BEAK = (0.42, 0.27, 0.15), (0.95, 0.62, 0.12)

PARTS: dict[str, tuple[Part, ...]] = {
    "ball": (Part(circle(0, 0, 0.92)),),
    "cube": (
        Part(polygon((0, -1), (0.87, -0.5), (0, 0), (-0.87, -0.5)), shade=1.18),
        Part(polygon((-0.87, -0.5), (0, 0), (0, 1), (-0.87, 0.5)), shade=0.92),
        Part(polygon((0.87, -0.5), (0, 0), (0, 1), (0.87, 0.5)), shade=0.66),
    ),
    "star": (Part(polygon(*_star_points(5, 1.0, 0.47))),),
    "car": (
        Part(union(box(0, 0.15, 1.0, 0.3, 0.14), box(-0.08, -0.2, 0.56, 0.34, 0.18))),
        Part(box(-0.33, -0.2, 0.22, 0.17, 0.06), colour=GLASS),
        Part(box(0.19, -0.2, 0.2, 0.17, 0.06), colour=GLASS),
        Part(union(circle(-0.55, 0.45, 0.25), circle(0.55, 0.45, 0.25)), colour=DARK),
        Part(union(circle(-0.55, 0.45, 0.1), circle(0.55, 0.45, 0.1)), colour=PALE),
    ),
    "fish": (
        Part(polygon((-0.45, 0), (-1.0, -0.52), (-0.86, 0), (-1.0, 0.52)), shade=0.8),
        Part(ellipse(0.14, 0, 0.84, 0.56)),
        Part(circle(0.56, -0.14, 0.14), colour=PALE),
        Part(circle(0.6, -0.14, 0.07), colour=DARK),
    ),
    "boat": (
        Part(box(0.0, -0.3, 0.04, 0.66), colour=BARK),
        Part(polygon((0.08, -0.92), (0.08, 0.14), (0.72, 0.14)), colour=PALE),
        Part(polygon((-0.08, -0.7), (-0.08, 0.14), (-0.55, 0.14)), colour=PALE),
        Part(polygon((-1.0, 0.22), (1.0, 0.22), (0.62, 0.86), (-0.62, 0.86))),
    ),
    "bird": (
        Part(polygon((-0.5, 0.02), (-1.0, -0.22), (-0.95, 0.3)), shade=0.8),
        Part(ellipse(-0.05, 0.14, 0.7, 0.46)),
        Part(circle(0.52, -0.26, 0.33)),
        Part(polygon((0.8, -0.36), (1.06, -0.22), (0.8, -0.12)), colour=BEAK),
        Part(ellipse(-0.18, 0.08, 0.4, 0.22), shade=0.68),
        Part(circle(0.6, -0.32, 0.075), colour=DARK),
    ),
    "tree": (
        Part(box(0, 0.66, 0.13, 0.34), colour=BARK),
        Part(
            union(circle(0, -0.46, 0.5), circle(-0.42, 0.04, 0.44), circle(0.42, 0.04, 0.44)),
        ),
    ),
}
