"""The mesh tab's region slider: the region of a finished painting, moved.

Knows nothing about how one is painted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import InputError
from pipelines.region import MoveRegion, move_region
from pipelines.runs import run_folder
from ui.examples import EXAMPLES
from ui.mesh_examples import own_copy
from ui.mesh_result import Shown, ended, failed, painted, result_of
from ui.progress import progress
from ui.running import values_of, written
from ui.visitors import owner_of


def move(
    request: gr.Request,
    visitor: str | None,
    run: str | None,
    threshold: float,
    result: gr.Model3D,
) -> Iterator[tuple[Any, ...]]:
    """Move the region of the run in the folder `run`; yields the values of `Shown`s.

    That of an example becomes a run of the visitor's first. result: the viewer as it is on the
    page, so that the camera stays where the user put it.
    """

    def begin() -> Iterator[Shown]:
        return _moved(run, threshold, result.camera_position, owner_of(visitor, request))

    yield from values_of(begin, failed, run)


def _moved(
    run: str | None, threshold: float, camera: list[float | None], owner: str
) -> Iterator[Shown]:
    if run is None:
        gr.Info("The next run starts from this. Paint first; then it moves what was painted.")
        # Where a generator says nothing at all, gradio empties every output.
        yield Shown()
        return
    folder = Path(run)
    if not run_folder.is_run(folder):
        raise InputError("This run is not there any more. Paint again.")
    if run_folder.read_settings(folder).get("threshold") == threshold:
        yield Shown()
        return
    if folder.parent == EXAMPLES:
        folder = own_copy(folder, owner)
    with written(folder):
        moving = progress("Moving the region", 0)
        waits = gr.Button(interactive=False)
        yield Shown(run=str(folder), status=moving, start_button=waits)
        metrics = move_region(MoveRegion(folder, threshold))
        status = progress(f"Done: {painted(metrics)}.", 1)
        yield result_of(folder, status, gr.skip(), camera)
        yield ended()
