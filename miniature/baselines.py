"""The methods the benchmark compares: no edit, SDEdit, and the score-distillation family.

    SDEdit (2108.01073)   noise the source to t = strength T, then denoise for the target prompt
                          with DDIM (2010.02502): x0 = (x_t - sigma eps) / alpha,
                          x_t' = alpha' x0 + sigma' eps
    SDS (2209.14988)      sigma/alpha (eps_edit - eps); the edit's own weight in place of sigma^2,
                          so that the two differ only in what is subtracted
    DDS, ASSD             `sds.assd` with and without its parts

All of them ask the same video teacher and come to a picture as the video job does
(`pipelines.clip.change`), so that what the autoencoder loses is held against none. SDS, DDS and
ASSD take the same steps at the same rate as that job. Of ASSD what the teacher says and the change
are steadied along the motion, of DDS where its name says so. This module knows nothing about right
answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pipelines.clip.change import edited, steadied
from pipelines.clip.motion import Motion, motion
from pipelines.teachers.loaded import LoadedVideoTeacher
from pipelines.teachers.teacher import Recipe
from sds import losses
from sds.assd import DDS, Method, Prompts, assd_score, finished
from sds.descent import Gradient, descend
from sds.guidance import Branch, guided
from sds.optimize import step_generator
from sds.priors import Prior
from sds.schedules import add_noise, at, x0_from_eps

STRENGTHS = (0.4, 0.6, 0.8)
GUIDANCE = 2.0
"""Of SDEdit and SDS, which draw the whole picture anew and not a difference."""
SDEDIT_STEPS = 25
"""DDIM steps of SDEdit at strength 1; it takes strength times as many."""
EVERYWHERE = -1e6
"""mask_k that lets the adaptive mask take all that varies at all."""


@dataclass(frozen=True, eq=False)
class Task:
    """What every method is given."""

    frames: Tensor
    """(F, 3, H, W) in [0, 1]."""
    x_src: Tensor
    """(1, C, F, h, w) fp32, their latents."""
    prompts: Prompts
    seed: int

    @cached_property
    def motion(self) -> Motion:
        """How the clip moves on the latents' grid, looked for once for all methods."""
        return motion(self.frames, self.x_src)


EditFunction = Callable[[Task], Tensor]
"""From a task to the edited frames, (F, 3, H, W) in [0, 1]."""


def sds_gradient(prior: Prior, prompts: Prompts, guidance: float) -> Gradient:
    """SDS on one teacher; its own noise is what the teacher's answer is compared with."""

    def gradient(x: Tensor, t: int, generator: torch.Generator) -> Tensor:
        times = torch.tensor([t], device=x.device)
        eps = _noise(x, generator)
        x_t = add_noise(prior.schedule, x, eps, times)
        (eps_hat,) = guided(prior, [Branch(x_t, prompts.target, prompts.empty, guidance)], times)
        weight = prior.schedule.sigma / prior.schedule.alpha
        return losses.sds(eps_hat, eps, at(weight, times, x.ndim))

    return gradient


