"""What the benchmarks of clips and of meshes share: which methods, what is said and written.

This module knows nothing about the methods or what they are measured by.
"""

import math
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from miniature.report import Pictured, sheet
from pipelines.errors import InputError
from pipelines.media import save_png
from pipelines.runs import run_folder
from pipelines.runs.product import commit
from pipelines.teachers.teacher import MeshTeacher, VideoTeacher
from pipelines.teachers.weights import weights

Function = TypeVar("Function")
Found = TypeVar("Found", bound=Pictured)


class Job(Protocol):
    """What both benchmarks are asked for; a dataclass."""

    json: Path
    sheet: Path | None
    quick: bool
    only: tuple[str, ...]


def choose(
    functions: Mapping[str, Function], job: Job, quick: Sequence[str]
) -> dict[str, Function]:
    """The methods a job asks for, in its order; `quick` are those of a quick one.

    Raises InputError for a name there is not.
    """
    names = job.only or (quick if job.quick else tuple(functions))
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


def settings(job: Job, teacher: VideoTeacher | MeshTeacher, **more: Any) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON; where its files went is left out."""
    chosen = {key: v for key, v in asdict(job).items() if key not in ("json", "sheet")}
    return {
        "settings": chosen | more,
        "commit": commit(),
        "machine": machine(),
        "versions": run_folder.versions() | {"weights": weights(teacher)},
    }


def recorded(
    job: Job,
    head: Mapping[str, Any],
    results: Iterable[Found],
    total: int,
    summary: Callable[[Sequence[Any]], dict[str, Any]],
) -> list[Found]:
    """All results. After each of them, `total` in all, the job's file is written anew and a line
    goes to stderr; the sheet comes last. head: see `settings`, what the file begins with.
    """
    for path in filter(None, (job.json, job.sheet)):
        path.parent.mkdir(parents=True, exist_ok=True)
    found: list[Found] = []
    for result in results:
        found.append(result)
        rows = [each.row for each in found]
        said = {"rows": [finite(asdict(row)) for row in rows], "summary": finite(summary(rows))}
        run_folder.write_json(job.json, {**head, **said})
        print(f"{len(found)}/{total} {result.row}", file=sys.stderr, flush=True)
    if job.sheet is not None:
        save_png(job.sheet, sheet(found))
    return found


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
