"""HDR pictures as SDR ones: what a phone's HLG or PQ clip shows, on a screen that ends at white.

Codes become light on a screen, in units of reference white (203 cd/m2, ITU-R BT.2408):

* HLG (BT.2100): E = ((exp((E' - c) / a) + b) / 12, or E'^2 / 3 up to E' = 1/2), seen on a screen
  of 1000 cd/m2: F = 1000 Y^0.2 E, Y = 0.2627 R + 0.6780 G + 0.0593 B.
* PQ (BT.2100, SMPTE ST 2084): F = 10000 (max(E'^(1/m2) - c1, 0) / (c2 - c3 E'^(1/m2)))^(1/m1).

Then the primaries of BT.2020 become those of BT.709 (BT.2087), and what lies outside them its
nearest colour inside; light above a knee is rolled off, all three channels by one factor, so that
no hue turns; and sRGB (IEC 61966-2-1) encodes it. Knows nothing about decoders.
"""

from functools import cache

import numpy as np

PQ, HLG = 16, 18
"""The transfers of ITU-T H.273 that are HDR."""
WHITE = 203.0
"""Reference white, in cd/m2."""
KNEE = 0.82
"""Light that is kept as it is. Reference white so becomes 96 % of SDR's range, where method C of
BT.2446 has it, and what is brighter shares the rest."""
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * np.log(4 * _A)
_M1, _M2 = 2610 / 2**14, 2523 / 2**5
_C1, _C2, _C3 = 3424 / 2**12, 2413 / 2**7, 2392 / 2**7
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    np.float32,
)
_LEVELS = 2**16
_BAND = 2**18
"""Pixels in work at once: a few floats for each of a large picture would be a gigabyte."""


def sdr(picture: np.ndarray, transfer: int) -> np.ndarray:
    """uint16 (H, W, 3), RGB codes 0..65535 in BT.2020 -> uint8 (H, W, 3), RGB 0..255 in sRGB.

    transfer: PQ or HLG.
    """
    height, width, _ = picture.shape
    rows = max(_BAND // width, 1)
    bands = [_band(picture[top : top + rows], transfer) for top in range(0, height, rows)]
    return np.concatenate(bands)


def _band(picture: np.ndarray, transfer: int) -> np.ndarray:
    light = _light(transfer)[picture]
    if transfer == HLG:
        light *= (light @ _LUMINANCE)[..., None] ** 0.2 * (1000 / WHITE)
    light = np.maximum(light @ _TO_BT709.T, 0)
    brightest = light.max(axis=2, keepdims=True)
    above = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
    # Slope 1 at the knee, and white only where the light has no end.
    light *= np.where(above > 0, (KNEE + (1 - KNEE) * above / (1 + above)) / (brightest + 1e-9), 1)
    return _bytes()[(light * (_LEVELS - 1) + 0.5).astype(np.uint16)]


@cache
def _light(transfer: int) -> np.ndarray:
    """Of every code: a scene's light in [0, 1] for HLG, a screen's in units of white for PQ."""
    code = np.linspace(0, 1, _LEVELS)
    if transfer == HLG:
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - _C) / _A) + _B) / 12)
    else:
        root = code ** (1 / _M2)
        light = (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1) * (10_000 / WHITE)
    return light.astype(np.float32)


@cache
def _bytes() -> np.ndarray:
    """sRGB's byte of light in [0, 1]: uint8 (65536,)."""
    light = np.linspace(0, 1, _LEVELS)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (code * 255).round().astype(np.uint8)
