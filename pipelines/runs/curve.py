"""How a run goes, step by step: how far it has come, and how much is still asked for.

Few points however long it is. They are kept in the run's folder, so that they are there again when
it is reopened or goes on. This module knows nothing about what a run does.
"""

import json
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from pipelines.events import Step
from pipelines.media.files import replacing

NAME = "curve.json"
MOST = 200
"""Points: a page that draws thousands of them each step is slow."""


class Point(NamedTuple):
    """What a `Step` said."""

    step: int
    """Counted from 0."""
    change: float
    loss: float


Curve = tuple[Point, ...]


def grown(curve: Curve, step: Step) -> Curve:
    """The curve with one step more; what it has from there on is taken anew, and goes.

    Of a long run every second, fourth, ... step is kept, and always the last.
    """
    if not (isfinite(step.change) and isfinite(step.loss)):
        return curve
    stride = 1
    while step.index >= stride * (MOST - 1):
        stride *= 2
    before = (p for p in curve if p.step < step.index and p.step % stride == 0)
    return (*before, Point(step.index, step.change, step.loss))


def write(folder: Path, curve: Curve) -> None:
    """Replace the folder's curve."""
    with replacing(folder / NAME) as part:
        part.write_text(json.dumps([point._asdict() for point in curve]) + "\n")


def read(folder: Path) -> Curve:
    """A folder's curve; none where it was not written, or cannot be read."""
    try:
        said = json.loads((folder / NAME).read_text())
        return tuple(Point(int(p["step"]), float(p["change"]), float(p["loss"])) for p in said)
    except (OSError, ValueError, TypeError, KeyError):
        return ()
