"""alpha(t), sigma(t), noising, and the one place where parametrisations are converted.

    x_t = alpha(t) x + sigma(t) eps

A network may predict the noise eps, the clean sample x0, the velocity of Salimans & Ho
(2202.00512), v = alpha eps - sigma x, or the velocity of a flow (2209.03003), v = eps - x with
alpha = 1 - sigma. Everything else in `sds` speaks eps.

Tables are fp32 and timesteps are integers: bf16 would turn 745 into 744. This module knows
nothing about networks, guidance or losses.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample", "flow_prediction"]
PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "v_prediction", "sample", "flow_prediction")


@dataclass(frozen=True)
class Schedule:
    """A noise schedule, and what the network that was trained on it predicts."""

    alpha: Tensor
    """Signal scale, (T,) fp32."""
    sigma: Tensor
    """Noise scale, (T,) fp32, rising with t."""
    prediction: Prediction
    """What the network's raw output means."""

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction {self.prediction!r} is unknown; use one of {PREDICTIONS}")
        if self.alpha.ndim != 1 or self.alpha.shape != self.sigma.shape:
            raise ValueError(
                f"alpha {tuple(self.alpha.shape)} and sigma {tuple(self.sigma.shape)} "
                "must both have shape (T,)"
            )

    def __len__(self) -> int:
        return len(self.alpha)

    def to(self, device: torch.device | str) -> "Schedule":
        """The same schedule with its tables on `device`, where the timesteps will be."""
        return replace(self, alpha=self.alpha.to(device), sigma=self.sigma.to(device))


def ddpm(alphas_cumprod: Tensor, prediction: Prediction = "epsilon") -> Schedule:
    """Variance preserving schedule (2006.11239): alpha^2 + sigma^2 = 1.

    alphas_cumprod (T,): the cumulative product of 1 - beta, in [0, 1].
    """
    bar = alphas_cumprod.detach().double()
    return Schedule(bar.sqrt().float(), (1 - bar).sqrt().float(), prediction)


def flow(steps: int = 1000, shift: float = 1.0) -> Schedule:
    """Straight-line schedule alpha = 1 - sigma, where t = k means sigma = k / steps.

    shift: above 1 spends more of the timesteps on high noise (2403.03206, eq. 23). The table
    starts at sigma = 0 and stops one step short of pure noise, so that x0 always exists.
    """
    s = torch.arange(steps, dtype=torch.float64) / steps
    s = shift * s / (1 + (shift - 1) * s)
    return Schedule((1 - s).float(), s.float(), "flow_prediction")


def at(table: Tensor, t: Tensor, ndim: int) -> Tensor:
    """Entries of a (T,) table at integer t (N,), shaped (N, 1, ...) to broadcast over `ndim` dims.

    Raises TypeError when t is not an integer tensor.
    """
    if t.is_floating_point() or t.dtype == torch.bool:
        raise TypeError(f"timesteps are {t.dtype}; keep them torch.long (bf16 turns 745 into 744)")
    return table[t].view(-1, *[1] * (ndim - 1))


def model_time(schedule: Schedule, t: Tensor) -> Tensor:
    """The number the network's time embedding wants for integer t (N,).

    That is t itself, except for flows, whose clock is sigma: T sigma(t), which is t at shift 1.
    """
    if schedule.prediction == "flow_prediction":
        return len(schedule) * at(schedule.sigma, t, 1)
    return t


def add_noise(schedule: Schedule, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """x_t = alpha x + sigma eps. x, eps (N, ...), t (N,) long -> (N, ...)."""
    return at(schedule.alpha, t, x.ndim) * x + at(schedule.sigma, t, x.ndim) * eps


def x0_from_eps(schedule: Schedule, eps: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The clean sample that eps (N, ...) implies at x_t: (x_t - sigma eps) / alpha.

    Undefined (inf) where alpha is 0, the last step of a zero-terminal-SNR schedule.
    """
    return (x_t - at(schedule.sigma, t, x_t.ndim) * eps) / at(schedule.alpha, t, x_t.ndim)


def eps_from_output(schedule: Schedule, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The network's raw output (N, ...) at x_t (N, ...), t (N,) -> eps (N, ...)."""
    alpha, sigma = at(schedule.alpha, t, x_t.ndim), at(schedule.sigma, t, x_t.ndim)
    match schedule.prediction:
        case "epsilon":
            return output
        case "sample":
            return (x_t - alpha * output) / sigma
        case "v_prediction":
            # x_t and v are a rotation of x and eps, so divide by its squared radius (1 for ddpm).
            return (alpha * output + sigma * x_t) / (alpha.square() + sigma.square())
        case "flow_prediction":
            return x_t + alpha * output


def target(schedule: Schedule, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """What the network should output for x and eps (N, ...) at t (N,): the training target."""
    match schedule.prediction:
        case "epsilon":
            return eps
        case "sample":
            return x
        case "v_prediction":
            return at(schedule.alpha, t, x.ndim) * eps - at(schedule.sigma, t, x.ndim) * x
        case "flow_prediction":
            return eps - x
