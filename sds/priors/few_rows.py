"""A teacher asked about one row at a time: for less memory, or by several processes.

While attention is fused the rows of a batch are two halves, [reference; edit] (`guidance.guided`),
and one looks at the other: row k then goes with row k of the other half. This module knows nothing
about which family the teacher is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sds import parallel
from sds.attention import is_fused
from sds.priors import VideoPrior
from sds.schedules import Schedule


@dataclass(frozen=True)
class FewRows:
    """A video teacher that never sees more than one row, or two where they look at each other."""

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
        calls = -(-len(x_t) // 2) if is_fused(self.network) else len(x_t)
        out = torch.zeros_like(x_t, dtype=torch.float32)
        for k in parallel.share(calls) if self.shared else range(calls):
            out[k::calls] = self.video.eps(x_t[k::calls], t[k::calls], cond[k::calls])
        return parallel.sum_(out) if self.shared else out
