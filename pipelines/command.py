"""A job on the command line: its events become lines, its last line is the metrics as JSON.

Exit code 0 when the job is done, 2 for input that cannot be used, 1 when the run failed on the way,
130 when it was interrupted.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Event, Note, Step
from pipelines.hold import is_held
from pipelines.runs import ask_to_stop


def run(events: Iterator[Event], folder: Path) -> int:
    """Print a job's events to stderr and its metrics to stdout; returns the exit code.

    folder: the job's. The first Ctrl-C there asks it to stop and keep what there is, as a full
    result; the second ends it at once.
    """
    try:
        with _stoppable(folder):
            for event in events:
                _show(event)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; go on with: python -m pipelines.resume {folder}", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _stoppable(folder: Path) -> Iterator[None]:
    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        if not is_held(folder):
            raise KeyboardInterrupt
        ask_to_stop(folder)
        print("\nstopping after this step; press again to end at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _show(event: Event) -> None:
    match event:
        case Note(text):
            print(text, file=sys.stderr)
        case Step(index, steps):
            end = "\n" if index + 1 == steps else ""
            line = f"\rstep {index + 1}/{steps}, {event.seconds:.0f} s, {event.left:.0f} s left  "
            print(line, end=end, file=sys.stderr, flush=True)
        case Done(result, _, metrics):
            print(f"wrote {result}", file=sys.stderr)
            print(json.dumps(metrics), flush=True)
