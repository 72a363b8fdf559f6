"""The two stages of a cascade of image teachers, whatever they draw on.

    stage I    eps(x_t, t, y)              text to a small image
    stage II   eps(x_t, t, y, low_s, s)    to a larger one, given a small one noised at level s

Stage II sees [x_t, low_s] as its channels and s as its class label (Imagen, 2205.11487, section
2.4). Models that also predict a variance (2102.09672) answer with twice the channels of x_t; the
second half is dropped. Networks may run in bf16; images, timesteps and predictions stay fp32 and
integer. This module knows nothing about losses, guidance or where the networks come from.
"""

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from sds.priors.calls import evenly
from sds.schedules import Schedule, eps_from_output, model_time


@dataclass(frozen=True)
class StageOnePrior:
    """A text-to-image teacher on pixels or latents."""

    unet: UNet2DConditionModel
    schedule: Schedule
    rows_per_call: int
    """Images that go through the network together, at most; lower it to save memory."""

    @property
    def size(self) -> int:
        """Cells along each side of what it was trained on."""
        return self.unet.config.sample_size

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, H, W), t (N,) long, cond (N, L, D) -> eps (N, C, H, W) fp32."""
        rows = evenly(self.rows_per_call, x_t, t, cond)
        return torch.cat([_eps(self.unet, self.schedule, *parts) for parts in rows])


@dataclass(frozen=True)
class StageTwoPrior:
    """A super-resolution teacher on pixels or latents."""

    unet: UNet2DConditionModel
    schedule: Schedule
    low_schedule: Schedule
    """What the levels s of the low-resolution image's noise mean."""
    rows_per_call: int
    """Images that go through the network together, at most; lower it to save memory."""

    @property
    def size(self) -> int:
        """Cells along each side of what its pipeline draws."""
        return self.unet.config.sample_size

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor, low_s: Tensor, s: Tensor) -> Tensor:
        """x_t (N, C, H, W), low_s (N, 3, H, W), t, s (N,) long, cond (N, L, D) -> eps like x_t.

        low_s is the low-resolution image, brought to H x W and then noised at level s.
        """
        rows = evenly(self.rows_per_call, x_t, t, cond, low_s, s)
        return torch.cat([_eps(self.unet, self.schedule, *parts) for parts in rows])


def _eps(
    unet: UNet2DConditionModel,
    schedule: Schedule,
    x_t: Tensor,
    t: Tensor,
    cond: Tensor,
    low_s: Tensor | None = None,
    s: Tensor | None = None,
) -> Tensor:
    seen = x_t if low_s is None else torch.cat([x_t, low_s], dim=1)
    output = unet(
        seen.to(unet.dtype),
        model_time(schedule, t),
        encoder_hidden_states=cond.to(unet.dtype),
        class_labels=s,
        return_dict=False,
    )[0]
    return eps_from_output(schedule, output[:, : x_t.shape[1]].float(), x_t.float(), t)
