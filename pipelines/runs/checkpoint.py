"""Where a run stands, on disk: written whole, seldom enough to cost next to nothing.

Knows nothing about what the tensors mean.
"""

import io
import os
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from pipelines.errors import InputError
from pipelines.media.files import replacing
from sds.optimize import State

NAME = "checkpoint.pt"
EVERY = 5.0
"""Seconds between checkpoints, at least."""
SHARE = 0.02
"""Share of a run's time that checkpoints may take: slow disks get fewer of them."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands."""

    state: State
    """What `sds.optimize` goes on from, on the CPU."""
    seconds: float
    """What the steps so far took."""


def save(folder: Path, checkpoint: Checkpoint) -> float:
    """Replace the folder's checkpoint; returns the seconds that took."""
    began = time.monotonic()
    buffer = io.BytesIO()
    torch.save({"state": checkpoint.state, "seconds": checkpoint.seconds}, buffer)
    with replacing(folder / NAME) as part, part.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        # A power cut may otherwise leave the new name without its content.
        os.fsync(file.fileno())
    return time.monotonic() - began


def load(folder: Path) -> Checkpoint | None:
    """A folder's checkpoint, None where there is none. Raises InputError where it is damaged."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(saved["state"], saved["seconds"])
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{NAME} in {folder.name} is damaged. Delete it, and the run begins anew."
        ) from error


def is_due(since_last: float, last_cost: float) -> bool:
    """Whether to write another. since_last, last_cost: seconds."""
    return since_last >= max(EVERY, last_cost / SHARE)
