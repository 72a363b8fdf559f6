"""How a batch is cut into the calls of a network.

    24 rows, at most 16 together     12 + 12, not 16 + 8

Calls of equal size fill a GPU alike, and compiled blocks have code for each size that comes. The
frames of a clip become rows where each is looked at on its own. This module knows nothing about
networks.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Eps = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of x_t (B, C, H, W), t (B,) and cond (B, L, D): the noise, (B, C, H, W)."""


def evenly(limit: int, *tensors: Tensor, dim: int = 0) -> Iterator[tuple[Tensor, ...]]:
    """All tensors cut along `dim`, of which they are equally long, into as few parts as `limit`
    allows. The parts are equally long, or differ by one."""
    parts = -(-tensors[0].shape[dim] // limit)
    return zip(*(tensor.tensor_split(parts, dim) for tensor in tensors), strict=True)


def frame_by_frame(limit: int, eps: Eps, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
    """What `eps` sees in each frame on its own, at most `limit` frames of each row in a call.

    x_t (N, C, F, H, W), t (N,), cond (N, L, D) -> (N, C, F, H, W).
    """

    def asked(part: Tensor) -> Tensor:
        n, _, f = part.shape[:3]
        # Rows outside, frames inside: the first half of the rows stays the first half of the batch.
        folded = part.transpose(1, 2).flatten(0, 1)
        each = (v.repeat_interleave(f, dim=0) for v in (t, cond))
        return eps(folded, *each).unflatten(0, (n, f)).transpose(1, 2)

    return torch.cat([asked(part) for (part,) in evenly(limit, x_t, dim=2)], dim=2)
