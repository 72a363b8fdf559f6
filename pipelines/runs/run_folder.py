"""A run's folder: what lies in it, who works in it, and the file that stops it.

    settings.json   everything needed to repeat the run; a folder that has it is a run
    status.json     how far it is, and what went wrong
    inputs/         a copy of every file it needs, in a folder named after its setting
    checkpoint.pt   where it stands; preview.jpg, what it looks like; curve.json, how it went
    metrics.json, and the files of the result

Every file is whole or not there. This module knows nothing about what a run does.
"""

import errno
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

from pipelines.errors import InputError, RunFailed
from pipelines.media import files
from pipelines.media.files import replacing
from pipelines.runs.hold import LOCK, is_held
from pipelines.runs.product import product
from pipelines.teachers.machine import computes

STOP = "stop"
SETTINGS, STATUS, METRICS = "settings.json", "status.json", "metrics.json"
INPUTS = "inputs"
PREVIEW = "preview.jpg"
OWNER = "owner"
"""Whose run it is, as the studio writes it; of no concern to the run itself."""
PACKAGES = ("torch", "diffusers", "transformers", "av", "opencv-python-headless")
_FULL = (errno.ENOSPC, errno.EDQUOT)

State = Literal["running", "interrupted", "stopped", "failed", "done"]


@dataclass(frozen=True)
class Status:
    """How far a run is."""

    state: State
    """`stopped` and `done` have a result, `failed` may have one. `interrupted` is never written: it
    is what a running one is whose process is gone."""
    began: float
    """When it began, in seconds since 1970."""
    step: int = 0
    """Steps that would not be lost."""
    said: str | None = None
    """Why it failed, in a sentence."""


def open_folder(folder: Path) -> frozenset[str] | None:
    """Make the run's folder; returns the names that were in it, None where there was none.

    Raises InputError when it cannot be made or written to.
    """
    try:
        before = frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else None
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"Cannot write to the folder {folder} ({error.strerror}). Choose another folder."
        ) from error
    return before


def sweep(folder: Path) -> None:
    """Forget an old wish to stop, and remove what a killed process left unfinished.

    Only whoever holds the folder may do so.
    """
    forget_stop(folder)
    for path in (folder, *(folder / INPUTS).rglob("*")):
        if path.is_dir():
            files.sweep(path)


def is_run(folder: Path) -> bool:
    return os.path.isfile(folder / SETTINGS)


def begin(folder: Path, settings: dict[str, Any], inputs: Mapping[str, Path]) -> None:
    """Copy the run's inputs into its folder and write its settings, which makes it a run.

    inputs: files by the names they get below `inputs/`. Raises InputError where there is a run
    already: a run is never lost to another.
    """
    if is_run(folder):
        raise InputError(
            f"{folder.name} holds a run already. Choose another folder, or go on with that one: "
            "python -m pipelines.resume"
        )
    mine = not (folder / INPUTS).exists()
    try:
        # First, so that what is cut short here is not lost from sight.
        write_status(folder, Status("running", time.time()))
        for name, source in inputs.items():
            target = folder / INPUTS / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as part:
                shutil.copyfile(source, part)
        write_json(folder / SETTINGS, settings)
    except OSError:
        (folder / STATUS).unlink(missing_ok=True)
        if mine:
            shutil.rmtree(folder / INPUTS, ignore_errors=True)
        raise


def forget(folder: Path, before: frozenset[str] | None) -> None:
    """Undo `begin` where no step was taken. before: as `open_folder` returned it.

    What was there before stays, and so does what is not the run's own.
    """
    # The settings first: whatever is left, it is no run.
    for name in (SETTINGS, STATUS, OWNER, STOP, INPUTS, LOCK):
        if before is None or name not in before:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if before is None and not any(folder.iterdir()):
        folder.rmdir()


def input_files(folder: Path, names: Mapping[str, str]) -> dict[str, Path]:
    """Where a run's own copies of its files are. names: what each is called, by its setting."""
    return {setting: folder / INPUTS / setting / name for setting, name in names.items()}


def read_settings(folder: Path) -> dict[str, Any]:
    """A run's settings. Raises InputError where there are none or they cannot be read."""
    if not is_run(folder):
        raise InputError(f"{folder.name} holds no run. Give the folder of a run.")
    settings = _read_json(folder / SETTINGS)
    if not isinstance(settings, dict):
        raise InputError(f"The settings of {folder.name} cannot be read: the file is damaged.")
    return settings


def read_metrics(folder: Path) -> dict[str, Any]:
    """What a run measured; nothing where that was not written, or cannot be read.

    A run that is cut short between its result and its last file has none.
    """
    found = _read_json(folder / METRICS)
    return found if isinstance(found, dict) else {}


def read_status(folder: Path) -> Status:
    """How far a run is; one whose status cannot be read counts as interrupted at its start."""
    status = _read_status(folder) or Status("running", folder.stat().st_mtime)
    if status.state == "running" and not is_held(folder):
        return replace(status, state="interrupted")
    return status


def was_begun(folder: Path) -> bool:
    """Whether a run was begun in the folder, though it may be none yet."""
    return is_run(folder) or _read_status(folder) is not None


def _read_status(folder: Path) -> Status | None:
    given = _read_json(folder / STATUS)
    try:
        status = Status(**given)
        status = replace(status, began=float(status.began), step=int(status.step))
        # Raises where there is no such time.
        datetime.fromtimestamp(status.began)
        if status.state not in get_args(State) or not isinstance(status.said, str | None):
            raise ValueError(given)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return status


def write_status(folder: Path, status: Status) -> None:
    write_json(folder / STATUS, asdict(status))


@contextmanager
def full_disk_is_said(remedy: str) -> Iterator[None]:
    """Turn the error of a full disk into RunFailed. remedy: what to do once there is space."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RunFailed(
            f"The disk is full, and what was there is kept. Free some space, then {remedy}."
        ) from error


def ask_to_stop(folder: Path) -> None:
    """Ask the run in `folder` to stop after its current step and keep what there is."""
    (folder / STOP).touch()


def forget_stop(folder: Path) -> None:
    (folder / STOP).unlink(missing_ok=True)


def stop_asked(folder: Path) -> bool:
    return (folder / STOP).exists()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def versions() -> dict[str, Any]:
    """What is needed to repeat a run: Scorebrush, Python, the platform, and what computes."""
    found = {
        "scorebrush": product(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **computes(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
