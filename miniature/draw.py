"""A scene to pixels: shaded, patterned objects over a place, with exact masks and motion.

Coverage is the signed distance in pixels cut to [0, 1] about the outline, so that edges are
antialiased and motion below a pixel shows. This module knows nothing about captions.
"""

from dataclasses import dataclass

import numpy as np

from miniature import backgrounds
from miniature.scenes import Scene, centres, facing
from miniature.shapes import PARTS

Array = np.ndarray

COLOUR = {
    "red": (0.86, 0.1, 0.1),
    "orange": (0.97, 0.5, 0.06),
    "yellow": (0.96, 0.86, 0.12),
    "green": (0.1, 0.6, 0.2),
    "blue": (0.1, 0.28, 0.88),
    "purple": (0.5, 0.14, 0.66),
    "pink": (0.97, 0.5, 0.72),
    "white": (0.95, 0.95, 0.95),
    "black": (0.1, 0.1, 0.11),
}


@dataclass(frozen=True)
class Drawn:
    """A clip of the small world and what is true of it."""

    frames: Array
    """float32 (F, 3, S, S) in [0, 1]."""
    mask: Array
    """float32 (F, 1, S, S): how much of each pixel the object covers."""
    centres: Array
    """float64 (F, 2): the object's centre in pixels, x then y; it moves as a rigid whole."""


def draw(scene: Scene, frames: int = 16, size: int = 128) -> Drawn:
    """Draw a scene as `frames` frames of `size` x `size` pixels."""
    rng = np.random.default_rng(scene.texture_seed)
    place = backgrounds.DRAW[scene.background](rng, size)
    image = np.repeat(place[None], frames, axis=0)
    mask = np.zeros((frames, size, size), np.float32)
    path = centres(scene, frames) * size
    for f, (cx, cy) in enumerate(path):
        window, x, y = _window(cx, cy, 1.35 * scene.radius * size, size)
        u, v = (x - cx) / (scene.radius * size), (y - cy) / (scene.radius * size)
        image[f][window], mask[f][window] = _object(scene, u, v, image[f][window], size)
    pixels = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    return Drawn(pixels.astype(np.float32), mask[:, None], path)


def _window(cx: float, cy: float, reach: float, size: int) -> tuple[tuple, Array, Array]:
    left, right = max(int(cx - reach), 0), min(int(cx + reach) + 2, size)
    top, bottom = max(int(cy - reach), 0), min(int(cy + reach) + 2, size)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
    return np.s_[top:bottom, left:right], x, y


def _object(scene: Scene, u: Array, v: Array, behind: Array, size: int) -> tuple[Array, Array]:
    """Paint the object and its shadow over `behind` (h, w, 3); also returns the coverage (h, w)."""
    pixel = 1 / (scene.radius * size)
    shadow = np.clip(1 - np.hypot(u / 1.05, (v - 0.92) / 0.3), 0, 1)
    strength = backgrounds.SHADOW[scene.background]
    image = behind * (1 - strength * np.minimum(2 * shadow, 1))[..., None]
    covered = np.zeros_like(u)
    main = _pattern(scene, u, v, pixel)
    lit = 1 + 0.3 * (u * np.cos(scene.light) + v * np.sin(scene.light))
    turned = u * facing(scene)
    for part in PARTS[scene.object]:
        distance = part.outline(turned, v)
        coverage = np.clip(0.5 - distance / pixel, 0, 1)
        rim = 0.82 + 0.18 * np.clip(-distance / 0.22, 0, 1)
        base = main * part.shade if part.colour is None else np.asarray(part.colour, np.float32)
        paint = np.clip(base * (lit * rim)[..., None], 0, 1)
        image = image + (paint - image) * coverage[..., None]
        covered = np.maximum(covered, coverage)
    return image, covered


def second_colour(colour: str) -> Array:
    """The colour a pattern alternates with: lighter, or darker where the colour is light."""
    base = np.asarray(COLOUR[colour], np.float32)
    light = float(base @ np.array((0.3, 0.59, 0.11), np.float32))
    return base * 0.4 if light > 0.55 else base + 0.75 * (1 - base)


def _pattern(scene: Scene, u: Array, v: Array, pixel: float) -> Array:
    """The object's own colour at every point of its frame: (h, w, 3).

    Every pattern has one direction and one pitch, so that the words of an edit fix its answer.
    """
    base = np.asarray(COLOUR[scene.colour], np.float32)
    if scene.pattern == "plain":
        return np.broadcast_to(base, (*u.shape, 3))
    if scene.pattern == "striped":
        edge = _wave(u, 0.62)
    elif scene.pattern == "checked":
        edge = _wave(u, 0.8) * _wave(v, 0.8) / 0.2
    else:
        edge = 0.19 - np.hypot(_wrap(u, 0.58), _wrap(v, 0.58))
    weight = np.clip(edge / pixel + 0.5, 0, 1)
    return base + (second_colour(scene.colour) - base) * weight[..., None]


def _wrap(x: Array, period: float) -> Array:
    return (x + period / 2) % period - period / 2


def _wave(x: Array, period: float) -> Array:
    """Signed distance to the nearest edge of stripes of half a period each."""
    return period / 4 - np.abs(_wrap(x, period))
