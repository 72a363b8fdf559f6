"""Files that are whole or not there.

Knows nothing about what is in them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; move it to `path` if the block succeeds.

    If the block raises, the temporary file is removed and `path` is as it was. The name keeps the
    suffix, by which writers choose their format.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{uuid4().hex[:8]}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
