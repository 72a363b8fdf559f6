"""Both jobs by name, for programs: `/edit_video` and `/paint_mesh`, and the same as MCP tools.

Gradio makes an endpoint of components, so every parameter below has one, which no page shows. (Its
endpoints without components, `gr.api`, would hand a job whatever path of the server it is told.)
Names, defaults and descriptions are those of the two functions. Knows nothing about the page.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, NewType, get_args

import gradio as gr
from gradio.components import Component

from pipelines.clip.job import Preset as VideoPreset
from pipelines.errors import InputError, LineFull, RunFailed
from pipelines.events import Done, Left, Note, Step, Waiting, Writing
from pipelines.geometry import Up
from pipelines.mesh import PaintMesh
from pipelines.paint.job import Preset as MeshPreset
from pipelines.runs.history import Job, archive
from pipelines.teachers.catalog import mesh_teachers, video_teachers
from pipelines.video import EditVideo
from ui.folders import new_folder
from ui.running import in_turn, said
from ui.visitors import owner_by_api, share_of

File = NewType("File", str)
"""An uploaded file, as the path it was saved under."""
Report = dict[str, Any]
"""`status`: how far a run is. `notes`, and in the end `settings` and `metrics`."""


def api() -> None:
    """Serve both jobs, inside the context of the page."""
    with gr.Column(visible=False):
        _serve(edit_video, ["Edited clip (MP4)"])
        _serve(paint_mesh, ["Painted mesh (GLB)", "Everything (zip)"])


def edit_video(
    request: gr.Request,
    clip: File,
    source: str,
    target: str,
    preset: VideoPreset = EditVideo.preset,
    steps: int | None = None,
    seed: int = EditVideo.seed,
    strength: float = EditVideo.strength,
    mask: File | None = None,
    mask_frame: int = EditVideo.mask_frame,
    teacher: str = EditVideo.teacher,
) -> Iterator[tuple[str | None, Report]]:
    """Edit a video by saying what it shows and what it should show.

    Its size, length, frame rate and sound stay.

    Args:
        clip: The video, or a GIF.
        source: What it shows, such as "a red ball rolling left on the grass".
        target: What it should show, such as "a blue ball rolling left on the grass".
        preset: How many steps are taken: quick, standard or fine.
        steps: The number of steps, instead of the preset's.
        seed: The same seed repeats the run.
        strength: How far each step goes; 1 is usual.
        mask: White where the edit may happen: a picture drawn on one frame, or a video of masks.
        mask_frame: The frame a mask picture was drawn on, counted from 0.
        teacher: Which diffusion models judge the edit.

    Returns:
        The edited video, an MP4.
        How far the run is, what it notes, and in the end its settings and metrics.
    """
    _expect_listed(teacher, video_teachers())
    job = EditVideo(
        clip=Path(clip),
        source=source,
        target=target,
        out=new_folder(),
        teacher=teacher,
        preset=preset,
        steps=steps,
        seed=seed,
        strength=strength,
        mask=None if mask is None else Path(mask),
        mask_frame=mask_frame,
    )
    yield from _reports(job, request)


def paint_mesh(
    request: gr.Request,
    mesh: File,
    object: str,
    style: str,
    edit: str = PaintMesh.edit,
    everywhere: bool = PaintMesh.everywhere,
    plural: bool = PaintMesh.plural,
    preset: MeshPreset = PaintMesh.preset,
    steps: int | None = None,
    seed: int = PaintMesh.seed,
    threshold: float = PaintMesh.threshold,
    resolution: int = PaintMesh.resolution,
    mask: File | None = None,
    mask_replaces: bool = PaintMesh.mask_replaces,
    teacher: str = PaintMesh.teacher,
    up: Up = PaintMesh.up,
) -> Iterator[tuple[str | None, str | None, Report]]:
    """Paint a part of a mesh by saying what it is, which part to paint and how.

    Its coordinates, topology and materials stay, and its UVs where they are usable.

    Args:
        mesh: An obj, glb, gltf, ply, stl or off file, or a zip that holds one with its textures.
        object: What the mesh is, such as "mushroom".
        style: How the part should look, such as "red dotted".
        edit: The part to paint, such as "cap". Left empty where everything is painted.
        everywhere: Paint the whole mesh instead of a part.
        plural: Whether the part is a plural, such as "legs".
        preset: How many steps are taken: quick, standard, fine, or paper for 3D Paintbrush's own.
        steps: The number of steps, instead of the preset's.
        seed: The same seed repeats the run.
        threshold: How sure the run must be that a place belongs to the part, 0 to 1.
        resolution: Side of the texture, where the mesh brings none larger.
        mask: White where the edit may happen: a picture in the mesh's UVs.
        mask_replaces: Whether the mask is the region itself, instead of its bounds.
        teacher: Which diffusion models judge the painting.
        up: Which axis of the file points up, y or z.

    Returns:
        The painted mesh, a GLB.
        A zip of everything: GLB, OBJ, textures, the region that was found, a turntable.
        How far the run is, what it notes, and in the end its settings and metrics.
    """
    _expect_listed(teacher, mesh_teachers())
    job = PaintMesh(
        mesh=Path(mesh),
        object=object,
        style=style,
        out=new_folder(),
        edit=edit,
        everywhere=everywhere,
        plural=plural,
        teacher=teacher,
        preset=preset,
        steps=steps,
        seed=seed,
        mask=None if mask is None else Path(mask),
        mask_replaces=mask_replaces,
        threshold=threshold,
        resolution=resolution,
        up=up,
    )
    for result, report in _reports(job, request):
        if result is None:
            yield None, None, report
        else:
            yield result, *_zipped(job.out, report)


def _zipped(folder: Path, report: Report) -> tuple[str | None, Report]:
    """Everything in one file; a disk that has no room for it takes nothing else away."""
    try:
        return str(archive(folder)), report
    except RunFailed as error:
        return None, report | {"notes": [*report["notes"], str(error)]}


def _expect_listed(teacher: str, listed: Iterable[str]) -> None:
    """Whoever calls from outside may not have this machine fetch models of their choice."""
    if teacher not in listed:
        raise InputError(
            f"There is no teacher called {teacher!r} here. Choose one of: {', '.join(listed)}."
        )


def _reports(job: Job, request: gr.Request) -> Iterator[tuple[str | None, Report]]:
    """A run as it goes: its result, None until the end, and how far it is."""
    report = {"status": "Loading", "notes": [], "settings": None, "metrics": None}
    result = None
    # A client that leaves closes this generator, and with it the stream, which stops the job.
    with (
        share_of(None, request),
        closing(in_turn(job, owner_by_api(request))) as events,
    ):
        for event in events:
            match event:
                case Waiting() | Left() | Step() | Writing():
                    report = report | {"status": said(event)}
                case Note(text):
                    report = report | {"notes": [*report["notes"], text]}
                case Done(path, settings, metrics):
                    result, found = str(path), {"settings": settings, "metrics": metrics}
                    report = report | {"status": "Done", **found}
            yield result, report


def _serve(function: Callable[..., Iterator[tuple[Any, ...]]], files: list[str]) -> None:
    """Make an endpoint of `function`, which yields files with these labels and a `Report`."""
    asked = [p for p in signature(function).parameters.values() if p.annotation is not gr.Request]
    handler = _answering(function, asked)
    outputs = [gr.File(label=label) for label in files]
    gr.Button(function.__name__).click(
        handler,
        [_component(parameter) for parameter in asked],
        [*outputs, gr.JSON(label="Report")],
        api_name=function.__name__,
        # The line is the worker's.
        concurrency_limit=None,
    )


def _answering(
    function: Callable[..., Iterator[tuple[Any, ...]]], asked: list[Parameter]
) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """`function`, with what the caller should read as gradio's kind of error."""

    @wraps(function)
    def handler(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            for parameter, value in zip(asked, values, strict=True):
                if value is None and parameter.default is not None:
                    raise InputError(f"There is no {parameter.name}: give one.")
            yield from function(request, *values)
        except (InputError, RunFailed, LineFull) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return handler


def _component(parameter: Parameter) -> Component:
    """What gradio needs to know about a parameter: its type, its default and its choices."""
    said = {"label": parameter.name.replace("_", " ").capitalize()}
    if parameter.default is not Parameter.empty:
        said["value"] = parameter.default
    kind = parameter.annotation
    if File in (kind, *get_args(kind)):
        return gr.File(label=said["label"])
    if kind is bool:
        return gr.Checkbox(**said)
    if kind is str:
        return gr.Textbox(**said)
    if int in (kind, *get_args(kind)):
        return gr.Number(precision=0, **said)
    if kind is float:
        return gr.Number(**said)
    return gr.Radio(get_args(kind), **said)
