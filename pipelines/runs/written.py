"""That a run's results never replace what somebody put into its folder.

Knows nothing about which results a job has.
"""

from fnmatch import fnmatchcase
from pathlib import Path

from pipelines.errors import InputError
from pipelines.runs import checkpoint, curve
from pipelines.runs.run_folder import METRICS, PREVIEW, SETTINGS

_ALWAYS = (METRICS, PREVIEW, checkpoint.NAME, curve.NAME)


def expect_nothing_replaced(
    folder: Path, before: frozenset[str] | None, results: tuple[str, ...]
) -> None:
    """Raises InputError where a run that begins in the folder would replace a file.

    before: as `open_folder` returned it. A folder that is a run is not for this to refuse. results:
    the names that the job gives its files, as shell patterns.
    """
    if before is None or SETTINGS in before:
        return
    for name in sorted(before):
        if any(fnmatchcase(name, pattern) for pattern in (*_ALWAYS, *results)):
            raise InputError(
                f"{folder / name} is there already, and the run would replace it. Choose another "
                "folder for the run, or move that file away."
            )
