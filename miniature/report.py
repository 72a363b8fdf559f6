"""What the benchmark found: means by method, a table for BENCHMARKS.md, a sheet to look at.

A mean of PSNRs is infinite where one of them is. This module knows nothing about how rows are made.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from miniature.edits import Edit, Kind


@dataclass(frozen=True)
class Row:
    """One edit by one method, against the true answer. PSNR in dB, temporal errors in 0..255."""

    kind: Kind
    number: int
    """Number of the scene in its split."""
    source: str
    target: str
    method: str
    psnr_inside: float
    """To the true answer, in the edited region."""
    gain: float
    """psnr_inside less what the unedited source has there."""
    psnr_outside: float
    """To the source, in the rest; infinite where nothing changed."""
    temporal_object: float
    """Change of the object along its true motion, less the true answer's own."""
    temporal_background: float
    """Flicker of what stands still in the source and in the true answer, whose own is 0."""
    seconds: float
    """From latents to edited frames."""

    def __str__(self) -> str:
        said = f"{self.method}: {self.source} -> {self.target}: {self.gain:+.2f} dB"
        return f"{said}, {self.seconds:.1f} s"


@dataclass(frozen=True, eq=False)
class Result:
    """A row and what it looks like."""

    edit: Edit
    row: Row
    pictures: tuple[Tensor, Tensor, Tensor]
    """Middle frame of the source, of the true answer and of the result: uint8 (H, W, 3)."""


class Pictured(Protocol):
    """What a sheet needs of a result: `edit.prompts`, `row.method`, and three pictures."""

    edit: Any
    """What was asked; hashable, and the same for all its results."""
    row: Any
    pictures: tuple[Tensor, Tensor, Tensor]
    """Of the source, of the true answer and of the result: uint8 (H, H, 3)."""


SCORES = (
    "psnr_inside",
    "gain",
    "psnr_outside",
    "temporal_object",
    "temporal_background",
    "seconds",
)


def summary(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Means by method, then by kind of edit ("all" first), then by score."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        groups = {"all": mine}
        for row in mine:
            groups.setdefault(row.kind, []).append(row)
        found[method] = {
            name: {score: fmean(getattr(row, score) for row in group) for score in SCORES}
            for name, group in groups.items()
        }
    return found


def table(rows: Sequence[Row]) -> str:
    """Markdown: one line a method, means over all edits, and the gain for each kind of edit."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    heads = ["method", "PSNR inside", "gain", *(f"gain, {kind}" for kind in kinds)]
    heads += ["PSNR outside", "temporal, object", "temporal, background", "s per edit"]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for method, means in summary(rows).items():
        every = means["all"]
        gains = [f"{means[kind]['gain']:+.2f}" if kind in means else "" for kind in kinds]
        line = [method, f"{every['psnr_inside']:.2f}", f"{every['gain']:+.2f}", *gains]
        line += ["exact" if math.isinf(every["psnr_outside"]) else f"{every['psnr_outside']:.2f}"]
        line += [f"{every[score]:+.2f}" for score in ("temporal_object", "temporal_background")]
        lines.append([*line, f"{every['seconds']:.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sheet(results: Sequence[Pictured], gap: int = 4, head: int = 30) -> Tensor:
    """One row an edit: source, true answer and every method. -> uint8 (H, W, 3).

    gap: white pixels between pictures; head: pixels for the names on top, and half of them for the
    prompts above each row.
    """
    grouped: dict[Any, list[Pictured]] = {}
    for result in results:
        grouped.setdefault(result.edit, []).append(result)
    methods = list(dict.fromkeys(result.row.method for result in results))
    side = results[0].pictures[0].shape[0] + gap
    step = side + head // 2
    canvas = Image.new("RGB", ((2 + len(methods)) * side, head + len(grouped) * step), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for column, name in enumerate(["source", "true answer", *methods]):
        pen.multiline_text((column * side, 0), textwrap.fill(name, 20), "black", font, spacing=1)
    for line, (edit, mine) in enumerate(grouped.items()):
        top = head + line * step
        pen.text((0, top), " -> ".join(edit.prompts), "black", font)
        cells = {2 + methods.index(result.row.method): result.pictures[2] for result in mine}
        cells |= {0: mine[0].pictures[0], 1: mine[0].pictures[1]}
        for column, picture in cells.items():
            image = Image.fromarray(picture.numpy(force=True))
            canvas.paste(image, (column * side, top + head // 2))
    return torch.from_numpy(np.array(canvas))
