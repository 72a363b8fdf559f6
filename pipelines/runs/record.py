"""How a job runs in its folder, whatever it does: from its first note to its last file.

Settings, inputs and status are written before the teachers load, so that the folder is a run from
the first step; checkpoints, previews and a curve follow as the steps go by; the result ends it. A
run that is stopped has a full result; one that failed or was killed goes on from its checkpoint and
ends bit for bit where it would have ended, where its steps are deterministic (`sds.optimize`). Of
several processes on one job the main one does all this, and the others take their share of the
steps. This module knows nothing about clips, meshes or teachers.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pipelines.errors import InputError, RunFailed
from pipelines.events import Begun, Done, Event, Note, Preview, Step, Writing
from pipelines.media.stills import write_thumbnail
from pipelines.runs import checkpoint, curve, memory, run_folder
from pipelines.runs.checkpoint import Checkpoint
from pipelines.runs.hold import hold
from pipelines.runs.written import expect_nothing_replaced
from pipelines.teachers import fitting
from pipelines.teachers.compiling import compiler_is_said
from pipelines.teachers.fitting import Frugal
from sds import parallel
from sds.optimize import NonFinite

PREVIEW_EVERY = 1.0
"""Seconds between previews, at least."""
PREVIEW_SHARE = 0.03
"""Share of a run's time that previews may take: costly ones come less often."""


class Work(Frugal, Protocol):
    """A job that has everything loaded."""

    def preview(self, index: int) -> Preview:
        """What the result looks like after step `index`."""
        ...

    @property
    def calmer(self) -> str:
        """What the user can lower where numbers grow beyond all bounds."""
        ...

    def write(self, settings: dict[str, Any]) -> tuple[Path, list[str], dict[str, Any]]:
        """Write the result as it stands: its file, notes for the user, and what was measured."""
        ...


Prepare = Callable[[], Generator[Note, None, Work]]
"""Loads everything, telling what the user should know, and returns the work."""


@dataclass(frozen=True)
class Order:
    """What is to be run, and where."""

    folder: Path
    settings: dict[str, Any]
    """Everything needed to repeat the run, as JSON; `steps` among it."""
    inputs: Mapping[str, Path]
    """The files it needs, by the names they get in the run's folder."""
    results: tuple[str, ...]
    """The names of the files it ends with, as shell patterns."""
    resumes: bool
    """Whether the run goes on that the folder holds, instead of beginning one."""
    began: float = field(default_factory=time.monotonic)
    """When it was asked for, by `time.monotonic`: what is read before a run counts too."""

    @property
    def steps(self) -> int:
        return self.settings["steps"]


def run(order: Order, prepare: Prepare) -> Iterator[Event]:
    """Run a job in its folder; yields `Begun`, notes, steps, previews, and at its end `Writing` and
    `Done`.

    A file called `stop` in the folder ends it after the current step, as a full result. Raises
    InputError when the folder or what was asked cannot be used, and the folder is then as it was;
    RunFailed when the numbers stop being finite (the last good state is then written first), the
    disk is full, memory does not suffice or a network cannot be compiled.
    """
    if not parallel.is_main():
        yield from _follow(order, prepare)
        return
    if order.resumes:
        # Before anything is touched: this may be no run at all.
        run_folder.read_settings(order.folder)
    before = run_folder.open_folder(order.folder)
    if not order.resumes:
        expect_nothing_replaced(order.folder, before, order.results, order.inputs)
    with hold(order.folder):
        run_folder.sweep(order.folder)
        memory.forget_peak_memory()
        since = Checkpoint({"step": 0}, 0.0)
        notes = []
        if order.resumes:
            since = checkpoint.load(order.folder) or since
            order, notes = _resumed(order, since)
        else:
            with run_folder.full_disk_is_said("start the run again"):
                run_folder.begin(order.folder, order.settings, order.inputs)
        with _recorded(order.folder):
            # Before the teachers load: whoever asked for the run may stop it, or leave it, by then.
            yield Begun(order.folder)
            yield from map(Note, notes)
            if parallel.count() > 1:
                yield Note(f"Shared by {parallel.count()} processes.")
            parallel.agree(True)
            work = yield from _prepared(order, prepare, before)
            with compiler_is_said():
                yield from _work(order, work, since)
            # Also one that came when no step was left.
            run_folder.forget_stop(order.folder)


def _prepared(
    order: Order, prepare: Prepare, before: frozenset[str] | None
) -> Generator[Note, None, Work]:
    """The work with everything loaded. before: what the folder held, as `open_folder` has it."""
    try:
        with fitting.shortage_is_said():
            return (yield from prepare())
    except InputError:
        # Some input is only seen to be no use once the teachers look at it.
        if not order.resumes:
            with suppress(OSError):
                run_folder.forget(order.folder, before)
        raise


def _follow(order: Order, prepare: Prepare) -> Iterator[Event]:
    """What a process does that is not the main one: its share of each step, until the main ends."""
    # Not before the main process found the folder usable.
    parallel.agree(True)
    since = checkpoint.load(order.folder) if order.resumes else None
    work = yield from prepare()
    state = None if since is None else since.state
    # Numbers that stop being finite do so everywhere, and the main process says it.
    with compiler_is_said(), suppress(NonFinite), closing(work.optimise(state)) as steps:
        for _ in steps:
            if parallel.agree(False):
                return


