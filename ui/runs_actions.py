"""What the Runs tab's buttons do. Only a visitor's own runs are ever named, shown or touched.

Knows nothing about layout, and nothing about a job but what its tab says of itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines import worker
from pipelines.errors import InputError
from pipelines.runs import curve, history, run_folder, settings
from pipelines.runs.history import Job, Past
from ui.folders import base_folder, new_folder
from ui.progress import progress
from ui.running import Change, expect_idle
from ui.runs_list import detail_of, heading, thumbnail
from ui.visitors import is_local, may_see, owner_of, share_of
from ui.wording import said_on_the_page

MOST = 200
"""Runs that are listed."""
Changes = dict[Component, Any]


@dataclass(frozen=True, eq=False)
class Place:
    """The tab that a kind of run is made in, as it describes itself."""

    name: str
    """Its id among the page's tabs."""
    kind: type[Job]
    change: type[Change]
    inputs: Mapping[str, Component]
    outputs: Mapping[str, Component]
    """By their names in `change`."""
    inputs_of: Callable[[Any], dict[str, Any]]
    """The inputs for a job, by their names."""
    result_of: Callable[[Path], Change]
    """What shows the files that the run in a folder wrote."""
    run: Callable[[Any, str | None, bool, str | None], Iterator[tuple[Any, ...]]]
    """From a job, whose its run becomes, whether it resumes, and the run that the tab shows, to the
    values of a `change` for each event."""


def listed(chosen: str | None, visitor: str | None, request: gr.Request) -> tuple[Any, ...]:
    """The visitor's runs, and what is known about the chosen one."""
    visible = _visible(owner_of(visitor, request), request)
    found = visible[:MOST]
    names = [run.folder.name for run in found]
    current = next((run for run in found if run.folder.name == chosen), None)
    selected = None if current is None else names.index(chosen)
    gallery = gr.Gallery(
        [thumbnail(run) for run in found],
        label=heading(len(found), len(visible)),
        selected_index=selected,
    )
    name = None if current is None else chosen
    return names, gallery, name, *detail_of(current, is_local(request))


def picked(
    names: list[str], visitor: str | None, request: gr.Request, event: gr.SelectData
) -> tuple[Any, ...]:
    """The run that was clicked on."""
    with said_on_the_page():
        run = _own(names[event.index], owner_of(visitor, request), request)
        return run.folder.name, *detail_of(run, is_local(request))


def ask_to_delete() -> tuple[gr.Button, ...]:
    """Deleting is asked for twice."""
    return gr.Button(visible=False), gr.Button(visible=True), gr.Button(visible=True)


def keep() -> tuple[gr.Button, ...]:
    """The answer was no."""
    return gr.Button(visible=True), gr.Button(visible=False), gr.Button(visible=False)


