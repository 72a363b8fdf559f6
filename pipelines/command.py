"""A job on the command line: its events become lines, its last line is the metrics as JSON.

Exit code 0 when the job is done, 2 for input that cannot be used, 1 when the run failed on the way,
130 when it was interrupted.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import tyro

from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Event, Note, Step, Writing
from pipelines.runs.hold import is_held
from pipelines.runs.run_folder import ask_to_stop, is_run
from sds import parallel

T = TypeVar("T")


def parse(
    kind: type[T],
    module: str,
    usual: Callable[[str], dict[str, Any]],
    description: str | None,
    words: Sequence[str] | None = None,
) -> T:
    """The job that a command line asks for, with the defaults of the teacher it names.

    module: what runs it; usual: the settings that a teacher brings, by its name; words: the command
    line, that of this process unless given. Exits with code 2 where it cannot be understood.
    """
    words = sys.argv[1:] if words is None else list(words)
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--teacher", default=kind.teacher)
    try:
        own = usual(first.parse_known_args(words)[0].teacher)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    plain = {f.name: _default(f) for f in fields(kind)}
    return tyro.cli(
        kind,
        args=words,
        default=kind(**plain | own),
        prog=f"python -m {module}",
        description=description,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.AvoidSubcommands),
    )


def _default(f: Field[Any]) -> Any:
    if f.default_factory is not MISSING:
        return f.default_factory()
    return tyro.MISSING if f.default is MISSING else f.default


def run(events: Iterator[Event], folder: Path) -> int:
    """Print a job's events to stderr and its metrics to stdout; returns the exit code.

    folder: the job's. The first Ctrl-C there asks it to stop and keep what there is, as a full
    result; the second ends it at once. Of several processes on one job only the main one prints,
    and any that fails.
    """
    with parallel.joined():
        try:
            with closing(_stoppable(events, folder)) as told:
                for event in told:
                    if parallel.is_main():
                        _show(event, folder)
        except InputError as error:
            _fail(f"error: {error}")
            return 2
        except RunFailed as error:
            _fail(f"failed: {error}")
            return 1
        except KeyboardInterrupt:
            go_on = f"; {_go_on(folder)}" if is_run(folder) else " before the run began"
            _say(f"\ninterrupted{go_on}")
            return 130
    return 0


def _fail(text: str) -> None:
    """Say it of any process: what one fails of, the others may never learn."""
    prefix = "" if parallel.is_main() else f"process {parallel.rank()}: "
    print(f"{prefix}{text}", file=sys.stderr)


def _say(text: str) -> None:
    if parallel.is_main():
        print(text, file=sys.stderr)


def _go_on(folder: Path) -> str:
    return f"go on with: python -m pipelines.resume {folder}"


def _stoppable(events: Iterator[Event], folder: Path) -> Iterator[Event]:
    """The events, while the first Ctrl-C asks the job to stop. See `run`."""
    writing = False

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        if not is_held(folder):
            raise KeyboardInterrupt
        if writing:
            _say("\nthe steps are over, writing the result; press again to end at once")
            return
        ask_to_stop(folder)
        _say("\nstopping after this step; press again to end at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        for event in events:
            writing = writing or isinstance(event, Writing)
            yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _show(event: Event, folder: Path) -> None:
    match event:
        case Note(text):
            print(text, file=sys.stderr)
        case Step(index, steps):
            end = "\n" if index + 1 == steps else ""
            line = f"\rstep {index + 1}/{steps}, {event.seconds:.0f} s, {event.left:.0f} s left  "
            print(line, end=end, file=sys.stderr, flush=True)
        case Done(result, settings, metrics):
            print(f"wrote {result}", file=sys.stderr)
            taken, steps = metrics["steps"], settings["steps"]
            if taken < steps:
                print(f"stopped after {taken} of {steps} steps; {_go_on(folder)}", file=sys.stderr)
            print(json.dumps(metrics), flush=True)
