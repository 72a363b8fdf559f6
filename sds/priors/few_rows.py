"""A teacher asked about one row of each branch at a time: for less memory, or by several processes.

The rows of a batch come in two halves, [reference; edit] (`guidance.guided`), and attention fusion
looks from one half to the other: so row k goes with row k of the other half. This module knows
nothing about which family the teacher is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sds import parallel
from sds.priors import VideoPrior
from sds.schedules import Schedule


@dataclass(frozen=True)
class FewRows:
    """A video teacher that never sees more than two rows."""

    video: VideoPrior
    shared: bool = False
    """Whether all processes are asked this, and each answers for some of the rows."""

    @property
    def schedule(self) -> Schedule:
        """The teacher's."""
        return self.video.schedule

    @property
    def network(self) -> nn.Module:
        """The teacher's."""
        return self.video.network

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, F, H, W), t (N,) long, cond (N, L, D) -> eps (N, C, F, H, W) fp32."""
        half = -(-len(x_t) // 2)
        out = torch.zeros_like(x_t, dtype=torch.float32)
        for k in parallel.share(half) if self.shared else range(half):
            out[k::half] = self.video.eps(x_t[k::half], t[k::half], cond[k::half])
        return parallel.sum_(out) if self.shared else out
