"""The methods the mesh benchmark compares: each stage alone, and the ways to run both.

    stage-1             SDS with stage I only
    stage-2             stage II only, shown the present render at size_1
    csd                 both stages, jointly
    csd-phases          stage I, then stage II on its frozen result
    csd-no-background   joint, without the background composite
    csd-no-contrast     joint, patterns asked for as plain styles are

All of them take the same steps at the same rate as the mesh job. This module knows nothing about
right answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pipelines.paint.composites import Words, prompts, unlike_prompt
from pipelines.paint.run import paint
from pipelines.paint.schedule import Asks, method_at
from pipelines.paint.task import Fields, Task
from pipelines.render import Surface
from pipelines.teachers.catalog import MINIATURE, mesh_teacher
from pipelines.teachers.loaded import LoadedMeshTeacher
from pipelines.teachers.painting import Painting
from pipelines.teachers.prompts import mesh_prompts
from sds import csd


@dataclass(frozen=True, eq=False)
class MeshTask:
    """What every method is given."""

    surface: Surface
    words: Words
    seed: int


PaintFunction = Callable[[MeshTask], Fields]
"""From a task to trained fields."""


def mesh_methods(loaded: LoadedMeshTeacher, how: Painting, steps: int) -> dict[str, PaintFunction]:
    """Every method of the benchmark by name, `how` being the settings they share."""
    joint = replace(how, cascade="joint", background=True)
    return {
        "stage-1": by_painting(loaded, replace(joint, detail=0.0), steps),
        "stage-2": by_painting(loaded, joint, steps, stage_2_alone),
        "csd": by_painting(loaded, joint, steps),
        "csd-phases": by_painting(loaded, replace(joint, cascade="phases"), steps),
        "csd-no-background": by_painting(loaded, replace(joint, background=False), steps),
        "csd-no-contrast": by_painting(loaded, replace(joint, contrast=0.0), steps),
    }


def by_painting(
    loaded: LoadedMeshTeacher, how: Painting, steps: int, asks: Asks = method_at
) -> PaintFunction:
    """The mesh job's own run."""

    def function(asked: MeshTask) -> Fields:
        task, painted = _begin(loaded, how, asked)
        for _ in paint(task, how, painted, steps, asked.seed, asks=asks):
            pass
        return painted

    return function


def stage_2_alone(how: Painting, index: int, steps: int) -> csd.Method:
    """Stage II at its full weight from the first step; stage I is never asked."""
    return replace(method_at(how, index, steps), lambda_1=0.0, lambda_2=(how.detail, how.detail))


def _begin(loaded: LoadedMeshTeacher, how: Painting, asked: MeshTask) -> tuple[Task, Fields]:
    texts = prompts(asked.words, how.background)
    unlike = unlike_prompt(asked.words) if how.contrast else None
    rows = mesh_prompts(mesh_teacher(MINIATURE), texts, unlike)
    task = Task(asked.surface.to(loaded.device), loaded.cascade, rows, None)
    generator = torch.Generator().manual_seed(asked.seed)
    return task, Fields(how, 1, False, generator).to(loaded.device)
