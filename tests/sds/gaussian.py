"""A teacher whose answers are known in closed form.

If the data are N(mean, std^2) per pixel and x_t = alpha x + sigma eps, then x and x_t are jointly
Gaussian, and the best network answers the conditional expectation of its training target.
"""

from dataclasses import dataclass

from torch import Tensor

from sds.schedules import Schedule, eps_from_output


@dataclass(frozen=True)
class GaussianTeacher:
    """cond (N, 1, 1) is the mean that the prompt asks for."""

    schedule: Schedule
    std: float

    def output(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        shape = (-1, *[1] * (x_t.ndim - 1))
        alpha, sigma = self.schedule.alpha[t].view(shape), self.schedule.sigma[t].view(shape)
        surprise = (x_t - alpha * cond.view(shape)) / (alpha**2 * self.std**2 + sigma**2)
        x0 = cond.view(shape) + alpha * self.std**2 * surprise
        eps = sigma * surprise
        return {
            "epsilon": eps,
            "sample": x0,
            "v_prediction": alpha * eps - sigma * x0,
            "flow_prediction": eps - x0,
        }[self.schedule.prediction]

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return eps_from_output(self.schedule, self.output(x_t, t, cond), x_t, t)
