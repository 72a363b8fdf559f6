"""Files that are whole or not there.

Knows nothing about what is in them.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pipelines.errors import InputError

_UNFINISHED = re.compile(r"\.scorebrush-[0-9a-f]{8}(\..*)?", re.DOTALL)
"""A name that nobody else gives a file."""
_LONGEST = 200
"""Bytes of a suffix that a temporary name has room for."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; move it to `path` if the block succeeds.

    If the block raises, the temporary file is removed and `path` is as it was. The name keeps the
    suffix, by which writers choose their format.
    """
    path = Path(path)
    # Without the rest of the name, which may be as long as a name can be.
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST else ""
    part = path.with_name(f".scorebrush-{uuid4().hex[:8]}{suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def expect_file(path: Path) -> None:
    """Raises InputError where there is no file, or none that may be looked at."""
    # As `os.path` asks: a folder that is closed, or a name that is too long, is no error to it.
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}. Check its name.")


def sweep(folder: Path) -> None:
    """Remove what a killed process left unfinished in a folder. Nobody may be writing there."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
