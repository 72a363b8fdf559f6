"""What the second stage of a cascade is shown: a small picture, brought up and noised at a level.

    low_s = alpha(s) up(z) + sigma(s) eps'

and, where it judges a crop only, the same square of both. A stage that has been shown its pictures
is a prior like any other. This module knows nothing about the first stage or how scores are
distilled.
"""

from dataclasses import dataclass, replace
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

    @property
    def schedule(self) -> Schedule:
        """That of the images it is asked about."""
        return self.prior.schedule

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (k N, C, H, W), t (k N,), cond (k N, L, D), in k blocks -> eps (k N, C, H, W)."""
        blocks = len(x_t) // len(self.s)
        return self.prior.eps(
            x_t, t, cond, self.low_s.repeat(blocks, 1, 1, 1), self.s.repeat(blocks)
        )


@torch.no_grad()
def show(prior: SuperResolutionPrior, low: Tensor, size: int, s: Tensor, eps: Tensor) -> Shown:
    """Bring low (N, 3, h, w) in [-1, 1] to size, noise it with eps (N, 3, size, size) at s (N,).

    Bilinear and from corner to corner, as IFSuperResolutionPipeline does it.
    """
    up = interpolate(low, (size, size), mode="bilinear", align_corners=True)
    return Shown(prior, add_noise(prior.low_schedule, up, eps, s), s)


def cropped(
    z: Tensor, shown: Shown, share: float, generator: torch.Generator, rows: Rows
) -> tuple[Tensor, Shown]:
    """A square of each of z (N, C, H, H), and the same one of what stage II is shown beside it.

    (N, C, h, h), with h the share of H to the nearest GRAIN. Squares go on at the other side of a
    render, so that its edge is seen as often as its middle; around the object, both sides show one
    plain background.
    """
    side = z.shape[-1]
    size = max(GRAIN * round(share * side / GRAIN), min(GRAIN, side))
    if size >= side:
        return z, shown
    corners = torch.randint(side, (rows.of, 2), generator=generator, device=generator.device)
    # Plain numbers, from a generator on the host: places on the device would make a step wait.
    corners = rows.pick(corners).tolist()

    def cut(pictures: Tensor) -> Tensor:
        places = corners * (len(pictures) // len(corners))
        pairs = zip(pictures, places, strict=True)
        return torch.stack(
            [row.roll((-i, -j), dims=(1, 2))[:, :size, :size] for row, (i, j) in pairs]
        )

    return cut(z), replace(shown, low_s=cut(shown.low_s))
