"""One GPU, many people: one job at a time, and a line that everyone in it can see.

A page calls `next()` from whatever thread is free, and torch keeps state by thread: a job that
yields inside `torch.no_grad()` would switch autograd off for strangers. So a job is driven here, on
a thread of its own, and its events reach the reader through a queue.

On ZeroGPU a job runs in a process forked for it: what passes between the two is pickled, and a stop
file is the one signal that reaches it. This module knows nothing about pages, nor about what a job
does.
"""

try:
    # Before torch: on ZeroGPU this stands in for torch's CUDA, so that models load without a GPU.
    import spaces
except ImportError:
    spaces = None

import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

from pipelines import allocator
from pipelines.errors import InputError, LineFull, RunFailed
from pipelines.events import Begun, Event, Left, Waiting
from pipelines.runs.run_folder import ask_to_stop

LONGEST_LINE = 40
"""Jobs that may wait at once."""
BEAT = 1.0
"""Seconds after which a reader in line is told again where it stands.

A page can only close its reader between two events, so this is also how long one that was left
keeps its place.
"""
ZERO_GPU = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true")
"""Whether this is a Space on ZeroGPU."""

MakeEvents = Callable[[], Iterator[Event]]


@dataclass(frozen=True)
class _End:
    error: BaseException | None


@dataclass(eq=False)
class _Place:
    """A job's place in the line, until the job ends."""

    folder: Path | None
    """The run's; None for what is only prepared."""
    events: SimpleQueue[Event | _End] = field(default_factory=SimpleQueue)
    """What its reader is told."""
    read: bool = True
    """Whether somebody still reads."""
    begun: bool = False
    """Whether its turn has come."""
    stop: bool = False
    """Whether the job should end after its current step."""


_changed = threading.Condition()
"""Guards the line, and says when it changes."""
_line: list[_Place] = []
"""The first has its turn, the others wait in the order they came."""


def stream(make_events: MakeEvents, folder: Path, seconds: float = 60) -> Iterator[Event]:
    """A job's events, as it makes them on a thread of its own. What it raises is raised here.

    Jobs take turns: one at a time in this process, in the order they came. A job that waits says
    `Waiting`; one that is stopped in line, or that says something after that and has no folder yet,
    says `Left` and ends. `make_events` is called on the job's thread when its turn comes. Closing
    this iterator gives up a place in the line, or asks the job to stop after its current step, by
    the stop file in `folder`, and to write its result there. It does not wait for that, because a
    page may close it on the thread that serves everyone; the next job does.

    make_events: on ZeroGPU it must pickle: a `functools.partial`, not a lambda.
    seconds: how long the job is expected to take on ZeroGPU, which ends it if it takes longer.
    Raises LineFull when too many wait already.
    """
    place = _join(folder)
    # ZeroGPU learns from the context of the request whose time a job takes.
    run = (copy_context().run, _work, make_events, seconds, place)
    threading.Thread(target=run[0], args=run[1:], name="job", daemon=True).start()
    try:
        event = place.events.get()
        while not isinstance(event, _End):
            yield event
            event = _next(place, event)
    finally:
        place.read = False
        with _changed:
            _stop(place)
    if event.error is not None:
        try:
            raise event.error
        finally:
            # It would hold on to itself by this, and to all that the job had until it failed.
            del event


def stop(folder: Path) -> None:
    """Take the run in `folder` out of the line, or ask it to stop and keep what there is."""
    with _changed:
        for place in [place for place in _line if place.folder == folder]:
            _stop(place)


def is_at_work(folder: Path) -> bool:
    """Whether the run in `folder` is in line or has its turn."""
    with _changed:
        return any(place.folder == folder for place in _line)


def prepare(load: Callable[[], object]) -> None:
    """Call `load` when no job runs or waits, so that a later job finds it done.

    Returns at once. What it raises is printed; the job that needs it meets the same error and
    reports it. On ZeroGPU `load` is called here and now: a job's process has what the main thread
    put on the GPU before the page was launched.
    """
    if ZERO_GPU:
        try:
            load()
        except Exception:
            traceback.print_exc()
        return

    def work() -> None:
        place = _Place(None)
        with _changed:
            _changed.wait_for(lambda: not _line)
            _line.append(place)
        try:
            load()
        finally:
            with _changed:
                _leave(place)

    threading.Thread(target=work, name="prepare", daemon=True).start()