def delete(chosen: str | None, visitor: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Delete the chosen run for good."""
    with said_on_the_page():
        history.delete(_own(chosen, owner_of(visitor, request), request).folder, base_folder())
    return listed(None, visitor, request)


def pack(chosen: str | None, visitor: str | None, request: gr.Request) -> str:
    """The zip of the chosen run."""
    with said_on_the_page():
        return str(history.archive(_own(chosen, owner_of(visitor, request), request).folder))


@dataclass(frozen=True, eq=False)
class Actions:
    """What is done with a run in the tab that it was made in.

    Every handler gives changes of any of `outputs`. folders: of the run in each place, if any.
    """

    tabs: gr.Tabs
    places: tuple[Place, ...]
    opened: gr.State
    """The name of the run that `show` is to show, if any."""

    @property
    def outputs(self) -> list[Component]:
        """All that a handler may change."""
        parts = [(*place.inputs.values(), *place.outputs.values()) for place in self.places]
        return [
            self.tabs,
            self.opened,
            *dict.fromkeys(component for part in parts for component in part),
        ]

    @property
    def running(self) -> list[Component]:
        """What holds `folders`."""
        return [place.outputs["run"] for place in self.places]

    def reopen(
        self,
        request: gr.Request,
        chosen: str | None,
        visitor: str | None,
        *folders: str | None,
    ) -> Changes:
        """Turn to a run's tab, with all that was asked; `show` follows."""
        with said_on_the_page():
            run = _own(chosen, owner_of(visitor, request), request)
            changes = self._opened(request, _job(run), folders)
            if worker.is_at_work(run.folder):
                raise InputError("It is still at work. Open it when it has ended.")
            return changes | {self.opened: chosen}

    def show(
        self, request: gr.Request, opened: str | None, visitor: str | None
    ) -> Iterator[Changes]:
        """What came of the run that was opened, once its tab is seen.

        Asked for by the page when it has turned to that tab: what it is told while it turns may be
        lost, and the viewer of a mesh that is given one before stays empty.
        """
        if opened is not None:
            with said_on_the_page():
                run = _own(opened, owner_of(visitor, request), request)
                yield self._result(_job(run), run.folder)
        # The page is told a handler's last change twice, which a viewer may not bear.
        yield {self.tabs: gr.skip()}

    def resume(
        self,
        request: gr.Request,
        chosen: str | None,
        visitor: str | None,
        *folders: str | None,
    ) -> Iterator[Changes]:
        """Go on with a run."""
        with said_on_the_page(), share_of(visitor, request) as owner:
            job = _job(_own(chosen, owner, request))
            yield self._opened(request, job, folders)
            # It stays whose it is.
            yield from self._run(job, None, True, folders)

    def repeat(
        self,
        request: gr.Request,
        chosen: str | None,
        visitor: str | None,
        *folders: str | None,
    ) -> Iterator[Changes]:
        """Run the same again, as a run of its own."""
        with said_on_the_page(), share_of(visitor, request) as owner:
            job = _job(_own(chosen, owner, request))
            yield self._opened(request, job, folders)
            yield from self._run(history.again(job, new_folder()), owner, False, folders)

    def restore(
        self, request: gr.Request, path: str, visitor: str | None, *folders: str | None
    ) -> Changes:
        """Give a result its settings back; `show` follows, where its run is the visitor's."""
        with said_on_the_page():
            job = history.embedded_job(Path(path))
            asked = settings.describe(job)
            mine = _visible(owner_of(visitor, request), request)
            same = (run for run in mine if run.job and settings.describe(run.job) == asked)
            run = next(same, None)
            changes = self._opened(request, run.job if run else job, folders)
            files = "" if run else " The files it was made of are not in it: upload them again."
            gr.Info(f"These are the settings of {Path(path).name}.{files}")
            return changes | {self.opened: run.folder.name if run else None}

    def _place(self, job: Job) -> Place:
        return next(place for place in self.places if isinstance(job, place.kind))

    def _opened(self, request: gr.Request, job: Job, folders: tuple[str | None, ...]) -> Changes:
        """The changes that turn to a job's tab and fill in all that it asks."""
        place = self._place(job)
        expect_idle(folders[self.places.index(place)])
        # First: what a job asks depends on its teacher, and may be read from the hub.
        if not is_local(request):
            _expect_offered(job.teacher, place.inputs["teacher"])
        given = place.inputs_of(job) | dict.fromkeys(_gone(job))
        asked = {place.inputs[name]: value for name, value in given.items()}
        changes: Changes = {part: _within(part, value) for part, value in asked.items()}
        return changes | {self.tabs: gr.Tabs(selected=place.name)}

    def _result(self, job: Job, folder: Path) -> Changes:
        """The changes that show what a job's run made."""
        outputs, shown = self._place(job).outputs, self._place(job).result_of(folder)
        new = {f.name: getattr(shown, f.name) for f in fields(shown)}
        kept = run_folder.read_status(folder).step / job.total_steps
        said = progress("Opened from Runs.", min(kept, 1), curve.read(folder), ended=True)
        new |= {"run": str(folder), "status": said}
        return {outputs[name]: value for name, value in new.items() if value != gr.skip()}

    def _run(
        self, job: Job, owner: str | None, resumes: bool, folders: tuple[str | None, ...]
    ) -> Iterator[Changes]:
        place = self._place(job)
        outputs = [place.outputs[f.name] for f in fields(place.change)]
        for values in place.run(job, owner, resumes, folders[self.places.index(place)]):
            yield dict(zip(outputs, values, strict=True))


def _visible(owner: str, request: gr.Request) -> list[Past]:
    return history.past(base_folder(), lambda run: may_see(run, owner, request))


def _own(name: str | None, owner: str, request: gr.Request) -> Past:
    """The visitor's run of this name. Raises InputError where there is none."""
    gone = InputError("This run is not there any more. Pick another.")
    # Straight inside the base folder, and nothing hidden there.
    if not name or name != Path(name).name or name.startswith("."):
        raise gone
    folder = base_folder() / name
    if not folder.is_dir() or not may_see(folder, owner, request):
        raise gone
    return history.one(folder)


def _job(run: Past) -> Job:
    if run.job is None:
        raise InputError(run.broken)
    return run.job


def _gone(job: Job) -> list[str]:
    """The settings whose files are not there, among the runs' own.

    What a dropped result names may be any file of this machine.
    """
    paths = {f.name: getattr(job, f.name) for f in fields(job) if f.name != "out"}
    return [k for k, path in paths.items() if isinstance(path, Path) and not _is_kept(path)]


def _is_kept(path: Path) -> bool:
    return path.is_relative_to(base_folder()) and path.is_file()


def _expect_offered(teacher: str, choices: gr.Dropdown) -> None:
    """Raises InputError for a teacher that the page does not offer.

    A result that a stranger drops may name any model, and would have this machine fetch it.
    """
    offered = [name for _, name in choices.choices]
    if teacher not in offered:
        raise InputError(
            f"It was made with the teacher {teacher!r}, which is not offered here: only "
            f"{', '.join(offered)}. Open it in a studio on your own machine."
        )


def _within(component: Component, value: Any) -> Any:
    """The value; where a slider or a list has no place for it, that with room for it.

    The command line sets no ends, and takes teachers that are in no list.
    """
    if isinstance(component, gr.Dropdown):
        inside = value in [name for _, name in component.choices]
        return value if inside else gr.Dropdown([*component.choices, (value, value)], value=value)
    if not isinstance(component, gr.Slider) or not isinstance(value, int | float):
        return value
    low, high = min(component.minimum, value), max(component.maximum, value)
    inside = (low, high) == (component.minimum, component.maximum)
    return value if inside else gr.Slider(value=value, minimum=low, maximum=high)
