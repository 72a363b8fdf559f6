"""How close a painted surface came to the true answer, at points that can be seen.

    IoU         = |region and part| / |region or part|
    CIE76       = sqrt((dL*)^2 + (da*)^2 + (db*)^2), CIELAB of sRGB under D65 (IEC 61966-2-1)
    palette     = CIE76 of the colours sorted by L* on either side: blind to where a pattern lies
    correlation = Pearson's, of the lightness L*
    detail      = sliced Wasserstein distance of small squares of L* less their means (Rabin et al.
                  2011; Karras et al., 1710.10196, section 5): sees what a pattern is like at the
                  scale of a few pixels, blind to where it lies and to its mean colour

The points are the pixels of views from all around. By Cauchy's formula a patch shows, over all
directions, a quarter of its area less what is hidden, so counting points weighs by visible area.
This module knows nothing about fields, methods or meshes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, unfold

from pipelines.render import Points, Surface, rasterise, sphere_views, visible

VIEWS, SIZE = 32, 96
SQUARE = 7
"""Pixels along each side of the squares whose detail is compared."""
DIRECTIONS = 128
"""Random directions that the squares are projected on."""
XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Linear sRGB to CIE XYZ; its rows sum to the white point D65."""


@dataclass(frozen=True)
class Seen:
    """Points of the visible surface, evenly over its visible area."""

    points: Points
    face: Tensor
    """(N,) long: the face each lies on."""
    index: Tensor
    """(N,) long: each point's place in the VIEWS * SIZE * SIZE flattened pixels."""


def seen(surface: Surface) -> Seen:
    buffer = rasterise(surface, sphere_views(VIEWS, torch.Generator().manual_seed(0)), SIZE)
    points, index = visible(surface, buffer)
    return Seen(points, buffer.face.flatten()[index], index)


def iou(region: Tensor, part: Tensor) -> float:
    """Intersection over union of two sets of points, (N,) bool. Raises ValueError if both empty."""
    union = int((region | part).sum())
    if not union:
        raise ValueError("neither region nor part has a visible point; choose a part that is seen")
    return int((region & part).sum()) / union


def lab(colours: Tensor) -> Tensor:
    """sRGB (N, 3) in [0, 1] -> CIELAB (N, 3) fp64 under D65: L* in [0, 100], a*, b*."""
    srgb = colours.double()
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    matrix = linear.new_tensor(XYZ)
    ratio = linear @ matrix.T / matrix.sum(1)
    low = ratio * (29 / 6) ** 2 / 3 + 4 / 29
    x, y, z = torch.where(ratio > (6 / 29) ** 3, ratio ** (1 / 3), low).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def colour_error(found: Tensor, answer: Tensor) -> float:
    """Mean CIE76 between sRGB colours (N, 3) in [0, 1]; 2.3 is just noticeable."""
    return float((lab(found) - lab(answer)).norm(dim=1).mean())


def palette_error(found: Tensor, answer: Tensor) -> float:
    """`colour_error` once either side is sorted by lightness: it asks for the right colours in the
    right amounts, wherever they are. Where the answer is plain, the two are the same.
    """
    sides = (colours[lab(colours)[:, 0].argsort()] for colours in (found, answer))
    return colour_error(*sides)


def lightness_correlation(found: Tensor, answer: Tensor) -> float | None:
    """Pearson correlation of L* of sRGB colours (N, 3) in [0, 1]; 0 where `found` is plain, None
    where the answer itself is: a part can lie within one stripe.
    """
    a, b = (lab(colours)[:, 0] for colours in (found, answer))
    a, b = a - a.mean(), b - b.mean()
    if float(b.abs().max()) < 1e-6:
        return None
    if float(a.abs().max()) < 1e-6:
        return 0.0
    return float((a @ b) / (a.norm() * b.norm()))


def detail_error(found: Tensor, answer: Tensor, index: Tensor) -> float | None:
    """How far the detail of sRGB colours (N, 3) in [0, 1] is from the answer's, as a share of how
    far a plain colour is: 0 is the same pattern, wherever it lies, and 1 is none.

    index (N,): their places among the pixels (see `Seen`). Only whole squares count; None where
    there are none, or where the answer's are plain.
    """
    mine, wanted = (_squares(lab(colours)[:, 0], index) for colours in (found, answer))
    if not len(wanted) or float(wanted.abs().max()) < 1e-6:
        return None
    generator = torch.Generator().manual_seed(0)
    ways = torch.randn(SQUARE**2, DIRECTIONS, generator=generator, dtype=wanted.dtype)
    ways = normalize(ways, dim=0)
    mine, wanted = ((squares @ ways).sort(0).values for squares in (mine, wanted))
    return float((mine - wanted).abs().mean() / wanted.abs().mean())


def _squares(light: Tensor, index: Tensor) -> Tensor:
    """Every square of pixels that are all known, less its mean: (N,) -> (M, SQUARE**2)."""
    pixels = light.new_full((VIEWS * SIZE * SIZE,), float("nan"))
    pixels[index] = light
    squares = unfold(pixels.view(VIEWS, 1, SIZE, SIZE), SQUARE).mT.flatten(0, 1)
    squares = squares[squares.isfinite().all(1)]
    return squares - squares.mean(1, keepdim=True)


def changed_share(texture: Tensor, base: Tensor, where: Tensor) -> float:
    """Share of the points `where` (N,) bool whose uint8 colours (N, 3) differ; 0 of no points."""
    changed = (texture != base).any(1)[where]
    return float(changed.double().mean()) if len(changed) else 0.0
