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

COLUMNS = {
    "IoU": ("all", "iou", 3),
    "CIE76 inside": ("all", "colour_error", 1),
    "plain styles": ("plain", "colour_error", 1),
    "patterns": ("patterns", "colour_error", 1),
    "palette": ("all", "palette_error", 1),
    "palette, patterns": ("patterns", "palette_error", 1),
    "correlation": ("patterns", "pattern_correlation", 2),
    "detail": ("patterns", "detail_error", 3),
    "changed outside": ("all", "changed_outside", 3),
    "s a mesh": ("all", "seconds", 1),
}
"""Of the table, after the method's name: over which meshes, which score, how many decimals."""


@dataclass(frozen=True)
class MeshRow:
    """One mesh by one method, against the true answer, at the points that can be seen."""

    number: int
    """Number of the mesh in its split."""
    object: str
    part: str
    style: str
    pattern: str
    """"plain", or what the style has besides its colour."""
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

    def __str__(self) -> str:
        said = f"{self.method}: {self.object}, {self.style} {self.part}: IoU {self.iou:.3f}"
        said += f", CIE76 {self.colour_error:.1f}, palette {self.palette_error:.1f}"
        return f"{said}, {self.seconds:.1f} s"


@dataclass(frozen=True, eq=False)
class MeshResult:
    """A row and what it looks like."""

    edit: MeshEdit
    row: MeshRow
    pictures: tuple[Tensor, Tensor, Tensor]
    """The mesh itself, the true answer and the result: uint8 (H, H, 3)."""


Means = dict[str, float | None]
"""By score, over the meshes that have it; None where none has."""


def mesh_summary(rows: Sequence[MeshRow]) -> dict[str, dict[str, Means]]:
    """Means by method, then of all its meshes, of its plain styles and of its patterns."""
    found: dict[str, dict[str, Means]] = {}
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        plain = [row for row in mine if row.pattern == "plain"]
        patterned = [row for row in mine if row.pattern != "plain"]
        groups = {"all": mine, "plain": plain, "patterns": patterned}
        found[method] = {name: _means(group) for name, group in groups.items()}
    return found


def _means(rows: Sequence[MeshRow]) -> Means:
    found: Means = {}
    for score in SCORES:
        values = [value for row in rows if (value := getattr(row, score)) is not None]
        found[score] = fmean(values) if values else None
    return found


def mesh_table(rows: Sequence[MeshRow]) -> str:
    """Markdown: one line a method; means over all meshes where no other are named."""
    lines = [["method", *COLUMNS], ["---", *["---:"] * len(COLUMNS)]]
    for method, groups in mesh_summary(rows).items():
        line = [method]
        for group, score, digits in COLUMNS.values():
            mean = groups[group][score]
            line.append("" if mean is None else f"{mean:.{digits}f}")
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