def _next(place: _Place, last: Event) -> Event | _End:
    """What the reader of `place` is told after `last`."""
    try:
        return place.events.get(timeout=BEAT if isinstance(last, Waiting) else None)
    except Empty:
        return last


def _join(folder: Path) -> _Place:
    place = _Place(folder)
    with _changed:
        if len(_line) > LONGEST_LINE:
            raise LineFull(f"{LONGEST_LINE} runs are waiting already. Try again in a few minutes.")
        _line.append(place)
        # Who comes first is told by what the job says.
        _tell(max(len(_line) - 1, 1))
    return place


# What follows is called by whoever holds `_changed`.


def _tell(first: int) -> None:
    """Tell those in line, from number `first` on, how many are ahead of them."""
    for index, place in list(enumerate(_line))[first:]:
        place.events.put(Waiting(index - (_line[0].folder is None)))


def _leave(place: _Place) -> None:
    index = _line.index(place)
    _line.remove(place)
    _tell(index)
    _changed.notify_all()


def _stop(place: _Place) -> None:
    place.stop = True
    if place not in _line:
        return
    if not place.begun:
        _leave(place)
        place.events.put(Left())
    elif place.folder.exists():
        ask_to_stop(place.folder)


@contextmanager
def _turn(place: _Place) -> Iterator[None]:
    """Wait for the turn of `place`, or until it is taken out of the line: see `begun`."""
    with _changed:
        _changed.wait_for(lambda: place not in _line or _line[0] is place)
        place.begun = place in _line
    try:
        yield
    finally:
        with _changed:
            if place in _line:
                _leave(place)


def _work(make_events: MakeEvents, seconds: float, place: _Place) -> None:
    error = None
    try:
        with _turn(place):
            if place.begun:
                _drive(make_events, seconds, place)
    except BaseException as raised:
        error = raised
        if not place.read:
            # Nobody is left to raise it to: the thread's own report is the last place to say it.
            raise
    finally:
        place.events.put(_End(error))
        # As in `stream`.
        del error


def _drive(make_events: MakeEvents, seconds: float, place: _Place) -> None:
    try:
        with closing(_on_zero_gpu(make_events, seconds) if ZERO_GPU else make_events()) as job:
            for event in job:
                place.events.put(event)
                if isinstance(event, Begun) and not place.read:
                    # Nothing is done yet, and nobody waits for it. The run can be resumed.
                    return
                if place.stop:
                    if not place.folder.exists():
                        # It need not begin: to read what it was given may take minutes yet.
                        place.events.put(Left())
                        return
                    # Again after every event: as a job begins it forgets older stop files.
                    ask_to_stop(place.folder)
    finally:
        allocator.give_back()


def _on_zero_gpu(make_events: MakeEvents, seconds: float) -> Iterator[Event]:
    """A job's events from a process that has a GPU."""
    with closing(_pickled(make_events, seconds)) as job:
        for pickled in job:
            event = pickle.loads(pickled)
            if isinstance(event, _End):
                raise event.error
            yield event


def _seconds(make_events: MakeEvents, seconds: float) -> int:
    """How long ZeroGPU reserves the GPU, from the arguments of `_pickled`."""
    return round(seconds)


def _pickled(make_events: MakeEvents, seconds: float) -> Iterator[bytes]:
    """A job's events as bytes, with what the user should read at its end if it fails.

    Left to itself ZeroGPU would send tensors as shared memory, which goes with the process, and of
    an error its name only.
    """
    try:
        with closing(make_events()) as job:
            for event in job:
                yield pickle.dumps(event)
    except (InputError, RunFailed) as error:
        yield pickle.dumps(_End(error))


if ZERO_GPU:
    _pickled = spaces.GPU(_pickled, duration=_seconds)
