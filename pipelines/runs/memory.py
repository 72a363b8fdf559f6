"""The most memory that a run took."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

_earlier = 0
"""What children of this process held at most before; the system does not forget it."""


def forget_peak_memory() -> None:
    """Let `peak_memory_mb` count from here on; where not on Linux, it counts from the start."""
    global _earlier
    _earlier = _most(resource.RUSAGE_CHILDREN)
    # proc_pid_clear_refs(5): 5 resets the peak, and nothing else.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    # Without a GPU, and before its first use, there is nothing to forget.
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb() -> float:
    """The most memory this process or one that it began has held, whichever is more, in MB; on a
    GPU, the most of the GPU's. Since `forget_peak_memory`; of a child that held no more than one
    before, nothing is known, and it is left out."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    children = _most(resource.RUSAGE_CHILDREN)
    most = max(_most(resource.RUSAGE_SELF), children if children > _earlier else 0)
    return most * unit / 1e6


def _most(whose: int) -> int:
    return resource.getrusage(whose).ru_maxrss
