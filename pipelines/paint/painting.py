"""The run that paints a surface: views, composites, CSD, steps.

Each step draws new views of the whole sphere, asks the fields at the visible pixels only, renders
every composite, and lets the cascade judge them all in one call of each stage. Geometry is fixed,
so no gradient passes through visibility. This module knows nothing about files or textures.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from pipelines.paint import fields
from pipelines.paint.attached_noise import FADE, AttachedNoise, attached_noise
from pipelines.paint.bake import sample
from pipelines.paint.composites import Query, colours, painted_over, shares, style_of
from pipelines.render import (
    Cameras,
    Points,
    Surface,
    compose,
    rasterise,
    shade,
    sphere_views,
    visible,
)
from sds import csd, losses, parallel
from sds.contrast import Contrast
from sds.draws import Rows
from sds.losses import ramp
from sds.optimize import State, Step, optimize, step_generator

CONTRAST_FADE = 0.6
"""Share of the run, its last, over which the contrast goes: without it the colours settle."""
SUPERSAMPLING = 2
"""Pixels rendered for each pixel that stage I sees, along each side."""


@dataclass(frozen=True)
class Painting:
    """How a surface is painted."""

    field: fields.Kind = "hash"
    """What colours are kept in: a hash grid, the paper's Fourier network, or a texture."""
    rate: float = 1e-2
    """Learning rate of Adam."""
    views: int = 4
    """Views per step."""
    cascade: Literal["joint", "phases"] = "joint"
    """Whether both stages judge together, or stage II follows on stage I's frozen result."""
    guidance_1: float = 8.0
    """Guidance scale of stage I; 1 is none (Imagen's convention)."""
    guidance_2: float = 8.0
    """Guidance scale of stage II."""
    style_guidance: float = 0.1
    """How much of the guidance beyond 1 the style's composite gets, as a factor. Much guidance
    finds the part; little keeps its colours true."""
    low: int = 20
    """Lowest noise level, of 1000."""
    high: int = 900
    """Highest noise level at the first step, of 1000."""
    high_end: int = 350
    """Highest noise level at the last step."""
    detail: float = 0.05
    """Weight of stage II at the end; 0 leaves it out. It speaks for sixteen times as many
    pixels as stage I, and the built-in one washes colours out where it weighs more."""
    detail_from: float = 0.8
    """Share of the run that stage I does alone, before stage II's weight rises from 0."""
    crop: float = 0.5
    """Stage II judges a square of each render at a random place: this share of the render's side. A
    half takes a quarter of stage II's time; 1 is the whole, as published."""
    background: bool = True
    """Whether the background composite is judged too; it holds the region to its part."""
    attached: float = 1.0
    """Share of the noise on stage I's style composite that stays where it is on the surface; over
    the end of the run it falls to 0. It lets patterns find a place; 0 is fresh noise throughout."""
    contrast: float = 2.0
    """Stage I's guidance from what the style should be unlike towards the style. It brings a
    pattern out and moves no colour as a whole; over the run it falls to 0. 0 leaves it out."""


PAPER = Painting(
    field="fourier",
    rate=1e-4,
    guidance_1=csd.PAPER.stage_1.guidance,
    guidance_2=csd.PAPER.stage_2.guidance,
    style_guidance=1.0,
    detail=0.8,
    high=980,
    high_end=980,
    detail_from=0.0,
    crop=1.0,
    attached=0.0,
    contrast=0.0,
)
"""3D Paintbrush as published: 5,000 steps of 4 views."""


class Fields(nn.Module):
    """P, T and B of a surface, as far as a run needs them."""

    def __init__(
        self, how: Painting, atlases: int, everywhere: bool, generator: torch.Generator
    ) -> None:
        """everywhere: the whole surface is painted, so there is no P and no B."""
        super().__init__()
        self.region = self.background = None
        self.style = fields.make_field(how.field, "colour", atlases, generator)
        if not everywhere:
            self.region = fields.make_field(how.field, "region", atlases, generator)
            if how.background:
                self.background = fields.make_field(how.field, "colour", atlases, generator)

    def forward(self, points: Points, background: bool = True) -> Query:
        """What the fields say at N points; B is left out where it is not wanted."""
        behind = self.background if background else None
        return Query(
            region=None if self.region is None else fields.localisation(self.region(points)),
            style=fields.colour(self.style(points)),
            background=None if behind is None else fields.colour(behind(points)),
        )


