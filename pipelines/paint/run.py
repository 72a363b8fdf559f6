"""The run that paints a surface: views, composites, CSD, steps.

Each step draws new views of the whole sphere, asks the fields at the visible pixels only, renders
every composite, and lets the cascade judge them all in one call of each stage. Geometry is fixed,
so no gradient passes through visibility. This module knows nothing about files or textures.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pipelines.paint.attached_noise import FADE, PATTERN_FADE, AttachedNoise, attached_noise
from pipelines.paint.composites import Query, painted_over, shares, style_of
from pipelines.paint.look import Look, look
from pipelines.paint.schedule import Asks, held, method_at
from pipelines.paint.task import Fields, Task
from pipelines.paint.views import Ahead, Views
from pipelines.render import sphere_views
from pipelines.teachers.painting import Painting
from sds import csd, losses, parallel
from sds.contrast import Contrast
from sds.draws import Rows, sent
from sds.optimize import State, Step, optimize, step_generator

CONTRAST_FADE = 0.6
"""Share of the run, its last, over which the contrast goes: without it the colours settle."""
CONTRAST_STEPS = 36
"""Steps, at most, over which it goes."""
PATTERN_GUIDANCE = 2.0
"""A pattern gets so many times the guidance of colours, up to all there is: it comes out clearer
for it, where a plain style would oversaturate in a long run."""
SUPERSAMPLING = 2
"""Pixels rendered for each pixel that stage I sees, along each side."""


@dataclass(frozen=True, eq=False)
class _Run:
    """What stays as it is from step to step."""

    task: Task
    how: Painting
    painted: Fields
    steps: int
    prompts: csd.Prompts
    """One row for each composite, and how much of the guidance it gets."""
    attached: AttachedNoise


def paint(
    task: Task,
    how: Painting,
    painted: Fields,
    steps: int,
    seed: int,
    since: State | None = None,
    asks: Asks = method_at,
) -> Iterator[Step]:
    """Train `painted` in place; yields after every step. Its value are two RMS, (2,): of how far
    what is seen has come from gray, and of the last stage's gradient.

    asks: what `how` asks of the cascade at each step. since: the state of an earlier run to go on
    from; `frozen` in it is stage I's result, where it is frozen by then. Raises NonFinite when a
    field stops being finite; the fields are then the last good ones.
    """
    parameters = list(painted.parameters())
    device = task.surface.vertices.device
    run = _Run(task, how, painted, steps, questions(task, how), attached_noise(seed, device))
    ahead = Ahead(lambda index: _views(run, asks(how, index, steps), seed, index), device)
    frozen: Fields | None = None
    if since is not None and since["frozen"] is not None:
        frozen = _frozen(painted, since["frozen"])

    def gradient(index: int) -> Tensor:
        nonlocal frozen
        method = asks(how, index, steps)
        if not _detailed(method):
            frozen = None
        elif how.cascade == "phases" and frozen is None:
            frozen = _frozen(painted, parameters)
        value = _judge(run, method, frozen, ahead.take(index), index)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parallel.sum_(parameter.grad)
        if index + 1 < steps:
            ahead.prepare(index + 1)
        return value

    optimizer = torch.optim.Adam(parameters, lr=how.rate)
    for step in optimize(gradient, parameters, optimizer, steps, since):
        kept = None if frozen is None else list(frozen.parameters())
        yield replace(step, state=lambda step=step, kept=kept: step.state() | {"frozen": kept})


def _views(run: _Run, method: csd.Method, seed: int, index: int) -> Views | None:
    """This process's views of a step; None where the others have them all."""
    task, count = run.task, run.how.views
    generator = step_generator(seed, index)
    cameras = sphere_views(count, generator)
    background = torch.rand(count, 3, generator=generator)
    mine = parallel.share(count)
    if not mine:
        return None
    seen = slice(mine.start, mine.stop)
    size = render_size(task.cascade, _detailed(method))
    behind = sent(background[seen], task.surface.vertices.device)
    view = look(task.surface, cameras.some(seen), size, behind)
    return Views(view, task.bound(view.points), generator)


def _judge(
    run: _Run, method: csd.Method, frozen: Fields | None, views: Views | None, index: int
) -> Tensor:
    """Render this process's views, ask about them, go back to the fields; what `paint` reports."""
    task, how = run.task, run.how
    mean_square = torch.zeros(2, device=task.surface.vertices.device)
    if views is not None:
        view, generator = views.look, views.generator
        query = task.asked(run.painted, view.points, views.bound)
        renders = view.render(query)
        low = None
        if frozen is not None:
            low = view.render(task.asked(frozen, view.points, views.bound))
        mine = parallel.share(how.views)
        every = torch.arange(len(task.prompts.rows) * how.views)
        here = every.view(-1, how.views)[:, mine.start : mine.stop].flatten()
        asks = held(index, run.steps, CONTRAST_FADE, CONTRAST_STEPS)
        told = contrast(task, how, view, query, asks)
        noise = None
        most = run.steps if task.prompts.unlike is None else PATTERN_FADE
        if share := how.attached * held(index, run.steps, FADE, most):
            count = len(task.prompts.rows)
            noise = partial(run.attached.mixed, view, share, style_of(count), count)
        judged = csd.distill_cascade(
            task.cascade,
            method,
            run.prompts.repeated(len(mine)),
            renders,
            index,
            run.steps,
            generator,
            low=low,
            rows=Rows(here, len(every)),
            noise_1=noise,
            contrast=told,
        )
        judged.loss.backward()
        rms = judged.rms_1 if judged.rms_2 is None else judged.rms_2
        reported = torch.stack([losses.rms(painted_over(query)), rms])
        mean_square = reported.square() * len(mine) / how.views
    return parallel.sum_(mean_square).sqrt()


def contrast(task: Task, how: Painting, view: Look, query: Query, share: float) -> Contrast | None:
    """What the style's renders are told from, and where on them, by a share of what is asked."""
    if task.prompts.unlike is None or not how.contrast:
        return None
    composites = len(task.prompts.rows)
    first = style_of(composites) * view.views
    everywhere = torch.ones_like(query.style[:, :1])
    part = everywhere if query.region is None else query.region.detach()
    rows = torch.arange(first, first + view.views, device=part.device)
    return Contrast(rows, share * how.contrast, view.mask(part).repeat(composites, 1, 1, 1))


def questions(task: Task, how: Painting) -> csd.Prompts:
    """What is asked of each composite, and how much of the guidance it gets."""
    rows, guidance = task.prompts.rows, how.style_guidance
    if task.prompts.unlike is not None:
        guidance = max(guidance, min(1.0, PATTERN_GUIDANCE * guidance))
    share = shares(len(rows), guidance)
    kind = dict(dtype=torch.float32, device=rows.device)
    return replace(task.prompts, share=torch.tensor(share, **kind))


@torch.no_grad()
def _frozen(painted: Fields, values: Sequence[Tensor]) -> Fields:
    """Fields like `painted` that are not trained, with these values of their parameters."""
    frozen = copy.deepcopy(painted).requires_grad_(False)
    for parameter, value in zip(frozen.parameters(), values, strict=True):
        parameter.copy_(value)
    return frozen


def _detailed(method: csd.Method) -> bool:
    """Whether stage II is asked too."""
    return method.lambda_2[1] > 0


def render_size(cascade: csd.Cascade, detailed: bool) -> int:
    """Pixels along each side of a render: enough for both stages, or finer than stage I alone."""
    if detailed:
        return max(cascade.size_1, cascade.size_2)
    return max(cascade.size_1, min(SUPERSAMPLING * cascade.size_1, cascade.size_2))