def _resumed(order: Order, since: Checkpoint) -> tuple[Order, list[str]]:
    """The order as it goes on, and what the user should know about that."""
    folder, old, taken = order.folder, run_folder.read_settings(order.folder), since.state["step"]
    if order.steps < taken or (
        order.steps == taken and run_folder.read_status(folder).state == "done"
    ):
        raise InputError(f"{folder.name} has taken all of its {taken} steps. Give more: --steps.")
    settings = order.settings
    if order.steps != old.get("steps"):
        # From here on it is another run than one of that many steps from the start.
        settings = settings | {"lengthened_at": [*old.get("lengthened_at", []), taken]}
    elif "lengthened_at" in old:
        settings = settings | {"lengthened_at": old["lengthened_at"]}
    notes = _changed(*(given.get("versions", {}) for given in (old, settings)))
    with run_folder.full_disk_is_said("resume the run"):
        run_folder.write_json(folder / run_folder.SETTINGS, settings)
        _note(folder, "running", taken)
    return replace(order, settings=settings), notes


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is otherwise now; what an older run did not say of itself is not known."""
    how = {name: ("with", f"{name} ") for name in ("scorebrush", *run_folder.PACKAGES)}
    how |= {"device": ("on", ""), "dtype": ("in", "")}
    said = [
        f"Begun {by} {what}{then[name]}, resumed {by} {now.get(name)}: its end may differ."
        for name, (by, what) in how.items()
        if name in then and then[name] != now.get(name)
    ]
    if "weights" in then and then["weights"] != now.get("weights"):
        said.append("The teacher has other weights than when this was begun: its end may differ.")
    return said


def _work(order: Order, work: Work, since: Checkpoint) -> Iterator[Event]:
    failure, started, taken = None, time.monotonic() - since.seconds, since.state["step"]
    try:
        with closing(_optimise(order, work, since, started)) as events:
            for event in events:
                if isinstance(event, Step):
                    taken = event.index + 1
                yield event
    except NonFinite as error:
        failure = (
            f"Step {error.index + 1} produced NaN or infinity: {work.calmer}. The result is the "
            "last good state."
        )
    seconds = time.monotonic() - started
    yield Writing()
    write = partial(work.write, order.settings)
    result, notes, facts = yield from fitting.fitting(work, write)
    yield from map(Note, notes)
    metrics = {
        "seconds": round(seconds, 3),
        "seconds_per_step": round(seconds / max(taken, 1), 4),
        "seconds_in_all": round(time.monotonic() - order.began + since.seconds, 3),
        "steps": taken,
        "peak_memory_mb": round(memory.peak_memory_mb(), 1),
        **facts,
    }
    run_folder.write_json(order.folder / run_folder.METRICS, metrics)
    if failure is not None:
        raise RunFailed(failure)
    _note(order.folder, "done" if taken == order.steps else "stopped", taken)
    yield Done(result, order.settings, metrics)


def _optimise(
    order: Order, work: Work, since: Checkpoint, started: float
) -> Iterator[Step | Preview | Note]:
    """All steps, with previews and checkpoints between them. started: when step 0 began."""
    shown = saved = time.monotonic()
    cost = look_cost = 0.0
    state = since.state if since.state["step"] else None
    so_far = curve.read(order.folder)
    # Closed here and not when it is forgotten: a step that went bad is undone then.
    with closing(fitting.steps(work, state)) as steps:
        for step in steps:
            if isinstance(step, Note):
                yield step
                continue
            last = step.index + 1 == order.steps
            change, loss = step.value.tolist()
            said = Step(step.index, order.steps, time.monotonic() - started, change, loss)
            so_far = curve.grown(so_far, said)
            yield said
            now, pause = time.monotonic(), max(PREVIEW_EVERY, look_cost / PREVIEW_SHARE)
            if step.index == 0 or last or now - shown > pause:
                look = partial(work.preview, step.index)
                preview = yield from fitting.fitting(work, look)
                write_thumbnail(order.folder / run_folder.PREVIEW, preview.frames)
                yield preview
                shown = time.monotonic()
                # What its reader makes of it counts too. The first one also warms up, which says
                # nothing about the others.
                look_cost = shown - now if step.index else 0.0
            ends = parallel.agree(last or run_folder.stop_asked(order.folder))
            if (ends or checkpoint.is_due(time.monotonic() - saved, cost)) and step.finite():
                reached = Checkpoint(step.state(), time.monotonic() - started)
                # First: what it has beyond the checkpoint goes when those steps are taken again.
                curve.write(order.folder, so_far)
                cost = checkpoint.save(order.folder, reached)
                _note(order.folder, "running", step.index + 1)
                saved = time.monotonic()
            if ends:
                return


@contextmanager
def _recorded(folder: Path) -> Iterator[None]:
    """Keep in the folder what went wrong, as a sentence."""
    try:
        with run_folder.full_disk_is_said("resume the run"):
            yield
    except Exception as error:
        known = isinstance(error, InputError | RunFailed)
        said = str(error) if known else f"A defect of the program: {type(error).__name__}."
        # A run that was forgotten has nothing to keep it in.
        if run_folder.is_run(folder):
            with suppress(OSError):
                status = run_folder.read_status(folder)
                run_folder.write_status(folder, replace(status, state="failed", said=said))
        raise


def _note(folder: Path, state: run_folder.State, step: int) -> None:
    status = run_folder.read_status(folder)
    run_folder.write_status(folder, replace(status, state=state, step=step, said=None))
