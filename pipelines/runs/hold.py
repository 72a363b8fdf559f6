"""One worker in a folder at a time, among processes and among the jobs of one process.

A lock on a hidden file, which the system frees at once when its process dies, however it dies. This
module knows nothing about what the folder is for.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import InputError

LOCK = ".lock"
_PATIENCE = 1.0
"""Seconds to wait for a folder: who only asks whether it is taken holds it for a moment."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Work in a folder alone. Raises InputError when somebody else does."""
    with (folder / LOCK).open("a") as lock:
        until = time.monotonic() + _PATIENCE
        while not _locked(lock.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise InputError(
                    f"The run {folder.name} is being worked on. Stop it first, or wait for its end."
                )
            time.sleep(0.02)
        yield


def is_held(folder: Path) -> bool:
    """Whether somebody works in the folder."""
    try:
        with (folder / LOCK).open() as lock:
            return not _locked(lock.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _locked(descriptor: int, kind: int) -> bool:
    """Lock a file until it is closed; False where another has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: nobody is kept out.
        return True
    return True
