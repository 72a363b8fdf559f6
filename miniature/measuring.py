"""What every benchmark says about itself: which methods it ran, and on what machine.

This module knows nothing about the methods or what they are measured by.
"""

import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from pipelines.errors import InputError

Function = TypeVar("Function")


def pick(functions: Mapping[str, Function], names: Sequence[str]) -> dict[str, Function]:
    """The methods called `names`, in that order. Raises InputError for a name there is not."""
    unknown = [name for name in names if name not in functions]
    if unknown:
        raise InputError(
            f"There is no method called {', '.join(unknown)}. Choose from: {', '.join(functions)}."
        )
    return {name: functions[name] for name in names}


def check_sheet(sheet: Path | None) -> None:
    """Raises InputError for a sheet that is not a PNG."""
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise InputError(f"The sheet is a PNG: give {sheet.with_suffix('.png').name}.")


def machine() -> dict[str, Any]:
    """What the seconds were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def finite(value: Any) -> Any:
    """The same as JSON can hold it: four decimals, and null for what is infinite."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
