"""One job at a time, each on one thread from its first step to its last.

A page calls `next()` from whatever thread is free, and torch keeps state by thread: a job that
yields inside `torch.no_grad()` would switch autograd off for strangers. So a job is driven here, on
a thread of its own, and its events reach the reader through a queue.

This module knows nothing about pages, nor about what a job does.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from pipelines.events import Event
from pipelines.runs import ask_to_stop

_TURN = threading.Lock()


@dataclass(frozen=True)
class _End:
    error: BaseException | None


_Queue = SimpleQueue[Event | _End]


def stream(make_events: Callable[[], Iterator[Event]], folder: Path) -> Iterator[Event]:
    """A job's events, as it makes them on a thread of its own. What it raises is raised here.

    Jobs take turns: one at a time in this process. `make_events` is called on the job's thread when
    its turn comes. Closing this iterator asks the job to stop after its current step, by the stop
    file in `folder`, and to write its result there. It does not wait for that, because a page may
    close it on the thread that serves everyone; the next job does.
    """
    events: _Queue = SimpleQueue()
    unread = threading.Event()
    arguments = (make_events, folder, events, unread)
    threading.Thread(target=_work, args=arguments, name="job", daemon=True).start()
    try:
        while not isinstance(event := events.get(), _End):
            yield event
    finally:
        unread.set()
    if event.error is not None:
        raise event.error


def prepare(load: Callable[[], object]) -> None:
    """Call `load` on a thread of its own as a job of its own, so that the next job finds it done.

    Returns at once. What it raises is printed; the next job meets the same error and reports it.
    """

    def work() -> None:
        with _TURN:
            load()

    threading.Thread(target=work, name="prepare", daemon=True).start()


def _work(
    make_events: Callable[[], Iterator[Event]],
    folder: Path,
    events: _Queue,
    unread: threading.Event,
) -> None:
    error = None
    try:
        with _TURN, closing(make_events()) as job:
            for event in job:
                events.put(event)
                # Written here and not when the reader leaves: a job that begins forgets older stop
                # files.
                if unread.is_set():
                    ask_to_stop(folder)
    except BaseException as raised:
        error = raised
        if unread.is_set():
            # Nobody is left to raise it to: the thread's own report is the last place to say it.
            raise
    finally:
        events.put(_End(error))
