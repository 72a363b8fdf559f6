"""What a job says while it runs: the vocabulary between jobs and their readers.

A job is a generator of these; the command line prints them, the studio shows them, the run folder
keeps them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Note:
    """Something the user should know, in one sentence."""

    text: str


@dataclass(frozen=True)
class Step:
    """One step of the optimisation is done."""

    index: int
    """Counted from 0."""
    steps: int
    """How many there will be."""
    seconds: float
    """Since the first step began."""
    change: float
    """Root mean square of the edit so far, in latent units."""

    @property
    def left(self) -> float:
        """Seconds the remaining steps will take, at the pace so far."""
        return self.seconds / (self.index + 1) * (self.steps - self.index - 1)


@dataclass(frozen=True)
class Preview:
    """What the result looks like so far."""

    index: int
    """The step it was made after, counted from 0."""
    frames: Tensor
    """uint8 (n, h, w, 3): a few frames, evenly spread over the clip, at the working size."""


@dataclass(frozen=True)
class Done:
    """The job is over and its files are written."""

    result: Path
    settings: dict[str, Any]
    metrics: dict[str, Any]


Event = Note | Step | Preview | Done
