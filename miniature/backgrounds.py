"""The places of the small world: still textures, drawn from a seed.

Every function takes a generator and a side in pixels and returns float32 (S, S, 3) in [0, 1].
This module knows nothing about objects or motion.
"""

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def noise(rng: np.random.Generator, size: int, exponent: float, stretch: float = 1.0) -> Array:
    """Gaussian noise with amplitude spectrum 1/f^exponent: (S, S), mean 0, std 1.

    `stretch` above 1 draws it out horizontally, below 1 vertically.
    """
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None] * stretch
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = np.inf
    shape = frequency.shape
    spectrum = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    field = np.fft.irfft2(spectrum * frequency**-exponent, s=(size, size))
    return ((field - field.mean()) / (field.std() + 1e-8)).astype(np.float32)


def _rows(size: int) -> Array:
    return ((np.arange(size, dtype=np.float32) + 0.5) / size)[:, None]


def _mix(a: tuple[float, ...], b: tuple[float, ...], weight: Array) -> Array:
    """Colour `a` where `weight` is 0, `b` where it is 1: (S, S, 3)."""
    low, high = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return low + (high - low) * weight[..., None]


def grass(rng: np.random.Generator, size: int) -> Array:
    blades = noise(rng, size, 0.7, stretch=0.35)
    patches = noise(rng, size, 1.6)
    weight = 0.45 + 0.2 * _rows(size) + 0.09 * blades + 0.09 * patches
    return _mix((0.2, 0.33, 0.1), (0.5, 0.72, 0.26), np.clip(weight, 0, 1))


def sea(rng: np.random.Generator, size: int) -> Array:
    y = _rows(size)
    drift = noise(rng, size, 1.6, stretch=0.3)
    waves = np.sin(2 * np.pi * (rng.uniform(7, 11) * y**1.3 + 0.28 * drift) + rng.uniform(0, 6.3))
    weight = 0.4 + 0.16 * waves + 0.08 * drift
    water = _mix((0.05, 0.26, 0.42), (0.32, 0.66, 0.78), np.clip(weight, 0, 1))
    sky = _mix((0.55, 0.78, 0.93), (0.85, 0.93, 0.97), np.clip(y / 0.3, 0, 1) + 0 * drift)
    horizon = rng.uniform(0.16, 0.3)
    below = np.clip((y - horizon) * size + 0.5, 0, 1)[..., None]
    return sky + (water - sky) * below


def night_sky(rng: np.random.Generator, size: int) -> Array:
    glow = 0.5 * _rows(size) + 0.06 * noise(rng, size, 1.8)
    image = _mix((0.02, 0.03, 0.1), (0.12, 0.14, 0.32), np.clip(glow, 0, 1))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    for _ in range(int(rng.integers(22, 40))):
        cx, cy = rng.uniform(0, size, 2)
        r = rng.uniform(0.45, 0.95) * size / 128
        left, top = max(int(cx) - 4, 0), max(int(cy) - 4, 0)
        window = np.s_[top : top + 9, left : left + 9]
        star = np.exp(-((x[window] - cx) ** 2 + (y[window] - cy) ** 2) / (2 * r * r))
        image[window] += rng.uniform(0.4, 0.9) * star[..., None]
    return np.clip(image, 0, 1)


def desert(rng: np.random.Generator, size: int) -> Array:
    y = _rows(size)
    x = (np.arange(size, dtype=np.float32) / size)[None]
    sky = _mix((0.97, 0.78, 0.52), (0.99, 0.9, 0.72), np.clip(y / 0.35, 0, 1) + 0 * x)
    image = sky
    for depth, (dark, level) in enumerate(((0.0, 0.3), (0.1, 0.5), (0.18, 0.74))):
        f, p = rng.uniform(0.5, 1.3), rng.uniform(0, 6.3)
        crest = level + 0.07 * np.sin(2 * np.pi * f * x + p) + rng.uniform(-0.03, 0.03)
        ripple = 0.022 * noise(rng, size, 1.1, stretch=0.4)
        sand = _mix((0.93, 0.74, 0.45), (0.72, 0.5, 0.26), np.clip(dark + 0.5 * (y - crest), 0, 1))
        sand = sand + ripple[..., None] * (1 + 0.3 * depth)
        image = image + (sand - image) * np.clip((y - crest) * size + 0.5, 0, 1)[..., None]
    return np.clip(image, 0, 1)


def brick_wall(rng: np.random.Generator, size: int) -> Array:
    rows = int(rng.integers(7, 10))
    height, width = size / rows, 2.2 * size / rows
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) + 0.5
    row = np.floor(y / height).astype(int)
    shifted = x + (row % 2) * width / 2 + rng.uniform(0, width)
    column = np.floor(shifted / width).astype(int)
    edge = np.minimum.reduce(
        [y % height, height - y % height, shifted % width, width - shifted % width]
    )
    brick = np.clip((edge - 0.055 * height) + 0.5, 0, 1)
    tone = rng.uniform(0, 1, (rows + 2, 16))[row, column % 16] * 0.6
    tone = np.clip(tone + 0.14 * noise(rng, size, 1.0), 0, 1).astype(np.float32)
    bricks = _mix((0.5, 0.22, 0.16), (0.74, 0.42, 0.32), tone)
    return bricks + (np.array((0.72, 0.68, 0.62), np.float32) - bricks) * (1 - brick)[..., None]


def plain(rng: np.random.Generator, size: int) -> Array:
    base = 0.5 + 0.35 * rng.uniform(size=3) + rng.uniform(-0.05, 0.1)
    y = _rows(size)
    slope = rng.uniform(-0.12, 0.12) * (y - 0.5) + np.zeros((size, size), np.float32)
    return np.clip(base.astype(np.float32) + slope[..., None], 0, 1)


DRAW: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "grass": grass,
    "sea": sea,
    "night sky": night_sky,
    "desert": desert,
    "brick wall": brick_wall,
    "plain": plain,
}
SHADOW = {
    "grass": 0.4,
    "sea": 0.3,
    "night sky": 0.0,
    "desert": 0.35,
    "brick wall": 0.35,
    "plain": 0.3,
}
