"""A job as JSON, as a command line, and back from JSON.

A job is a frozen dataclass whose docstrings tyro shows as help; one of its fields may be another
dataclass, whose options stand beside the job's own. Files are named in JSON, never located: it may
be shown to others than whoever owns the folders. This module knows nothing about what jobs do.
"""

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from pipelines.errors import InputError

T = TypeVar("T")


def describe(job: Any) -> dict[str, Any]:
    """Every setting of a job by its name, as JSON has it."""
    return {key: _plain(value) for key, value in asdict(job).items()}


def recall(kind: type[T], settings: Mapping[str, Any], files: Mapping[str, Path]) -> T:
    """The job of this kind that `describe` made `settings` of.

    files: where the files are, by the name of their setting. A setting that is not there has its
    default. Raises InputError for settings that no such job can have.
    """
    names = {f.name for f in fields(kind)}
    unknown = sorted(set(settings) - names)
    if unknown:
        raise InputError(
            f"The settings name {unknown[0]!r}, which this version of Scorebrush does not know. "
            "Use the version that made them."
        )
    values = {}
    for name, hint in get_type_hints(kind).items():
        if name in files:
            values[name] = files[name]
        elif name in settings:
            values[name] = _typed(name, settings[name], hint)
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(
            f"The settings are not complete ({error}). Give a file that Scorebrush wrote."
        ) from error


def file_names(kind: type, settings: Mapping[str, Any]) -> dict[str, str]:
    """The names of a job's files by their setting, the output's aside; never with a folder."""
    hints = get_type_hints(kind)
    paths = [name for name, hint in hints.items() if Path in (hint, *get_args(hint))]
    named = {name: settings.get(name) for name in paths if name != "out"}
    return {
        name: PurePosixPath(given.replace("\\", "/")).name
        for name, given in named.items()
        if isinstance(given, str) and given
    }


def command_line(module: str, job: Any, usual: Mapping[str, Any]) -> str:
    """The command that runs a job, quoted for a shell; defaults are left out.

    usual: the settings whose defaults are others than their field's, by name.
    """
    placed, options = [], []
    for name, value, default, marks in _flat(job, usual):
        if tyro.conf.Positional[Path] == marks:
            placed.append(str(value))
        elif value != default:
            options += _option(_option_name(name, marks), value, marks)
    return shlex.join(["python", "-m", module, *placed, *options])


def _flat(job: Any, usual: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    """(name, value, default, annotated type) of every setting, those of inner dataclasses too.

    A setting that is left open is left out.
    """
    hints = get_type_hints(type(job), include_extras=True)
    for f in fields(job):
        value, default = getattr(job, f.name), usual.get(f.name, f.default)
        if is_dataclass(value):
            yield from _flat(value, vars(default) if is_dataclass(default) else {})
        elif value is not None or f.default is not None:
            yield f.name, value, default, hints[f.name]


def _option_name(name: str, marks: Any) -> str:
    given = [getattr(mark, "name", None) for mark in getattr(marks, "__metadata__", ())]
    return next(filter(None, given), name).replace("_", "-")


def _option(name: str, value: Any, marks: Any) -> list[str]:
    # What may also be left open is no flag to tyro.
    if isinstance(value, bool) and type(None) not in get_args(marks):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, tuple):
        return [f"--{name}", *map(str, value)]
    # What starts with a dash would be read as an option of its own.
    return [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Path):
        return value.name
    return list(map(_plain, value)) if isinstance(value, tuple) else value


def _typed(name: str, value: Any, hint: Any) -> Any:
    """`value` from JSON as the type `hint`; InputError where it is something else."""
    for kind in _alternatives(hint):
        if is_dataclass(kind) and isinstance(value, dict):
            return recall(kind, value, {})
        if get_origin(kind) is Literal and value in get_args(kind):
            return value
        if get_origin(kind) is tuple and isinstance(value, list | tuple):
            inner = get_args(kind)
            if len(inner) == len(value):
                return tuple(_typed(name, v, k) for v, k in zip(value, inner, strict=True))
        if kind is Path and isinstance(value, str):
            return Path(PurePosixPath(value.replace("\\", "/")).name)
        if kind is type(None) and value is None:
            return None
        # A bool is an int to Python, but not to a user.
        if isinstance(value, bool) != (kind is bool):
            continue
        if kind is float and isinstance(value, int | float) and math.isfinite(value):
            return float(value)
        if kind in (int, str, bool) and isinstance(value, kind):
            return value
    raise InputError(
        f"The setting {name!r} cannot be {str(value)[:80]!r}. Give a file that Scorebrush wrote."
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Literal, tuple) or not get_args(hint):
        return (hint,)
    return get_args(hint)