@dataclass(frozen=True, eq=False)
class Mask:
    """The user's word on where the edit may happen."""

    textures: tuple[Tensor, ...]
    """(1, h, w) in [0, 1] for each texture, 1 where it may."""
    replaces: bool
    """Whether it is the region itself, or only bounds the one that is found."""

    def on(self, query: Query, points: Points) -> Query:
        """What the fields say, within the mask. Without a region nothing is bounded here."""
        if query.region is None:
            return query
        allowed = sample_atlases(self.textures, points)
        return replace(query, region=allowed if self.replaces else query.region * allowed)


@dataclass(frozen=True, eq=False)
class Task:
    """What is painted, and who judges it."""

    surface: Surface
    cascade: csd.Cascade
    prompts: csd.Prompts
    """One row for each composite."""
    mask: Mask | None

    def asked(self, painted: Fields, points: Points, background: bool = True) -> Query:
        """What `painted` says at N points, within the mask."""
        query = painted(points, background)
        return query if self.mask is None else self.mask.on(query, points)

    def bound(self, points: Points) -> Tensor:
        """The mask itself at N points, 1 without one: (N, 1)."""
        if self.mask is None:
            return torch.ones_like(points.uv[:, :1])
        return sample_atlases(self.mask.textures, points)


@dataclass(frozen=True, eq=False)
class Look:
    """The same views of every composite."""

    points: Points
    index: Tensor
    """(N,) long: each point's pixel."""
    shading: Tensor
    """(N,)."""
    background: Tensor
    """(B, 3) in [0, 1]."""
    size: int

    @property
    def views(self) -> int:
        """B."""
        return len(self.background)

    def render(self, query: Query) -> Tensor:
        """All composites, one after the other: (composites * B, 3, size, size) in [0, 1]."""
        return torch.cat([self.picture(colour) for colour in colours(query)])

    def mask(self, values: Tensor) -> Tensor:
        """The views in one unlit value for each point, (N, 1), 0 around: (B, 1, size, size)."""
        nothing = torch.zeros_like(self.background[:, :1])
        return compose(values, torch.ones_like(self.shading), self.index, nothing, self.size)

    def picture(self, colour: Tensor) -> Tensor:
        """The views in one colour for each point, (N, 3): (B, 3, size, size) in [0, 1]."""
        return compose(colour, self.shading, self.index, self.background, self.size)


def look(surface: Surface, cameras: Cameras, size: int, background: Tensor) -> Look:
    """What `cameras` see of a surface. background (B, 3) in [0, 1]."""
    points, index = visible(surface, rasterise(surface, cameras, size))
    return Look(points, index, shade(points, cameras, index, size), background, size)


def paint(
    task: Task,
    how: Painting,
    painted: Fields,
    steps: int,
    seed: int,
    since: State | None = None,
) -> Iterator[Step]:
    """Train `painted` in place; yields after every step. Its value are two RMS, (2,): of how far
    what is seen has come from gray, and of the last stage's gradient.

    since: the state of an earlier run to go on from; `frozen` in it is stage I's result, where it
    is frozen by then. Raises NonFinite when a field stops being finite; the fields are then the
    last good ones.
    """
    parameters = list(painted.parameters())
    attached = attached_noise(seed, task.surface.vertices.device)
    frozen: Fields | None = None
    if since is not None and since["frozen"] is not None:
        frozen = _frozen(painted, since["frozen"])

    def gradient(index: int) -> Tensor:
        nonlocal frozen
        method = method_at(how, index, steps)
        detailed = method.lambda_2[1] > 0
        if not detailed:
            frozen = None
        elif how.cascade == "phases" and frozen is None:
            frozen = _frozen(painted, parameters)
        generator = step_generator(seed, index)
        value = _judge(task, how, method, painted, frozen, attached, generator, index, steps)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parallel.sum_(parameter.grad)
        return value

    optimizer = torch.optim.Adam(parameters, lr=how.rate)
    for step in optimize(gradient, parameters, optimizer, steps, since):
        kept = None if frozen is None else list(frozen.parameters())
        yield replace(step, state=lambda step=step, kept=kept: step.state() | {"frozen": kept})


