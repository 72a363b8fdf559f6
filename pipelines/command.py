"""A job on the command line: its events become lines, its last line is the metrics as JSON.

Exit code 0 when the job is done, 2 for input that cannot be used, 1 when the run failed on the way.
"""

import json
import sys
from collections.abc import Iterator

from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Event, Note, Step


def run(events: Iterator[Event]) -> int:
    """Print a job's events to stderr and its metrics to stdout; returns the exit code."""
    try:
        for event in events:
            _show(event)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


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
