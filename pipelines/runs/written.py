"""That a run never replaces what somebody put into its folder.

Knows nothing about which results a job has.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from pipelines.errors import InputError
from pipelines.runs import checkpoint, curve
from pipelines.runs.run_folder import INPUTS, METRICS, PREVIEW, SETTINGS, STATUS, STOP, was_begun

_ALWAYS = (METRICS, PREVIEW, checkpoint.NAME, curve.NAME)
_FROM_THE_START = (STATUS, STOP)
"""What a run has before it has settings."""


def expect_nothing_replaced(
    folder: Path, before: frozenset[str] | None, results: tuple[str, ...], inputs: Iterable[str]
) -> None:
    """Raises InputError where a run that begins in the folder would replace a file.

    before: as `open_folder` returned it. A folder that is a run is not for this to refuse. results:
    the names that the job gives its files, as shell patterns; inputs: those of its copies.
    """
    if before is None or SETTINGS in before:
        return
    own, copies = (*_ALWAYS, *results), []
    # A run that was cut short before it had settings has left its own.
    if not was_begun(folder):
        own, copies = (*own, *_FROM_THE_START), [f"{INPUTS}/{name}" for name in inputs]
    there = [name for name in sorted(before) if any(fnmatchcase(name, pattern) for pattern in own)]
    there += [name for name in copies if (folder / name).exists()]
    if there:
        raise InputError(
            f"{folder / there[0]} is there already, and the run would replace it. Choose another "
            "folder for the run, or move that file away."
        )
