"""Pictures with the statistics of real ones, for training the autoencoder on more than the world.

Dead leaves (Lee, Mumford and Huang, "Occlusion models for natural images", 2001), 1/f noise, smooth
gradients and text-like edges. Each function returns float32 (S, S, 3) in [0, 1].
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from miniature.backgrounds import noise

Array = np.ndarray


def colour_noise(rng: np.random.Generator, size: int) -> Array:
    """1/f noise whose channels mostly agree, as in photographs."""
    exponent = rng.uniform(0.7, 1.6)
    stretch = float(np.exp(rng.uniform(-1, 1)))
    light = noise(rng, size, exponent, stretch)
    tint = np.stack([noise(rng, size, exponent + 0.6) for _ in range(3)], axis=-1)
    tint *= rng.uniform(0.02, 0.3)
    field = rng.uniform(0.04, 0.24) * (light[..., None] + tint)
    return np.clip(muted_colour(rng) + field, 0, 1).astype(np.float32)


def muted_colour(rng: np.random.Generator) -> Array:
    """A random colour, most often near gray, as in photographs."""
    gray, vivid = rng.uniform(0.05, 0.95), rng.uniform(size=3)
    return gray + (vivid - gray) * rng.uniform() ** 2


def gradient(rng: np.random.Generator, size: int) -> Array:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, 2 * np.pi)
    if rng.uniform() < 0.5:
        weight = 0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    else:
        weight = np.hypot(x - rng.uniform(), y - rng.uniform()) * rng.uniform(0.7, 1.6)
    a, b = muted_colour(rng), muted_colour(rng)
    image = a + (b - a) * np.clip(weight, 0, 1)[..., None]
    return np.clip(image + 0.015 * noise(rng, size, 0.5)[..., None], 0, 1).astype(np.float32)


def dead_leaves(rng: np.random.Generator, size: int, leaves: int = 110) -> Array:
    """Occluding discs, boxes and strokes with power-law sizes, each with its own texture."""
    image = colour_noise(rng, size)
    fine = 0.12 * noise(rng, size, rng.uniform(0.3, 1.0))[..., None]
    smallest = 2.5
    for _ in range(leaves):
        r = smallest / np.sqrt(rng.uniform((smallest / (size * 0.4)) ** 2, 1))
        cx, cy = rng.uniform(0, size, 2)
        reach = int(2 * r) + 2
        left, top = max(int(cx) - reach, 0), max(int(cy) - reach, 0)
        window = np.s_[top : int(cy) + reach, left : int(cx) + reach]
        y, x = np.mgrid[0:size, 0:size][:, window[0], window[1]].astype(np.float32) + 0.5
        angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.25, 1)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / aspect
        distance = np.hypot(u, v) - r if rng.uniform() < 0.6 else np.maximum(abs(u), abs(v)) - r
        blur = 1 if rng.uniform() < 0.7 else rng.uniform(1, 6)
        coverage = np.clip(0.5 - distance * min(aspect + 0.2, 1) / blur, 0, 1)[..., None]
        slope = rng.uniform(-0.15, 0.15) * np.clip(u / r, -1, 1)[..., None]
        paint = muted_colour(rng) + slope + rng.uniform(0, 1.4) * fine[window]
        image[window] += (np.clip(paint, 0, 1) - image[window]) * coverage
    return image


def lettering(rng: np.random.Generator, size: int) -> Array:
    picture = Image.fromarray((gradient(rng, size) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    letters = list("ABCDEFGHKLMNPRSTUVXYZabcdefghkmnoprstuvxyz0123456789 .,:-+")
    for _ in range(int(rng.integers(8, 22))):
        ink = tuple(int(c) for c in rng.integers(0, 256, 3))
        x, y = rng.integers(-10, size, 2)
        if rng.uniform() < 0.7:
            text = "".join(rng.choice(letters, int(rng.integers(2, 12))))
            pen.text((x, y), text, ink, font=ImageFont.load_default(int(rng.integers(8, 40))))
        else:
            pen.line((x, y, *rng.integers(0, size, 2)), ink, width=int(rng.integers(1, 5)))
    return np.asarray(picture, np.float32) / 255


def texture(rng: np.random.Generator, size: int) -> Array:
    """One picture of a random kind; half of them are dead leaves."""
    kinds = (dead_leaves, colour_noise, gradient, lettering)
    return kinds[rng.choice(4, p=(0.55, 0.25, 0.05, 0.15))](rng, size)
