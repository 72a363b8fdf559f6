"""What the training of all denoisers shares: captions, timesteps, errors, close-ups, a quiet start.

This module knows nothing about what is denoised, nor about which network it is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from miniature.cuts import squares
from sds.schedules import Schedule, add_noise, target

UNCONDITIONAL = 0.1
"""Share of samples whose caption is left out (classifier-free guidance, 2207.12598)."""
JITTER = 4
"""Cells between the middle of a close-up and that of what it shows, at most."""
ADDED = "add_embedding.norm2"
"""The last layer of the pooled words, by diffusers' name."""

Network = Callable[[Tensor, Tensor], Tensor]
"""x_t (N, C, ...), t (N,) -> what it predicts, like x_t."""


@dataclass(frozen=True, eq=False)
class Captions:
    """What is said of each sample, on the device that trains."""

    said: Tensor
    """int (N, K, L): token ids of K captions of each."""
    unsaid: Tensor
    """int (L,): those of the empty caption."""

    def to(self, device: str) -> "Captions":
        return Captions(self.said.to(device), self.unsaid.to(device))

    def of(self, picks: Tensor, generator: torch.Generator) -> Tensor:
        """A caption of each of the samples picks (n,): ids (n, L).

        Some are empty, for classifier-free guidance (2207.12598).
        """
        count, device = len(picks), picks.device
        which = torch.randint(self.said.shape[1], (count,), generator=generator, device=device)
        kept = torch.rand(count, generator=generator, device=device) >= UNCONDITIONAL
        return torch.where(kept[:, None], self.said[picks, which], self.unsaid)


class Captioner(nn.Module):
    """Text encoder and denoiser trained as one."""

    def __init__(self, text: nn.Module, denoiser: nn.Module) -> None:
        super().__init__()
        self.text, self.denoiser = text, denoiser


def for_training(model: nn.Module, device: str) -> None:
    """Move a denoiser to where it is trained.

    On a CPU with attention as plain products: the fused one is slow on the way back there.
    """
    if device == "cpu":
        model.set_attn_processor(AttnProcessor())
    model.to(device, memory_format=torch.channels_last)


def silence(model: nn.Module, names: Sequence[str]) -> None:
    """Let blocks whose parameters are among `names` begin as nothing: what they add is 0."""
    for name, parameter in model.named_parameters():
        last = ("attentions" in name and "proj_out" in name) or ADDED in name
        if last and name in names:
            nn.init.zeros_(parameter)


def timesteps(count: int, generator: torch.Generator, middle: float) -> Tensor:
    """Logit-normal t in 0..999 (Esser et al., 2403.03206), half of them below `middle`."""
    u = torch.randn(count, generator=generator, device=generator.device)
    shift = math.log(middle / (1000 - middle))
    return (1000 * torch.sigmoid(u + shift)).long().clamp(max=999)


def squared_errors(
    schedule: Schedule,
    model: Network,
    x: Tensor,
    t: Tensor,
    generator: torch.Generator,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean squared error of what the network says about x (N, C, ...) noised at t (N,): (N,).

    weight: how much each place of x counts, broadcast to it; its mean is taken to be 1.
    """
    eps = torch.randn(x.shape, generator=generator, device=x.device)
    x_t = add_noise(schedule, x, eps, t)
    with torch.autocast(x.device.type, torch.bfloat16):
        output = model(x_t, t)
    errors = (output.float() - target(schedule, x, eps, t)).square()
    return (errors if weight is None else weight * errors).flatten(1).mean(1)


def middles(covered: Tensor) -> Tensor:
    """Where the middle of each mask (N, h, w) is: (N, 2) in cells, row and column."""
    rows, columns = (torch.arange(n, device=covered.device) + 0.5 for n in covered.shape[1:])
    total = covered.sum((1, 2)).clamp(min=1e-6)
    down, across = (covered.sum(2) * rows).sum(1), (covered.sum(1) * columns).sum(1)
    return torch.stack([down, across], dim=1) / total[:, None]


def close_ups(x: Tensor, middle: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square about a place of each picture or clip: x (N, ..., h, h) -> (N, ..., side, side).

    middle (N, 2) in cells, row and column; it lies within JITTER cells of the square's own, unless
    the picture's edge is in the way.
    """
    jitter = JITTER * (2 * torch.rand(middle.shape, generator=generator, device=x.device) - 1)
    corner = (middle + jitter - side / 2).round().long().clamp(0, x.shape[-1] - side)
    return squares(x, corner, side)
