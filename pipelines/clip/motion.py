"""How a clip moves on its latents' grid, and the mean along that of what teachers say.

    said_i <- sum_j w_ij warp(said_j) / sum_j w_ij      over the frames j near i (`steady_mean`)

Each frame is asked with a noise of its own, so that the mean along the motion is one over several
noises, at no cost: what an edit is about stays, and each answer's own error does not. The third
version of ASSD (2406.04888) smooths its gradient along the optical flow too. This module knows
nothing about what the teachers are asked.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from pipelines.clip.flow import optical_flow
from sds import optical_flow as flows_of
from sds.optical_flow import Flows
from sds.temporal import steady_mean


@dataclass(frozen=True, eq=False)
class Motion:
    """What a clip shows on the latents' grid, and how that moves."""

    shown: Tensor
    """(f, 3, h, w) in [0, 1]: the last frame of each latent one."""
    flows: Flows
    """Between one of them and the next, in cells."""
    stride: int
    """Frames from one of them to the next."""

    def mean(self, said: Tensor, size: int) -> Tensor:
        """The mean over about `size` frames of the clip, an odd number: (1, C, f, h, w) -> same."""
        if averaged(size, self.stride) == 1:
            return said
        rows = said[0].transpose(0, 1)
        mean = steady_mean(rows, self.shown, self.flows, averaged(size, self.stride))
        return mean.transpose(0, 1)[None]


def averaged(size: int, stride: int) -> int:
    """Of how many latents of `stride` frames a mean over about `size` frames is; 1 is none."""
    return 2 * (size // 2 // stride) + 1


def motion(frames: Tensor, x: Tensor, stride: int = 1) -> Motion:
    """The motion of a clip (F, 3, H, W) in [0, 1] on the grid of its latents x (1, C, f, h, w).

    It is where x is. Latent k holds frame `stride` k and those before it since the last one.
    """
    count, *grid = x.shape[2:]
    shown = held(frames, count, stride)
    if count > 1:
        flows = flows_of.resize(optical_flow(shown), grid).to(x.device)
    else:
        flows = Flows(*[x.new_zeros(0, 2, *grid)] * 2)
    return Motion(adaptive_avg_pool2d(shown, grid).to(x.device), flows, stride)


def held(frames: Tensor, count: int, stride: int) -> Tensor:
    """The last frame of each of `count` latents: (F, ...) -> (count, ...)."""
    return frames[[min(stride * k, len(frames) - 1) for k in range(count)]]
