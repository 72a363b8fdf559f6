"""Noise that stays where it is on the surface, view after view and step after step.

    n(p) = table[hash(floor(p / cell))],   eps = sqrt(share) n + sqrt(1 - share) fresh

A teacher that is not told where a pattern lies answers fresh noise with the mean of all the places
it may lie at, and the mean of stripes is mud. Noise that goes with the surface makes one place the
likely one in every view, as the start of a sampler does, and the pattern gathers there. Noise that
moves with what is seen: Chang et al., "How I Warped Your Noise" (ICLR 2024). A cell is about as
large as a pixel of the stage's, so that neighbours in a picture are all but independent. This
module knows nothing about teachers, nor about fields.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipelines.render import Points

ENTRIES = 2**16
"""Of the table that cells are hashed into."""
PRIMES = (73_856_093, 19_349_663, 83_492_791)
"""Teschner et al., "Optimized spatial hashing" (2003)."""
NEXT_CHANNEL = 7_919
"""Entries between one channel's value and the next."""
FADE = 0.3
"""Share of the run, its last, over which the noise lets go: fresh noise settles the colours."""
PATTERN_FADE = 18
"""Steps, at most, over which it lets go of a pattern: more of fresh noise turns that to mud."""
CELL = 2.2
"""Edge of a cell, times the pixels along a picture's side: the unit ball just fits the picture."""


class Shown(Protocol):
    """What B views show of the surface, as `visible` gives it for pictures of `size` pixels."""

    points: Points
    index: Tensor
    """(N,) long: each point's pixel."""
    size: int
    views: int


@dataclass(frozen=True, eq=False)
class AttachedNoise:
    """The noise of one run's surface."""

    table: Tensor
    """(ENTRIES,) standard normal."""

    def at(self, position: Tensor, channels: int, cell: float) -> Tensor:
        """The noise at points of the unit ball, (N, 3) -> (N, channels) standard normal."""
        corner = (position / cell).floor().long()
        x, y, z = (corner[:, k] * prime for k, prime in enumerate(PRIMES))
        step = NEXT_CHANNEL * torch.arange(channels, device=position.device)
        return self.table[((x ^ y ^ z)[:, None] + step) % ENTRIES]

    def mixed(self, shown: Shown, share: float, composite: int, of: int, fresh: Tensor) -> Tensor:
        """`fresh` with the surface's noise as a share of the variance of one composite's.

        fresh (k of B, C, h, h) standard normal, for B views of each of `of` composites, k times
        over. The noise of the other composites, and of what shows no surface, stays. Like `fresh`.
        """
        side, size = fresh.shape[-1], shown.size
        # Which point the middle of each of the noise's pixels shows; -1 is the background.
        point = shown.index.new_full((shown.views * size**2,), -1)
        point[shown.index] = torch.arange(len(shown.index), device=point.device)
        middle = ((torch.arange(side, device=point.device) + 0.5) * size / side).long()
        point = point.view(-1, size, size)[:, middle][:, :, middle]
        values = self.at(shown.points.position, fresh.shape[1], CELL / side)
        # The last row stands for the background: there may be nothing else to see.
        attached = torch.cat([values, values.new_zeros(1, values.shape[1])])[point].movedim(-1, 1)
        blocks = list(fresh.split(shown.views))
        for k in range(composite, len(blocks), of):
            mixed = share**0.5 * attached + (1 - share) ** 0.5 * blocks[k]
            blocks[k] = torch.where(point[:, None] >= 0, mixed, blocks[k])
        return torch.cat(blocks)


def attached_noise(seed: int, device: torch.device) -> AttachedNoise:
    """The noise that a seed gives."""
    generator = torch.Generator().manual_seed(seed)
    return AttachedNoise(torch.randn(ENTRIES, generator=generator).to(device))
