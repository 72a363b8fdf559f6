"""What a job says while it runs: the vocabulary between jobs and their readers.

A job is a generator of these; the command line prints them, the studio shows them, the run folder
keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Note:
    """Something the user should know, in one sentence."""

    text: str


@dataclass(frozen=True)
class Waiting:
    """The job has not begun: others come first, or came before it."""

    ahead: int
    """Jobs before this one, the one that runs included; 0 while the teachers are loaded, and when
    its turn comes."""


@dataclass(frozen=True)
class Left:
    """The job was stopped before it began: in line, or after something it said of its input."""


@dataclass(frozen=True)
class Begun:
    """The job's folder is a run, which can be stopped, reopened and resumed."""

    folder: Path


@dataclass(frozen=True)
class Preparing:
    """What the job was given is still made ready: said every second, so that it can be left."""


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
    """How far the result has come: root mean square, of latents or of colours in [0, 1]."""
    loss: float
    """How much the teachers still ask for: root mean square of the gradient, in their units."""

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
    """uint8 (n, h, w, 3): of a clip a few frames, evenly spread and at the working size; of a mesh
    four views, from all around."""
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    """(n, h, w) in [0, 1] each, at any size, to be laid over the frames: `mask`, the user's, and
    `smoothed`, where the adaptive mask of the last step was."""


@dataclass(frozen=True)
class Writing:
    """The steps are over. What came of them is made into files, which may take a while."""


@dataclass(frozen=True)
class Done:
    """The job is over and its files are written."""

    result: Path
    settings: dict[str, Any]
    metrics: dict[str, Any]


Event = Waiting | Left | Begun | Note | Preparing | Step | Preview | Writing | Done
