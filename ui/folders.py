"""Where the studio keeps its runs: one folder each, under one base folder.

Knows nothing about what is in them.
"""

import os
from datetime import datetime
from pathlib import Path
from uuid import uuid4


def base_folder() -> Path:
    """The folder of all runs: the environment's SCOREBRUSH_RUNS, or `runs` where it is not set."""
    return Path(os.environ.get("SCOREBRUSH_RUNS", "runs")).resolve()


def new_folder() -> Path:
    """A name no other run has, which sorts by time. The run itself makes the folder."""
    return base_folder() / f"{datetime.now():%Y%m%d-%H%M%S}-{uuid4().hex[:12]}"
