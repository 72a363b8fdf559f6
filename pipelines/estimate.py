"""What a run will take, as far as earlier runs on this machine tell.

    seconds = (seconds around the steps + steps * seconds per step) * size / size of that run

from the latest run of the same teacher, compiled or not as this one, that is nearest in size. Runs
measure themselves; nothing is timed for this. This module knows nothing about how runs work.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.runs.run_folder import METRICS, SETTINGS

LATEST = 40
"""Runs that are asked, the latest first."""
ENOUGH = 3
"""Steps a run must have taken: the first ones are slower."""
ENOUGH_COMPILED = 50
"""The same where networks are compiled: the first step compiles them, which is no step's cost."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    seconds: float
    memory_mb: float
    """The most memory the nearest run's process has held."""


def estimate(
    base: Path,
    job: Literal["video", "mesh"],
    teacher: str,
    steps: int,
    size: float,
    compile: bool = False,
) -> Estimate | None:
    """What a run will take; None where no run like it has been finished yet.

    base: the folder of all runs. size: what a step's cost grows with, see `size_of`.
    """
    best, distance = None, math.inf
    for settings, metrics in _latest(base):
        if not _alike(settings, job, teacher, compile):
            continue
        there = size_of(settings, metrics)
        enough = ENOUGH_COMPILED if compile else ENOUGH
        if there and metrics["steps"] >= enough and abs(math.log(size / there)) < distance:
            best, distance = (metrics, there), abs(math.log(size / there))
    if best is None:
        return None
    metrics, there = best
    seconds = (_around(metrics) + steps * metrics["seconds_per_step"]) * size / there
    return Estimate(seconds, metrics["peak_memory_mb"])


def at_most(
    base: Path, job: Literal["video", "mesh"], teacher: str, steps: int, compile: bool = False
) -> float | None:
    """Seconds that so many steps would have taken the slowest of the latest runs, of any size.

    None where no run of the teacher, compiled alike, has been finished yet.
    """
    found = (
        _around(metrics) + steps * metrics["seconds_per_step"]
        for settings, metrics in _latest(base)
        if _alike(settings, job, teacher, compile)
    )
    return max(found, default=None)


def _alike(settings: dict[str, Any], job: str, teacher: str, compile: bool) -> bool:
    """Whether a run asked the same teacher in the same way."""
    asked = (settings.get("job"), settings.get("teacher"), settings.get("compile", False))
    return asked == (job, teacher, compile)


def _around(metrics: dict[str, Any]) -> float:
    """Seconds a run took beside its steps."""
    return max(metrics["seconds_in_all"] - metrics["seconds"], 0.0)


def size_of(settings: dict[str, Any], metrics: dict[str, Any]) -> float:
    """What a step's cost grows with: a clip's pixels at the working size, a mesh's views."""
    if settings["job"] == "video":
        h, w = metrics["working_size"]
        return float(metrics["frames"] * h * w)
    return float(settings["painting"]["views"])


def _latest(base: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Settings and metrics of the latest runs that have both; their folders' names sort by time."""
    if not base.is_dir():
        return
    found = 0
    for folder in sorted((p for p in base.iterdir() if p.is_dir()), reverse=True):
        if found == LATEST:
            return
        try:
            settings, metrics = (
                json.loads((folder / name).read_text()) for name in (SETTINGS, METRICS)
            )
            size_of(settings, metrics)
            metrics["seconds_in_all"], metrics["steps"], metrics["peak_memory_mb"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found += 1
        yield settings, metrics
