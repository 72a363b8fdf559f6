"""Guidance away from a prompt much like one's own: it brings out what only one of the two says.

    d = eps(x_t; y) - eps(x_t; y'),   y "... a red dotted cap", y' "... a red cap"
    eps_hat + r (d - P <P, d> / <P, P>)

It is a negative prompt (Liu et al., 2206.01714) beside the guidance there is. That one, against
nothing at all, raises colour and pattern alike, and colours bear little of it. d is one-sided: y'
wants the second colour nowhere, so d would paint the part over with it. What moves the part P as a
whole is therefore taken out, channel by channel, and the pattern is left; that is ours. This module
knows nothing about renders or how scores are distilled.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Contrast:
    """How some rows of a batch are told from another prompt."""

    rows: Tensor
    """(M,) long: which."""
    scale: float
    """r; 0 changes nothing."""
    part: Tensor
    """P, (N, 1, S, S) in [0, 1]: where the two prompts differ, on every row. Resized to
    whatever it meets."""

    def repeated(self, times: int, of: int) -> "Contrast":
        """The same for a batch of `of` rows that comes `times` times over."""
        starts = of * torch.arange(times, device=self.rows.device)
        rows = (starts[:, None] + self.rows).flatten()
        return replace(self, rows=rows, part=self.part.repeat(times, 1, 1, 1))

    def added(self, eps_hat: Tensor, cond: Tensor, unlike: Tensor) -> Tensor:
        """Guided noise (N, C, h, w) with the contrast added to the rows it is about.

        cond (N, C, h, w): what the teacher says of the rows' own prompts; unlike (M, C, h, w): of
        the other.
        """
        d = cond[self.rows] - unlike
        part = interpolate(self.part[self.rows], d.shape[-2:], mode="area")
        area = part.square().sum((2, 3), keepdim=True).clamp(min=1e-6)
        whole = (part * d).sum((2, 3), keepdim=True) / area
        return eps_hat.index_add(0, self.rows, self.scale * (d - part * whole))
