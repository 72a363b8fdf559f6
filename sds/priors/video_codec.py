"""Causal video autoencoders: the first frame has a latent of its own, each later latent several.

    z = (mean of the posterior - mean) / std,   per channel

A clip whose length does not fit is padded by repeating its last frame. Tensors are fp32 outside the
network. This module knows nothing about which family the network belongs to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class VideoCodec:
    """Frames to latents and back."""

    vae: nn.Module
    """With diffusers' `encode` and `decode`."""
    mean: Tensor
    """(1, C, 1, 1, 1), or one that broadcasts to it: of the latents the network was trained on."""
    std: Tensor
    """The same, their standard deviation."""
    factor: int
    """Pixels per latent cell, along each side."""
    stride: int
    """Frames per latent frame, after the first."""
    every: int
    """A clip has `every` k + 1 frames: a multiple of `stride`, for networks that need more."""

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """frames (F, 3, H, W) in [0, 1] -> latents (1, C, f, h, w) fp32, the posterior's mean.

        Raises ValueError when H or W is not a multiple of `factor`.
        """
        if frames.shape[-1] % self.factor or frames.shape[-2] % self.factor:
            raise ValueError(
                f"frames of {frames.shape[-1]}x{frames.shape[-2]} do not fit the latent grid; "
                f"resize or pad them to a multiple of {self.factor}"
            )
        padded = pad_frames(frames, self.every).transpose(0, 1).unsqueeze(0)
        seen = padded.to(self.vae.device, self.vae.dtype) * 2 - 1
        return (self.vae.encode(seen).latent_dist.mean.float() - self.mean) / self.std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """latents (1, C, f, h, w) -> frames (stride (f - 1) + 1, 3, H, W) fp32 in [0, 1]."""
        z = (latents * self.std + self.mean).to(self.vae.device, self.vae.dtype)
        frames = self.vae.decode(z).sample.float().squeeze(0).transpose(0, 1)
        return (frames / 2 + 0.5).clamp(0, 1)

    def frames(self, latents: Tensor, numbers: Sequence[int]) -> Tensor:
        """A few frames of the clip, numbered from 0: (n, 3, H, W), near what `decode` gives.

        Each is decoded from its own latent and the shortest past the network takes, so that a
        preview of a long clip costs no more than that of a short one.
        """
        past = self.every // self.stride
        shown = []
        for number in numbers:
            latent = -(-number // self.stride)
            start = max(latent - past, 0)
            few = self.decode(latents[:, :, start : start + past + 1])
            shown.append(few[number - self.stride * start])
        return torch.stack(shown)


def pad_frames(frames: Tensor, every: int) -> Tensor:
    """Repeat the last frame until there are `every` k + 1. (F, ...) -> (F', ...)."""
    missing = -(len(frames) - 1) % every
    return torch.cat([frames, frames[-1:].expand(missing, *frames.shape[1:])])
