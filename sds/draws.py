"""Random draws of a step whose rows several processes share.

Every process draws for all rows, in the same order, and picks its own: what is drawn for a row does
not depend on where it is. This module knows nothing about what is drawn for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """Which renders of a step are here; other processes have the others."""

    here: Tensor
    """(n,) long, on the CPU."""
    of: int

    def pick(self, drawn: Tensor) -> Tensor:
        """What was drawn for all renders, k times over: (k of, ...) -> (k n, ...)."""
        return drawn.unflatten(0, (-1, self.of))[:, self.here.to(drawn.device)].flatten(0, 1)


def levels(like: Tensor, bounds: tuple[int, int], generator: torch.Generator, rows: Rows) -> Tensor:
    """A whole number within `bounds`, both included, for each row of `like`, evenly: (N,) long."""
    low, high = bounds
    count = len(like) // len(rows.here) * rows.of
    drawn = torch.randint(low, high + 1, (count,), generator=generator, device=generator.device)
    return sent(rows.pick(drawn), like.device)


def noise(like: Tensor, generator: torch.Generator, rows: Rows) -> Tensor:
    """Standard normal, in the shape and dtype of `like` (k n, ...)."""
    count = len(like) // len(rows.here) * rows.of
    kind = dict(dtype=like.dtype, generator=generator, device=generator.device)
    return sent(rows.pick(torch.randn(count, *like.shape[1:], **kind)), like.device)


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """A copy on a device for which the host does not wait: not even for what is queued there."""
    if device.type == "cuda" and drawn.device.type == "cpu":
        drawn = drawn.pin_memory()
    return drawn.to(device, non_blocking=True)
