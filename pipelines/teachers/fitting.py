"""Where memory runs out in the middle of a run: do without something more, and go on.

Steps go on from the last one that was taken. When nothing is left to do without the run fails, and
says what the user can lower. This module knows nothing about what can be done without (`thrift`),
nor about files.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar

from pipelines.errors import RunFailed
from pipelines.events import Note
from pipelines.teachers.shortage import shortage
from sds import optimize, parallel

T = TypeVar("T")


class Frugal(Protocol):
    """Work that can do with less memory."""

    def optimise(self, since: optimize.State | None) -> Iterator[optimize.Step]:
        """All steps, or those after `since`."""
        ...

    def step_down(self) -> list[str]:
        """Take less memory from here on; what to tell the user, nothing where that cannot be."""
        ...

    @property
    def remedy(self) -> str:
        """What the user can lower where memory is short."""
        ...


def steps(work: Frugal, state: optimize.State | None) -> Iterator[optimize.Step | Note]:
    """All steps of the work, or those after `state`. Raises RunFailed where they never fit."""
    while True:
        short = None
        # Closed here and not when it is forgotten: a step that went bad is undone then.
        with closing(work.optimise(state)) as taken:
            try:
                for step in taken:
                    yield step
                    state = step.state()
            except RuntimeError as error:
                short = shortage(error)
        if short is None:
            return
        yield from _less(work, short)


def fitting(work: Frugal, do: Callable[[], T]) -> Generator[Note, None, T]:
    """What `do` returns, after doing without something if need be. Raises RunFailed."""
    while True:
        try:
            return do()
        except RuntimeError as error:
            short = shortage(error)
        yield from _less(work, short)


@contextmanager
def shortage_is_said() -> Iterator[None]:
    """Turn the error of a teacher that does not even fit before its first step into RunFailed."""
    try:
        yield
    except RuntimeError as error:
        raise RunFailed(
            "There is not enough memory to begin: choose a smaller teacher, or lower --side or "
            f"--views. It said: {shortage(error)}"
        ) from error


def _less(work: Frugal, short: str) -> Iterator[Note]:
    """Step down, outside of any handler: what it handles holds on to what was too much.

    Processes that share a job fail instead: the others would wait for the one that steps down.
    """
    said = work.step_down() if parallel.count() == 1 else []
    if not said:
        raise RunFailed(f"There is not enough memory: {work.remedy}. It said: {short}")
    yield Note("Memory ran out; going on with less of it.")
    yield from map(Note, said)