def _judge(
    task: Task,
    how: Painting,
    method: csd.Method,
    painted: Fields,
    frozen: Fields | None,
    attached: AttachedNoise,
    generator: torch.Generator,
    index: int,
    steps: int,
) -> Tensor:
    """Render this process's views, ask about them, go back to the fields; what `paint` reports."""
    detailed = method.lambda_2[1] > 0
    size = render_size(task.cascade, detailed)
    cameras = sphere_views(how.views, generator)
    background = torch.rand(how.views, 3, generator=generator)
    mean_square = torch.zeros(2, device=task.surface.vertices.device)
    mine = parallel.share(how.views)
    if mine:
        seen = slice(mine.start, mine.stop)
        cameras = replace(cameras, position=cameras.position[seen])
        view = look(task.surface, cameras, size, background[seen].to(mean_square.device))
        query = task.asked(painted, view.points)
        renders = view.render(query)
        low = None if frozen is None else view.render(task.asked(frozen, view.points))
        every = torch.arange(len(task.prompts.rows) * how.views)
        rows = Rows(every.view(-1, how.views)[:, seen].flatten(), len(every))
        prompts = questions(task, how, len(mine))
        noise = None
        if share := how.attached * held(index / steps, FADE):
            count = len(task.prompts.rows)
            noise = partial(attached.mixed, view, share, style_of(count), count)
        asked = (task.cascade, method, prompts, renders, index, steps, generator, low, rows)
        told = contrast(task, how, view, query, index / steps)
        judged = csd.distill_cascade(*asked, noise_1=noise, contrast=told)
        judged.loss.backward()
        rms = judged.rms_1 if judged.rms_2 is None else judged.rms_2
        reported = torch.stack([losses.rms(painted_over(query)), rms])
        mean_square = reported.square() * len(mine) / how.views
    return parallel.sum_(mean_square).sqrt()


def held(progress: float, fade: float) -> float:
    """All until the last `fade` of a run, then less, to nothing; progress is 0 to 1."""
    return min(1.0, (1 - progress) / fade)


def contrast(
    task: Task, how: Painting, view: Look, query: Query, progress: float
) -> Contrast | None:
    """What the style's renders are told from, and where on them, at a point of the run."""
    unlike, first = task.prompts.unlike, style_of(len(task.prompts.rows)) * view.views
    if unlike is None or not how.contrast:
        return None
    everywhere = torch.ones_like(query.style[:, :1])
    part = everywhere if query.region is None else query.region.detach()
    rows = torch.arange(first, first + view.views, device=part.device)
    scale = how.contrast * held(progress, CONTRAST_FADE)
    return Contrast(rows, unlike, scale, view.mask(part))


def questions(task: Task, how: Painting, views: int) -> csd.Prompts:
    """What is asked of the renders of `views` views, in the order of `Look.render`."""
    rows = task.prompts.rows
    share = shares(len(rows), how.style_guidance)
    # Filled where it is used: a copy from the host would make every step wait.
    kind = dict(dtype=torch.float32, device=rows.device)
    filled = torch.stack([torch.full((), value, **kind) for value in share])
    return replace(task.prompts, share=filled).repeated(views)


@torch.no_grad()
def _frozen(painted: Fields, values: Sequence[Tensor]) -> Fields:
    """Fields like `painted` that are not trained, with these values of their parameters."""
    frozen = copy.deepcopy(painted).requires_grad_(False)
    for parameter, value in zip(frozen.parameters(), values, strict=True):
        parameter.copy_(value)
    return frozen


def render_size(cascade: csd.Cascade, detailed: bool) -> int:
    """Pixels along each side of a render: enough for both stages, or finer than stage I alone."""
    if detailed:
        return max(cascade.size_1, cascade.size_2)
    return max(cascade.size_1, min(SUPERSAMPLING * cascade.size_1, cascade.size_2))


def method_at(how: Painting, index: int, steps: int) -> csd.Method:
    """How the cascade is asked at step `index` of `steps`."""
    alone = round(how.detail_from * steps)
    detail = 0.0
    if index >= alone:
        detail = ramp(index - alone + 1, steps - alone + 1, how.detail)
    times = dict(times=(how.low, how.high), times_end=(how.low, how.high_end))
    method = csd.Method(
        lambda_2=(detail, detail),
        stage_1=csd.Asking(how.guidance_1, **times),
        stage_2=csd.Asking(how.guidance_2, **times),
        crop=how.crop,
    )
    if detail and how.cascade == "phases":
        return csd.second_phase(method)
    return method


def sample_atlases(textures: Sequence[Tensor], points: Points) -> Tensor:
    """Every point's value on its own texture. textures (C, h, w) each -> (N, C)."""
    values = points.uv.new_zeros(len(points.uv), len(textures[0]))
    for k, texture in enumerate(textures):
        here = points.atlas == k
        values[here] = sample(texture.permute(1, 2, 0).to(values.device), points.uv[here])
    return values
