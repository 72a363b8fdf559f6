"""Measure painted meshes against answers that are known exactly.

    python -m miniature.evaluate mesh --json results.json [--sheet sheet.png] [--quick]

Held-out meshes of the small world, each with a part and a style, are painted by every method and
compared with the same mesh in that style. Fields are asked directly: no files, no unwrapping. This
module knows nothing about how a method works (`miniature.mesh_methods`) or how a score is computed
(`miniature.mesh_metrics`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from miniature.measuring import check_sheet, choose, recorded, settings
from miniature.mesh_edits import MeshEdit, mesh_edits
from miniature.mesh_methods import MeshTask, PaintFunction, mesh_methods
from miniature.mesh_metrics import (
    changed_share,
    colour_error,
    detail_error,
    iou,
    lightness_correlation,
    palette_error,
    seen,
)
from miniature.mesh_report import MeshResult, MeshRow, mesh_summary
from miniature.meshes import surface
from pipelines.bounds import check_steps
from pipelines.media import to_uint8
from pipelines.mesh import STEPS
from pipelines.paint.composites import GRAY
from pipelines.paint.layers import Layers
from pipelines.paint.look import look
from pipelines.paint.task import Fields
from pipelines.render import Points, Surface, downsample, orbit, rasterise
from pipelines.teachers.catalog import MINIATURE, mesh_teacher
from pipelines.teachers.loading import load_mesh_teacher
from pipelines.teachers.painting import Painting

QUICK_METHODS = ("stage-1", "csd")
THRESHOLD = 0.5
SIDE = 160
"""Pixels of a picture on the sheet."""


@dataclass(frozen=True)
class Mesh:
    """Measure the mesh job against exact answers, beside each stage alone and its variants."""

    json: Path
    """File for settings, rows and means; rewritten after every row."""
    sheet: Path | None = None
    """PNG with a view of every result."""
    quick: bool = False
    """Six meshes instead of 24, and stage I and CSD only unless --only says otherwise."""
    split: Literal["tune", "test"] = "test"
    """Meshes to paint. Choose settings on tune, report on test."""
    only: tuple[str, ...] = ()
    """Names of the methods to run, instead of all."""
    steps: int = STEPS["quick"]
    """Steps of every method."""
    seed: int = 0
    """Seed of all noise, views and fields."""
    painting: Painting = field(default_factory=Painting)
    """The settings that the methods share."""


def evaluate_meshes(
    wanted: Sequence[MeshEdit], functions: Mapping[str, PaintFunction], seed: int = 0
) -> Iterator[MeshResult]:
    """Paint every mesh by every method; yields a result as soon as it is there."""
    for edit in wanted:
        shape = surface(edit.mesh)
        task = MeshTask(shape, edit.words, seed)
        for name, function in functions.items():
            began = time.perf_counter()
            painted = function(task).to("cpu")
            seconds = time.perf_counter() - began
            row = score_mesh(edit, name, painted, shape, seconds)
            yield MeshResult(edit, row, pictures(edit, painted, shape))


@torch.no_grad()
def score_mesh(
    edit: MeshEdit, method: str, painted: Fields, shape: Surface, seconds: float
) -> MeshRow:
    """Compare trained fields, on the CPU, with the true answer."""
    all_around = seen(shape)
    inside = edit.inside(all_around.face)
    answer = edit.answer(all_around.points.position, inside)
    layers = worn(painted, all_around.points)
    texture = layers.texture(THRESHOLD)[:, 0]
    found, style = texture[inside] / 255, layers.style[:, 0][inside] / 255
    answer, places = answer[inside], all_around.index[inside]
    return MeshRow(
        number=edit.number,
        object=edit.family,
        part=edit.words.edit,
        style=str(edit.style),
        pattern=edit.style.pattern,
        method=method,
        iou=iou(layers.weight(THRESHOLD)[:, 0] == 1, inside),
        colour_error=colour_error(found, answer),
        palette_error=palette_error(found, answer),
        # The new colours themselves: a region that stops short is the IoU's to see.
        pattern_correlation=lightness_correlation(style, answer),
        detail_error=detail_error(style, answer, places),
        changed_outside=changed_share(texture, layers.base[:, 0], ~inside),
        seconds=seconds,
    )


def worn(painted: Fields, points: Points) -> Layers:
    """The layers the mesh job would write, at N points of a gray mesh: textures of (N, 1)."""
    query = painted(points)
    style, region = ((v * 255).round().to(torch.uint8) for v in (query.style, query.region))
    base = torch.full_like(style, round(255 * GRAY))
    return Layers(base[:, None], style[:, None], region)


@torch.no_grad()
def pictures(edit: MeshEdit, painted: Fields, shape: Surface) -> tuple[Tensor, Tensor, Tensor]:
    """The mesh, the true answer and the result from one side: uint8 (SIDE, SIDE, 3) each."""
    # The second of nine: half-left, so that fronts and sides are both seen.
    cameras = orbit(9, 25.0).some(slice(1, 2))
    view = look(shape, cameras, 2 * SIDE, torch.ones(1, 3))
    face = rasterise(shape, cameras, 2 * SIDE).face.flatten()[view.index]
    position = view.points.position
    colours = (
        torch.full_like(position, GRAY),
        edit.answer(position, edit.inside(face)),
        worn(painted, view.points).texture(THRESHOLD)[:, 0] / 255,
    )
    shown = [downsample(view.picture(colour), SIDE) for colour in colours]
    return tuple(to_uint8(torch.cat(shown)))


def measure_mesh(job: Mesh) -> list[MeshResult]:
    """Run a job and write its files; progress goes to stderr.

    Raises InputError for an unknown method, no steps or a sheet that is not a PNG, before anything
    is run.
    """
    check_sheet(job.sheet)
    check_steps(job.steps, "paint nothing")
    functions = mesh_methods(load_mesh_teacher(MINIATURE), job.painting, job.steps)
    functions = choose(functions, job, QUICK_METHODS)
    wanted = mesh_edits(job.split, job.quick)
    results = evaluate_meshes(wanted, functions, job.seed)
    total = len(wanted) * len(functions)
    return recorded(job, settings(job, mesh_teacher(MINIATURE)), results, total, mesh_summary)
