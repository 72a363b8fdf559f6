"""What the mesh benchmark found: means by method, and a table for BENCHMARKS.md.

The sheet of pictures is that of the videos, `miniature.report.sheet`. This module knows nothing
about how rows are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from miniature.mesh_edits import MeshEdit

SCORES = (
    "iou",
    "colour_error",
    "palette_error",
    "pattern_correlation",
    "detail_error",
    "changed_outside",
    "seconds",
)


@dataclass(frozen=True)
class MeshRow:
    """One mesh by one method, against the true answer, at the points that can be seen."""

    number: int
    """Number of the mesh in its split."""
    object: str
    part: str
    style: str
    method: str
    iou: float
    """Of the thresholded region with the labelled part."""
    colour_error: float
    """Mean CIE76 inside the part, between what the mesh wears and the style."""
    palette_error: float
    """The same, wherever the colours are: what a pattern at another place is not punished by."""
    pattern_correlation: float | None
    """Pearson's, of the new colours' lightness with the pattern inside the part; None if that is
    plain."""
    detail_error: float | None
    """What its detail is like, as a share of what a plain colour would get, wherever the pattern
    lies; None if the answer shows none, or if the part is too thin for a square of pixels."""
    changed_outside: float
    """Share of the surface outside the part whose colour is no longer the mesh's own."""
    seconds: float
    """From words to trained fields."""


@dataclass(frozen=True, eq=False)
class MeshResult:
    """A row and what it looks like."""

    edit: MeshEdit
    row: MeshRow
    pictures: tuple[Tensor, Tensor, Tensor]
    """The mesh itself, the true answer and the result: uint8 (H, H, 3)."""


def mesh_summary(rows: Sequence[MeshRow]) -> dict[str, dict[str, float | None]]:
    """Means by method, then by score, over the meshes that have it; None where none has."""
    found: dict[str, dict[str, float | None]] = {}
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        found[method] = {}
        for score in SCORES:
            values = [v for row in mine if (v := getattr(row, score)) is not None]
            found[method][score] = fmean(values) if values else None
    return found


def mesh_table(rows: Sequence[MeshRow]) -> str:
    """Markdown: one line a method, means over all meshes; of patterns, over patterned ones."""
    heads = ["method", "IoU", "CIE76 inside", "of the palette", "pattern correlation", "detail"]
    lines = [[*heads, "changed outside, %", "s per mesh"], ["---", *["---:"] * 7]]
    for method, mean in mesh_summary(rows).items():
        patterns = (mean["pattern_correlation"], mean["detail_error"])
        line = [method, f"{mean['iou']:.3f}"]
        line += [f"{mean[score]:.1f}" for score in ("colour_error", "palette_error")]
        line += ["" if value is None else f"{value:.3f}" for value in patterns]
        lines.append([*line, f"{100 * mean['changed_outside']:.1f}", f"{mean['seconds']:.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
