"""What the second stage of a cascade is shown: a small picture, brought up and noised at a level.

    low_s = alpha(s) up(z) + sigma(s) eps'

and, where it judges a crop only, the same square of both. A stage that has been shown its pictures
is a prior like any other. This module knows nothing about the first stage or how scores are
distilled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sds.draws import Rows
from sds.schedules import Schedule, add_noise

GRAIN = 16
"""What the side of a crop is a multiple of: networks halve pictures several times."""


class SuperResolutionPrior(Protocol):
    """A frozen diffusion model that is also shown a noised low-resolution image."""

    @property
    def schedule(self) -> Schedule:
        """The noise schedule of the image, on the model's device."""
        ...

    @property
    def low_schedule(self) -> Schedule:
        """The noise schedule of the low-resolution image, on the model's device."""
        ...

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor, low_s: Tensor, s: Tensor) -> Tensor:
        """The noise in x_t, without guidance and without autograd.

        x_t (N, C, H, W) images in [-1, 1] or latents, low_s (N, 3, H, W) in [-1, 1], both noised,
        t, s (N,) long, cond (N, L, D) prompt embeddings. Returns (N, C, H, W) fp32.
        """
        ...


@dataclass(frozen=True)
class Shown:
    """Stage II once it has been shown its low-resolution images: a plain prior."""

    prior: SuperResolutionPrior
    low_s: Tensor
    """(N, 3, H, W): upsampled, in [-1, 1], then noised at level s."""
    s: Tensor
    """(N,) long."""
    again: Tensor | None = None
    """(M,) long: the images that it is asked about once more, after all others."""

    @property
    def schedule(self) -> Schedule:
        """That of the images it is asked about."""
        return self.prior.schedule

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (k N + M, C, H, W), t (k N + M,), cond (k N + M, L, D) -> eps (k N + M, C, H, W).

        k blocks of the images, then those asked about again.
        """
        again = self.s.new_empty(0) if self.again is None else self.again
        blocks = (len(x_t) - len(again)) // len(self.s)
        low_s = torch.cat([self.low_s.repeat(blocks, 1, 1, 1), self.low_s[again]])
        s = torch.cat([self.s.repeat(blocks), self.s[again]])
        return self.prior.eps(x_t, t, cond, low_s, s)


@torch.no_grad()
def show(prior: SuperResolutionPrior, low: Tensor, size: int, s: Tensor, eps: Tensor) -> Shown:
    """Bring low (N, 3, h, w) in [-1, 1] to size, noise it with eps (N, 3, size, size) at s (N,).

    Bilinear and from corner to corner, as IFSuperResolutionPipeline does it.
    """
    up = interpolate(low, (size, size), mode="bilinear", align_corners=True)
    return Shown(prior, add_noise(prior.low_schedule, up, eps, s), s)


@dataclass(frozen=True)
class Squares:
    """A square of each of some pictures, of equal size.

    Squares go on at the other side of a picture, so that its edge is seen as often as its middle;
    around a rendered object, both sides show one plain background.
    """

    size: int
    corners: Sequence[tuple[int, int]]
    """Of each picture. Plain numbers: places on a device would make a step wait."""

    def cut(self, pictures: Tensor) -> Tensor:
        """(k N, C, H, H), k times all of them -> (k N, C, size, size)."""
        if pictures.shape[-1] == self.size:
            return pictures
        places = [*self.corners] * (len(pictures) // len(self.corners))
        pairs = zip(pictures, places, strict=True)
        size = self.size
        return torch.stack(
            [row.roll((-i, -j), dims=(1, 2))[:, :size, :size] for row, (i, j) in pairs]
        )


def squares(side: int, share: float, generator: torch.Generator, rows: Rows) -> Squares:
    """A square of each picture of a side at a random place: share of it, to the nearest GRAIN.

    Where that is the whole picture, nothing is drawn.
    """
    size = max(GRAIN * round(share * side / GRAIN), min(GRAIN, side))
    if size >= side:
        return Squares(side, [(0, 0)] * len(rows.here))
    corners = torch.randint(side, (rows.of, 2), generator=generator, device=generator.device)
    return Squares(size, rows.pick(corners).tolist())