def sdedit(
    prior: Prior,
    prompts: Prompts,
    x_src: Tensor,
    strength: float,
    guidance: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """SDEdit with `steps` DDIM steps from t = strength T to clean. x_src (1, C, F, h, w) -> same.

    Raises ValueError when the strength names no timestep or there is no step.
    """
    start = round(strength * len(prior.schedule))
    if not 0 < start < len(prior.schedule) or not 0 < steps <= start:
        raise ValueError(
            f"strength {strength} with {steps} steps; give a strength between 0 and 1 and from 1 "
            "to strength T steps"
        )
    visits = torch.linspace(start, 0, steps + 1, dtype=torch.float64).round().long()
    times = visits[:-1].to(x_src.device).split(1)
    eps = _noise(x_src, generator)
    x = x_src
    for t in times:
        # The noise of the last prediction, scaled to the next timestep: eta = 0.
        x_t = add_noise(prior.schedule, x, eps, t)
        (eps,) = guided(prior, [Branch(x_t, prompts.target, prompts.empty, guidance)], t)
        x = x0_from_eps(prior.schedule, eps, x_t, t)
    return x


def no_edit(task: Task) -> Tensor:
    """The source itself: what every method has to beat."""
    return task.frames


def by_sdedit(loaded: LoadedVideoTeacher, strength: float, guidance: float) -> EditFunction:
    def function(task: Task) -> Tensor:
        generator = step_generator(task.seed, 0)
        steps = max(round(strength * SDEDIT_STEPS), 1)
        prior = loaded.teachers.video
        x = sdedit(prior, task.prompts, task.x_src, strength, guidance, steps, generator)
        return _pictures(loaded, task, x, steady=1)

    return function


def by_sds(loaded: LoadedVideoTeacher, guidance: float, recipe: Recipe, steps: int) -> EditFunction:
    """recipe: the noise levels it visits and how often it moves are this one's."""

    def function(task: Task) -> Tensor:
        gradient = sds_gradient(loaded.teachers.video, task.prompts, guidance)
        # None of ASSD's parts is SDS's.
        plain = replace(recipe, method=DDS, steady=1)
        return _descended(loaded, task, gradient, plain, steps)

    return function


def by_method(loaded: LoadedVideoTeacher, recipe: Recipe, steps: int) -> EditFunction:
    """The video job's own edit: DDS, ASSD, or ASSD with other settings."""
    method = recipe.method

    def function(task: Task) -> Tensor:
        flows = task.motion.flows if method.smooth_along_flow else None

        def gradient(x: Tensor, t: int, generator: torch.Generator) -> Tensor:
            asked = (loaded.teachers, task.prompts, method, x, task.x_src, t, generator, flows)
            return assd_score(*asked).said

        return _descended(loaded, task, gradient, recipe, steps)

    return function


def variations(method: Method) -> dict[str, Method]:
    """`method` without each of the parts it has, and with its smoothing laid out the other way."""
    found = {}
    if method.smoothing != "off":
        found["assd-no-smoothing"] = replace(method, smoothing="off")
        found["assd-smooth-everywhere"] = replace(method, mask_k=EVERYWHERE)
        along = not method.smooth_along_flow
        name = "assd-smooth-along-flow" if along else "assd-smooth-in-place"
        found[name] = replace(method, smooth_along_flow=along)
    if method.joint:
        found["assd-no-joint"] = replace(method, joint=0.0)
    if method.fusion != 1:
        found["assd-no-fusion"] = replace(method, fusion=1.0)
    if method.focus:
        found["assd-no-focus"] = replace(method, focus=0.0)
    if method.anchor:
        found["assd-no-anchor"] = replace(method, anchor=0.0)
    return found


def methods(loaded: LoadedVideoTeacher, recipe: Recipe, steps: int) -> dict[str, EditFunction]:
    """Every method of the benchmark by name, at the recipe's noise levels.

    The recipe's method is the ASSD they are compared with.
    """
    found: dict[str, EditFunction] = {"no-edit": no_edit}
    found |= {f"sdedit-{s}": by_sdedit(loaded, s, GUIDANCE) for s in STRENGTHS}
    found["sds"] = by_sds(loaded, GUIDANCE, recipe, steps)
    settings = {"assd": recipe.method, **variations(recipe.method)}
    recipes = {"dds": replace(recipe, method=DDS, steady=1)}
    recipes |= {name: replace(recipe, method=method) for name, method in settings.items()}
    if recipe.steady != 1:
        recipes["assd-no-steadying"] = replace(recipe, steady=1)
        recipes["dds-steadied"] = replace(recipe, method=DDS)
    return found | {name: by_method(loaded, r, steps) for name, r in recipes.items()}


def _descended(
    loaded: LoadedVideoTeacher, task: Task, gradient: Gradient, recipe: Recipe, steps: int
) -> Tensor:
    """The video job's own loop and its own way to a picture."""
    x = task.x_src.clone()
    asked = (gradient, x, task.x_src, steps, task.seed)
    levels = dict(low=recipe.low, high=recipe.high, moves=recipe.moves)

    def finish(said: Tensor) -> Tensor:
        return finished(recipe.method, task.motion.mean(said, recipe.steady), x, task.x_src)

    for _ in descend(*asked, **levels, finish=finish):
        pass
    return _pictures(loaded, task, x, recipe.steady)


def _pictures(loaded: LoadedVideoTeacher, task: Task, x: Tensor, steady: int) -> Tensor:
    """The frames that edited latents stand for, as the video job has them: source plus change."""
    before = loaded.pictures(task.x_src)
    change = steadied(loaded.pictures(x) - before, task.frames, steady)
    return edited(task.frames, before, change)


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=generator.device).to(x.device)
