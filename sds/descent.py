"""From source latents to edited ones: the loop that every edit of latents shares.

    x <- x - rate * gate * finish(mean gradient(x, t_k)),   x = x_src at first, t_k falling, K moves
    rate = strength * min(RATE / K, 1) * (1 - (1 - REST) k / (K - 1))
    rate = strength * (1 - sigma_k+1 / sigma_k),   sigma = 0 in the end      along a flow

Early moves settle what is there, late ones its detail, as a sampler does. The gradient is in units
of x0: a move of rate 1 goes all the way the teacher sees. Every step asks once, and moves; or
several steps ask about the same x, each with its own noise, and the mean moves it (as FlowEdit's
n_avg): small moves can lead through what looks like nothing at all, such as an object in its
background's colour, and it is gone. For a flow the gradient is sigma times a velocity, so the
second rate makes x <- x + (sigma_k+1 - sigma_k) v: Euler steps of an ODE along the schedule, with
no learning rate. FlowEdit (2412.08629) is that at eta = 1. This module knows nothing about which
gradient it follows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.losses import rms
from sds.optimize import State, Step, optimize, step_generator
from sds.timesteps import descending

LOW, HIGH = 50, 600
"""Timesteps a run visits. DDS (2304.07090) goes to 950; above 600 the noise hides where the object
is, and the edit lands beside it."""
RATE = 10.0
"""The first move's learning rate at strength 1, times the number of moves; chosen by measurement on
the small world. A move of 1 goes all the way the teacher sees, so a single one is never longer."""
REST = 0.05
"""What is left of the rate at the last move; it falls linearly. The first moves decide what is
there, and late ones at full rate would put their own noise into every frame."""

Gradient = Callable[[Tensor, int, torch.Generator], Tensor]
"""From latents (1, C, F, h, w), a timestep and a step's randomness to what to descend along."""
Finish = Callable[[Tensor], Tensor]
"""From the mean of what a move's steps said to what to descend along."""


@dataclass(frozen=True)
class Descent(Step):
    """A step, and what it leads to."""

    ahead: Callable[[], Tensor]
    """x as it would be, did it move now: by the mean of what was said since it last moved."""


def descend(
    gradient: Gradient,
    x: Tensor,
    x_src: Tensor,
    steps: int,
    seed: int,
    strength: float = 1.0,
    gate: Tensor | None = None,
    low: int = LOW,
    high: int = HIGH,
    since: State | None = None,
    sigma: Tensor | None = None,
    moves: int = 0,
    finish: Finish = lambda gradient: gradient,
) -> Iterator[Descent]:
    """Move `x` in place; yields after every step. Its value are two RMS, (2,): of x - x_src before
    it, and of the gradient it asked for.

    x, x_src (1, C, F, h, w) fp32, gate broadcasts, 1 where the edit may happen. strength scales the
    rate; timesteps fall from `high` to `low`. since: the state of an earlier run to go on from.
    sigma: the noise levels (T,) of a flow's schedule, to move along them; None goes evenly.
    moves: how often x moves at most; 0 is at every step. finish: what becomes of a move's mean.
    Raises NonFinite when the latents stop being finite; they are then the last good ones.
    """
    moves = min(moves or steps, steps)
    visits = descending(moves, low, high).tolist()
    rates = falling_rates(moves) if sigma is None else euler_rates(sigma, visits)
    optimizer = torch.optim.SGD([x], lr=strength)
    asked, count = torch.zeros_like(x), 0
    if since is not None and "asked" in since:
        asked, count = since["asked"].to(x), since["count"]

    def mean() -> Tensor:
        g = finish(asked / count)
        return g if gate is None else gate * g

    def ahead() -> Tensor:
        return x - optimizer.param_groups[0]["lr"] * mean() if count else x

    def state(step: Step) -> State:
        return step.state() | dict(asked=asked, count=count)

    def fill(index: int) -> Tensor:
        nonlocal asked, count
        move = index * moves // steps
        optimizer.param_groups[0]["lr"] = strength * rates[move]
        said = gradient(x, visits[move], step_generator(seed, index))
        asked = asked + said
        count += 1
        if (index + 1) * moves // steps == move:
            # No move yet. What is not finite is seen by its RMS.
            x.grad = torch.zeros_like(x)
        else:
            x.grad = mean()
            asked, count = torch.zeros_like(x), 0
        return torch.stack([rms(x - x_src), rms(said)])

    for step in optimize(fill, [x], optimizer, steps, since):
        yield Descent(step.index, step.value, step.finite, lambda step=step: state(step), ahead)


def falling_rates(moves: int) -> list[float]:
    """Every move's learning rate at strength 1: from min(RATE / moves, 1) down to REST of that."""
    return (min(RATE / moves, 1) * torch.linspace(1, REST, moves, dtype=torch.float64)).tolist()


def euler_rates(sigma: Tensor, visits: Sequence[int]) -> list[float]:
    """The share of the way to the clean sample that each move goes, the last one all of it.

    sigma (T,): the schedule's noise levels, above 0 at every visit.
    """
    now = sigma[list(visits)].double().cpu()
    after = torch.cat([now[1:], now.new_zeros(1)])
    return (1 - after / now).tolist()
