"""Which pixels have their centre inside which triangle, row by row.

A triangle is three linear functions e(x, y) = A x + B y + C >= 0. In the row y each is a bound on
x, so that a row's pixels are found by three divisions, and no pixel outside is ever looked at. Two
triangles that share an edge have e and -e there, hence one and the same bound: without a gap, and
without a test per pixel. The centre of pixel (x, y) is at x, y. This module knows nothing about
cameras or textures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

SLACK = 1e-3
"""Pixels that boxes are grown by, so that rounding never cuts a pixel off a shared edge."""


@dataclass(frozen=True, eq=False)
class Triangles:
    """P triangles in the plane of a picture of width x height pixels."""

    edges: Tensor
    """(3, 3, P) fp64: A, B, C of each of the three functions, positive inside; (0, 3, P) for whole
    boxes."""
    low: Tensor
    """(2, P) long: the first column and row of the box; never below 0."""
    high: Tensor
    """(2, P) long: the last column and row of the box; below `low` if it holds no pixel."""


@dataclass(frozen=True, eq=False)
class Spans:
    """R runs of pixels, each within one row and one triangle."""

    owner: Tensor
    """(R,) long: the triangle."""
    y: Tensor
    """(R,) long: the row."""
    first: Tensor
    """(R,) long: the first column."""
    count: Tensor
    """(R,) long: how many columns, one or more."""


def boxes(corners: Tensor, width: int, height: int, margin: float = SLACK) -> tuple[Tensor, Tensor]:
    """The pixels that a triangle's box holds, grown by `margin` pixels.

    corners (2, P, 3): x and y of the three corners. -> low, high (2, P) long, clipped to the
    picture.
    """
    last = corners.new_tensor([width - 1, height - 1])[:, None]
    low = (corners.amin(2) - margin).ceil().clamp(min=0)
    high = (corners.amax(2) + margin).floor().minimum(last)
    return low.minimum(last + 1).long(), high.clamp(min=-1).long()


def spans(triangles: Triangles, limit: int) -> Iterator[Spans]:
    """Every row of every triangle, some triangles at a time.

    limit: pixels of bounding boxes in work at once, or one box if it is larger; bounds the memory,
    however large and many the triangles are.
    """
    extent = (triangles.high - triangles.low + 1).clamp(min=0)
    for part in _chunks(extent[0] * extent[1], limit):
        yield _rows(triangles, part, extent[1, part])


def ragged(counts: Tensor) -> tuple[Tensor, Tensor]:
    """counts (P,) -> for every unit of the sum: whose it is, and its number there, from 0."""
    owner = torch.repeat_interleave(counts)
    first = (counts.cumsum(0) - counts).index_select(0, owner)
    return owner, torch.arange(len(owner), device=counts.device) - first


def linear(coefficients: Tensor, owner: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A x + B y + C with each owner's own A, B, C. coefficients (3, P), the rest (N,). -> (N,)."""
    a, b, c = (row.index_select(0, owner) for row in coefficients)
    return a * x + b * y + c


def _chunks(areas: Tensor, limit: int) -> list[slice]:
    """Cut P things into runs of at most `limit` area each, or of one thing more. areas (P,)."""
    group = areas.cumsum(0) // limit
    lengths = torch.unique_consecutive(group, return_counts=True)[1].tolist()
    ends = accumulate(lengths)
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def _rows(triangles: Triangles, part: slice, rows: Tensor) -> Spans:
    owner, y = ragged(rows)
    owner = owner + part.start
    y = y + triangles.low[1].index_select(0, owner)
    first = triangles.low[0].index_select(0, owner).double()
    last = triangles.high[0].index_select(0, owner).double()
    for a, b, c in triangles.edges:
        slope = a.index_select(0, owner)
        rest = b.index_select(0, owner) * y + c.index_select(0, owner)
        bound = -rest / slope
        first = torch.where(slope > 0, first.maximum(bound.ceil()), first)
        last = torch.where(slope < 0, last.minimum(bound.floor()), last)
        last = torch.where((slope == 0) & (rest < 0), -1.0, last)
    count = (last - first + 1).clamp(min=0).long()
    some = count.nonzero()[:, 0]
    return Spans(*(v.index_select(0, some) for v in (owner, y, first.long(), count)))
