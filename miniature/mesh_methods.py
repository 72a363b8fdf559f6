"""The methods the mesh benchmark compares: each stage alone, and the ways to run both.

    stage-1             SDS with stage I only
    stage-2             stage II only, shown the present render at size_1
    csd                 both stages, jointly
    csd-phases          stage I, then stage II on its frozen result
    csd-no-background   joint, without the background composite
    csd-no-contrast     joint, patterns not told from plain styles

All of them take the same steps at the same rate as the mesh job. This module knows nothing about
right answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipelines.paint.composites import Words, prompts, unlike_prompt
from pipelines.paint.look import look
from pipelines.paint.painting import Painting, method_at
from pipelines.paint.run import paint, questions
from pipelines.paint.task import Fields, Task
from pipelines.render import Surface, sphere_views
from pipelines.teachers.catalog import MINIATURE, mesh_teacher
from pipelines.teachers.loaded import LoadedMeshTeacher
from pipelines.teachers.prompts import mesh_prompts
from sds import csd
from sds.optimize import optimize, step_generator


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
        "stage-2": by_stage_2(loaded, joint, steps),
        "csd": by_painting(loaded, joint, steps),
        "csd-phases": by_painting(loaded, replace(joint, cascade="phases"), steps),
        "csd-no-background": by_painting(loaded, replace(joint, background=False), steps),
        "csd-no-contrast": by_painting(loaded, replace(joint, contrast=0.0), steps),
    }


def by_painting(loaded: LoadedMeshTeacher, how: Painting, steps: int) -> PaintFunction:
    """The mesh job's own run."""

    def function(asked: MeshTask) -> Fields:
        task, painted = _begin(loaded, how, asked)
        for _ in paint(task, how, painted, steps, asked.seed):
            pass
        return painted

    return function


def by_stage_2(loaded: LoadedMeshTeacher, how: Painting, steps: int) -> PaintFunction:
    """The run as the mesh job takes it, but stage I is never asked."""

    def function(asked: MeshTask) -> Fields:
        task, painted = _begin(loaded, how, asked)
        per_view = questions(task, how, how.views)

        def gradient(index: int) -> Tensor:
            generator = step_generator(asked.seed, index)
            cameras = sphere_views(how.views, generator)
            background = torch.rand(how.views, 3, generator=generator).to(loaded.device)
            view = look(task.surface, cameras, task.cascade.size_2, background)
            renders = view.render(task.asked(painted, view.points))
            weights = dict(lambda_1=0.0, lambda_2=(how.detail, how.detail))
            method = replace(method_at(how, index, steps), **weights)
            judged = csd.distill_cascade(
                task.cascade, method, per_view, renders, index, steps, generator
            )
            judged.loss.backward()
            return judged.rms_2

        parameters = list(painted.parameters())
        for _ in optimize(gradient, parameters, torch.optim.Adam(parameters, lr=how.rate), steps):
            pass
        return painted

    return function


def _begin(loaded: LoadedMeshTeacher, how: Painting, asked: MeshTask) -> tuple[Task, Fields]:
    texts = prompts(asked.words, how.background)
    rows = mesh_prompts(mesh_teacher(MINIATURE), texts, unlike_prompt(asked.words))
    task = Task(asked.surface.to(loaded.device), loaded.cascade, rows, None)
    generator = torch.Generator().manual_seed(asked.seed)
    return task, Fields(how, 1, False, generator).to(loaded.device)
