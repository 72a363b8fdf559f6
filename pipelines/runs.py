"""A run's folder: its settings and metrics, the versions it ran with, and the file that stops it.

This module knows nothing about what a run does.
"""

import json
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pipelines.errors import InputError
from pipelines.media.files import replacing

STOP = "stop"
PACKAGES = ("torch", "diffusers", "transformers", "av", "opencv-python-headless")


def open_folder(folder: Path) -> None:
    """Make the run's folder and forget an old wish to stop.

    Raises InputError when the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
        (folder / STOP).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot write to the folder {folder} ({error.strerror}). Choose another folder."
        ) from error


def ask_to_stop(folder: Path) -> None:
    """Ask the run in `folder` to stop after its current step and keep what there is."""
    (folder / STOP).touch()


def stop_asked(folder: Path) -> bool:
    return (folder / STOP).exists()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n")


def versions() -> dict[str, str]:
    """What is needed to repeat a run: Python, the platform and the packages that compute."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float:
    """The most memory this process has held, in MB; on a GPU, the most of the GPU's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
