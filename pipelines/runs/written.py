"""The names of a run's results in its folder, so that they never replace what somebody put there.

Knows nothing about how they are written.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.runs import checkpoint, curve
from pipelines.runs.run_folder import METRICS, PREVIEW, SETTINGS

_LAYERS = ("base", "style", "localization", "texture")
_ALWAYS = (METRICS, PREVIEW, checkpoint.NAME, curve.NAME)
_RESULTS = {
    "video": ("result.mp4", "comparison.mp4"),
    "mesh": (
        "painted.*",
        "painted_*",
        *(f"{layer}{number}.png" for layer in _LAYERS for number in ("", "_*")),
        "turntable.mp4",
        "comparison.mp4",
    ),
}
"""By job, as shell patterns."""


def expect_nothing_replaced(
    folder: Path, before: frozenset[str] | None, settings: dict[str, Any]
) -> None:
    """Raises InputError where a run that begins in the folder would replace a file.

    before: as `open_folder` returned it. A folder that is a run is not for this to refuse.
    """
    if before is None or SETTINGS in before:
        return
    patterns = (*_ALWAYS, *_RESULTS.get(settings["job"], ()))
    for name in sorted(before):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            raise InputError(
                f"{folder / name} is there already, and the run would replace it. Choose another "
                "folder for the run, or move that file away."
            )
