"""From source latents to edited ones: the loop that every edit of latents shares.

    x <- x - rate * gate * gradient(x, t_k),   x = x_src at first, t_k from high noise to low
    rate = strength * min(RATE / steps, 1) * (1 - (1 - REST) k / (steps - 1))
    rate = strength * (1 - sigma_k+1 / sigma_k),   sigma = 0 in the end      along a flow

Early steps settle what is there, late ones its detail, as a sampler does. The gradient is in units
of x0: a step of rate 1 goes all the way the teacher sees. For a flow that is sigma times a
velocity, so the second rate makes x <- x + (sigma_k+1 - sigma_k) v: Euler steps of an ODE along the
schedule, with no learning rate. FlowEdit (2412.08629) is that at eta = 1. This module knows nothing
about which gradient it follows.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sds.losses import rms
from sds.optimize import State, Step, optimize, step_generator
from sds.timesteps import descending

LOW, HIGH = 50, 600
"""Timesteps a run visits. DDS (2304.07090) goes to 950; above 600 the noise hides where the object
is, and the edit lands beside it."""
RATE = 10.0
"""The first step's learning rate at strength 1, times the number of steps; chosen by measurement on
the small world. A step of 1 goes all the way the teacher sees, so a single one is never longer."""
REST = 0.05
"""What is left of the rate at the last step; it falls linearly. The first steps decide what is
there, and late ones at full rate would put their own noise into every frame."""

Gradient = Callable[[Tensor, int, torch.Generator], Tensor]
"""From latents (1, C, F, h, w), a timestep and a step's randomness to what to descend along."""


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
) -> Iterator[Step]:
    """Move `x` in place; yields after every step, whose value is the RMS of x - x_src before it.

    x, x_src (1, C, F, h, w) fp32, gate broadcasts, 1 where the edit may happen. strength scales the
    rate; timesteps fall from `high` to `low`. since: the state of an earlier run to go on from.
    sigma: the noise levels (T,) of a flow's schedule, to step along them; None takes even steps.
    Raises NonFinite when the latents stop being finite; they are then the last good ones.
    """
    visits = descending(steps, low, high).tolist()
    rates = falling_rates(steps) if sigma is None else euler_rates(sigma, visits)
    optimizer = torch.optim.SGD([x], lr=strength)

    def fill(index: int) -> Tensor:
        optimizer.param_groups[0]["lr"] = strength * rates[index]
        g = gradient(x, visits[index], step_generator(seed, index))
        x.grad = g if gate is None else gate * g
        return rms(x - x_src)

    yield from optimize(fill, [x], optimizer, steps, since)


def falling_rates(steps: int) -> list[float]:
    """Every step's learning rate at strength 1: from min(RATE / steps, 1) down to REST of that."""
    return (min(RATE / steps, 1) * torch.linspace(1, REST, steps, dtype=torch.float64)).tolist()


def euler_rates(sigma: Tensor, visits: Sequence[int]) -> list[float]:
    """The share of the way to the clean sample that each Euler step goes, the last one all of it.

    sigma (T,): the schedule's noise levels, above 0 at every visit.
    """
    now = sigma[list(visits)].double().cpu()
    after = torch.cat([now[1:], now.new_zeros(1)])
    return (1 - after / now).tolist()
