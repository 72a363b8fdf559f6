"""An uploaded mesh in the viewer, as it is before anything is painted on it.

Knows nothing about how one is painted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.errors import InputError
from pipelines.geometry import read_mesh, write_glb
from ui.mesh_result import Shown, nothing
from ui.progress import progress
from ui.running import expect_idle, ready


def wire_seen(mesh: gr.File, shown: Mapping[str, Component]) -> None:
    """Show the mesh as it is uploaded, and not any more when it is taken away.

    shown: the tab's outputs, by their name in `Shown`.
    """
    outputs = [shown[f.name] for f in fields(Shown)]
    mesh.upload(
        see,
        [mesh, shown["run"]],
        outputs,
        show_progress="minimal",
        show_progress_on=shown["status"],
        concurrency_limit=2,
        trigger_mode="always_last",
        api_visibility="private",
    )
    mesh.clear(
        lambda run: gr.skip() if run else gr.Model3D(None),
        shown["run"],
        shown["result"],
        show_progress="hidden",
        api_visibility="private",
    )


def see(mesh: str, run: str | None) -> Iterator[tuple[Any, ...]]:
    """The tab with a mesh that nothing was painted on; yields the values of `Shown`s.

    A file that holds none says so, and leaves what is there. run: what the tab shows; one that is
    under way goes on being shown.
    """
    try:
        expect_idle(run)
    except InputError:
        yield Shown().values()
        return
    # A run that began meanwhile would lose the tab to what comes here.
    yield Shown(start_button=gr.Button(interactive=False)).values()
    try:
        model = read_mesh(mesh)
    except InputError as error:
        yield Shown(status=progress(str(error), 0, failed=True), **ready()).values()
        return
    with TemporaryDirectory() as folder:
        # Whatever the file's own format is, and whatever lies beside it.
        path = Path(folder) / "mesh.glb"
        write_glb(path, model, [None] * len(model.parts))
        # Of what was painted before the tab shows nothing any more: it is in Runs.
        result = gr.Model3D(str(path), visible=True)
        said = progress("", 0, curve=())
        shown = replace(nothing(**ready()), run=None, status=said, result=result)
        yield shown.values()
    # The page is told a handler's last change twice, which a viewer may not bear.
    yield Shown().values()
