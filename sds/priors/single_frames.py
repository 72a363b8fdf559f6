"""A video teacher asked about one frame at a time: the image teacher of joint guidance.

ASSD adds the gradient of a text-to-image model that shares the video model's latent space. Where no
such model exists, as for video transformers, the video model itself is asked about clips of one
frame: it was trained on pictures too, or sees a still. In a causal latent space a frame's latent is
then read as that of a first frame. This module knows nothing about which family the teacher is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sds.priors import Prior
from sds.priors.calls import evenly
from sds.schedules import Schedule


@dataclass(frozen=True)
class SingleFrames:
    """A teacher for the frames of a clip, each on its own."""

    video: Prior
    frames_per_call: int
    """Frames of each row that go through the network together, at most; lower it to save memory."""

    @property
    def schedule(self) -> Schedule:
        """The video teacher's."""
        return self.video.schedule

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, F, H, W), t (N,) long, cond (N, L, D) -> eps (N, C, F, H, W) fp32."""
        parts = evenly(self.frames_per_call, x_t, dim=2)
        return torch.cat([self._frames(part, t, cond) for (part,) in parts], dim=2)

    def _frames(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        n, _, f = x_t.shape[:3]
        # Rows outside, frames inside: the first half of the rows stays the first half of the batch.
        folded = x_t.transpose(1, 2).flatten(0, 1).unsqueeze(2)
        each = [v.repeat_interleave(f, dim=0) for v in (t, cond)]
        return self.video.eps(folded, *each).squeeze(2).unflatten(0, (n, f)).transpose(1, 2)
