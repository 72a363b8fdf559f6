"""What every tab's run has in common: a change of the page, and what is said when it goes wrong.

Knows nothing about the jobs.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines import worker
from pipelines.bounds import check_seed
from pipelines.errors import InputError, LineFull, RunFailed
from pipelines.events import Event, Left, Step, Waiting, Writing
from pipelines.runs.history import Job, begin
from ui.gpu_time import gpu_seconds
from ui.progress import duration, progress
from ui.visitors import owned
from ui.wording import on_the_page

STOP = "Stop"
"""What the button says that ends a run."""
SEEDS = 2**31
"""Seeds that are drawn are below this."""
_TURNS = 10_000
"""Milliseconds that the page may take to turn to another tab."""
_WRITTEN: set[Path] = set()
"""Folders of runs that have ended and that somebody on a page writes to."""


@dataclass(frozen=True, eq=False)
class Change:
    """A change of a tab, one field for each output; what is not given stays as it is."""

    status: Any = field(default_factory=gr.skip)
    run: Any = field(default_factory=gr.skip)
    start_button: Any = field(default_factory=gr.skip)
    stop_button: Any = field(default_factory=gr.skip)
    metrics: Any = field(default_factory=gr.skip)
    preview: Any = field(default_factory=gr.skip)
    result: Any = field(default_factory=gr.skip)
    seed: Any = field(default_factory=gr.skip)
    ended_at: Any = field(default_factory=gr.skip)
    """Seconds of the clock; it changes with every end, whatever came of the run."""

    def values(self) -> tuple[Any, ...]:
        """In the order of the fields."""
        return tuple(getattr(self, f.name) for f in fields(self))


def facts(settings: dict[str, Any], metrics: dict[str, Any], *more: str) -> str:
    """How a run went, in a line. more: what its kind of run has to say besides."""
    said = [f"{metrics['steps']} steps", f"{metrics['seconds_per_step']:.2f} s a step", *more]
    said += [f"{metrics['peak_memory_mb']:.0f} MB of memory", f"seed {settings['seed']}"]
    return ", ".join(said)


def values_of(
    begin: Callable[[], Iterator[Change]],
    failed: Callable[..., Change],
    before: str | None,
) -> Iterator[tuple[Any, ...]]:
    """The values of each `Change` that `begin()` yields; an error becomes a sentence on the page.

    failed: makes the tab's change from `status` and whatever else makes it ready again. before: the
    run whose result the tab shows, which a change whose run is None goes back to.
    """
    try:
        with closing(begin()) as changes:
            for change in changes:
                yield (replace(change, run=before) if change.run is None else change).values()
    except Exception as error:
        # gr.Error is ZeroGPU's own: whose time is up, and what to do about it.
        known = isinstance(error, InputError | RunFailed | LineFull | gr.Error)
        text = str(error) if known else "This is a defect of the program. Its log says more."
        # Whatever happened, the page is ready for the next run.
        yield failed(status=progress(text, 0, failed=True), **ready()).values()
        if not known:
            raise
        # Said once: a message beside it would lie over what it is about.
        raise gr.Error(on_the_page(text), visible=False, print_exception=False) from error


def in_turn(job: Job, owner: str | None, resumes: bool = False) -> Iterator[Event]:
    """A job's events when its turn comes; its run becomes the owner's. See `worker.stream`."""
    make_events = partial(owned, partial(begin, job, resumes), owner)
    return worker.stream(make_events, job.out, gpu_seconds(job))


def ready() -> dict[str, Any]:
    """The fields of a `Change` where nothing runs any more."""
    return {
        "ended_at": time.time(),
        "start_button": gr.Button(interactive=True),
        "stop_button": gr.Button(STOP, interactive=False),
    }


def begun(folder: Path) -> dict[str, Any]:
    """The fields of a `Change` from when the run in `folder` can be stopped."""
    return {"run": str(folder), "stop_button": gr.Button(STOP, interactive=True)}


def expect_idle(run: str | None) -> None:
    """Raises InputError where a tab's run, in the folder `run`, waits, works or is written to."""
    if run is None:
        return
    if worker.is_at_work(Path(run)):
        raise InputError("A run is under way in its tab. Stop it first, or wait for its end.")
    if Path(run) in _WRITTEN:
        raise InputError("The result in its tab is being changed. Wait for its end.")


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """While the result of a run that has ended is changed: nothing else may take its tab."""
    _WRITTEN.add(folder)
    try:
        yield
    finally:
        _WRITTEN.discard(folder)


def in_line(event: Waiting | Left, folder: Path) -> dict[str, Any]:
    """The fields of a `Change` while the run in `folder` waits for its turn."""
    status = {"status": progress(said(event), 0)}
    if isinstance(event, Left):
        return status | ready() | {"run": None}
    return status | begun(folder)


def said(event: Waiting | Left | Step | Writing) -> str:
    """How far a run is, in words."""
    match event:
        case Left():
            return "Stopped before it began."
        case Waiting(0):
            return "Nobody is ahead of you."
        case Waiting(ahead):
            return f"In line, {ahead} ahead of you."
        case Step(index, steps):
            return f"Step {index + 1} of {steps}, {duration(event.left)} left"
        case Writing():
            return "Writing the result"


def given(value: Any, otherwise: str) -> Any:
    """`value`. Raises InputError with the sentence `otherwise` where the page left it empty."""
    if value is None:
        raise InputError(otherwise)
    return value


def seed_of(seed: int | None, random: bool) -> int:
    """The seed of a run: drawn, or the page's. Raises InputError where that is none."""
    if random:
        return secrets.randbelow(SEEDS)
    seed = int(given(seed, "The seed is empty. Give a whole number, such as 0."))
    # Here already: the page is told it back, and cannot be told any number.
    check_seed(seed)
    return seed


def stop(run: str | None) -> dict[str, Any]:
    """Take the run in the folder `run` out of the line, or stop it and keep what there is."""
    if run is not None:
        worker.stop(Path(run))
    # Its step is taken to the end, which may be minutes, and then the result is written.
    return gr.Button("Stopping", interactive=False)


def wire_run(
    run: Callable[..., Iterator[tuple[Any, ...]]],
    asked: list[Component],
    shown: Mapping[str, Component],
    change: type[Change],
    outcome: str,
) -> None:
    """What a tab's two buttons do.

    run: yields the values of a `change`. asked: the components whose values it takes. shown: the
    tab's outputs, by name. outcome: the id of what is brought into sight.
    """
    start_button, stop_button = shown["start_button"], shown["stop_button"]
    # First: gradio calls a button's next handler when the one before has ended.
    start_button.click(None, js=into_sight(f"#{outcome}"), api_visibility="private")
    start_button.click(
        run,
        asked,
        [shown[f.name] for f in fields(change)],
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=shown["status"],
        # The line is the worker's: it is shown, and it ends.
        concurrency_limit=None,
    )
    stop_button.click(
        stop,
        shown["run"],
        stop_button,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def into_sight(selector: str) -> str:
    """A script that shows what comes of a click, as soon as its tab is open; on a narrow page that
    lies far below."""
    # In the middle there: it grows downwards, and gradio's messages lie over the top.
    return f"""() => {{
        const late = performance.now() + {_TURNS};
        const show = () => {{
            const all = [...document.querySelectorAll('{selector}')];
            const seen = all.find((one) => one.offsetParent);
            if (!seen && performance.now() < late) return requestAnimationFrame(show);
            seen?.scrollIntoView({{
                block: matchMedia('(max-width: 700px)').matches ? 'center' : 'nearest'
            }});
        }};
        show();
    }}"""
