"""A video teacher asked about one frame at a time: the image teacher of joint guidance.

ASSD adds the gradient of a text-to-image model that shares the video model's latent space. Where no
such model exists, as for video transformers, the video model itself is asked about clips of one
frame: it was trained on pictures too, or sees a still. In a causal latent space a frame's latent is
then read as that of a first frame. This module knows nothing about which family the teacher is.
"""

from dataclasses import dataclass

from torch import Tensor

from sds.priors import Prior
from sds.priors.calls import frame_by_frame
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
        return frame_by_frame(self.frames_per_call, self._eps, x_t, t, cond)

    def _eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return self.video.eps(x_t.unsqueeze(2), t, cond).squeeze(2)
