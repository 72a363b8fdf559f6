"""How long visitors' runs are kept: for ever, or as many days as SCOREBRUSH_KEEP_DAYS says.

Runs without an owner, those of the command line, always stay. This module knows nothing about
pages.
"""

import math
import os
import time
import traceback
from pathlib import Path
from threading import Thread

from pipelines.errors import InputError
from pipelines.runs import history
from pipelines.runs.run_folder import OWNER

DAY = 24 * 3600
BETWEEN = 3600
"""Seconds between one look and the next."""


def days_kept() -> float | None:
    """Days from its beginning that a visitor's run is kept; None is for ever.

    Raises InputError where the environment says neither nothing nor a number above 0.
    """
    said = os.environ.get("SCOREBRUSH_KEEP_DAYS", "")
    if not said:
        return None
    try:
        days = float(said)
    except ValueError:
        days = math.nan
    if not 0 < days < math.inf:
        raise InputError(
            f"SCOREBRUSH_KEEP_DAYS is {said!r}. Give a number of days above 0, or nothing to keep "
            "every run."
        )
    return days


def forget(base: Path, days: float, now: float) -> None:
    """Delete the visitors' runs in `base` that began more than `days` before `now`.

    One that somebody works in, or that cannot be deleted, stays until the next time.
    """
    for run in history.past(base, lambda folder: (folder / OWNER).is_file()):
        if run.status.began < now - days * DAY:
            try:
                history.delete(run.folder, base)
            except (InputError, OSError):
                continue


def keep_house(base: Path, days: float) -> None:
    """Forget now and every hour, for as long as the studio is open."""

    def go_on() -> None:
        while True:
            try:
                forget(base, days, time.time())
            except Exception:
                # The log says what it was; the next look may go well.
                traceback.print_exc()
            time.sleep(BETWEEN)

    Thread(target=go_on, name="keeping", daemon=True).start()
