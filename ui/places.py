"""The tabs that runs are made in, as the Runs tab needs to know them.

Knows nothing about what they look like.
"""

from collections.abc import Mapping

from gradio.components import Component

from pipelines.mesh import PaintMesh
from pipelines.video import EditVideo
from ui import mesh_result, mesh_run, video_result, video_run
from ui.runs_actions import Place

Named = Mapping[str, Component]


def video_place(inputs: Named, outputs: Named) -> Place:
    """The video tab, by its inputs and outputs."""
    return Place(
        name="video",
        kind=EditVideo,
        change=video_result.Shown,
        inputs=inputs,
        outputs=outputs,
        inputs_of=video_run.inputs_of,
        result_of=video_result.result_of,
        run=video_run.run,
    )


def mesh_place(inputs: Named, outputs: Named) -> Place:
    """The mesh tab, by its inputs and outputs."""
    return Place(
        name="mesh",
        kind=PaintMesh,
        change=mesh_result.Shown,
        inputs=inputs,
        outputs=outputs,
        inputs_of=mesh_run.inputs_of,
        result_of=mesh_result.result_of,
        run=mesh_run.run,
    )
