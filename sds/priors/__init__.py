"""What the rest of `sds` needs from a teacher: which noise is in x_t?

An adapter brings one family of models to this signature: `stable_diffusion`, `unet3d`, `wan`,
`cogvideox`, `deepfloyd`, `upscaler`. This module knows nothing about any library of models.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from sds.schedules import Schedule


@runtime_checkable
class Prior(Protocol):
    """A frozen diffusion model."""

    @property
    def schedule(self) -> Schedule:
        """The noise schedule the model was trained on, on the model's device."""
        ...

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """The noise the model sees in x_t, without guidance and without autograd.

        x_t (N, C, F, H, W) noised latents, t (N,) long, cond (N, L, D) prompt embeddings.
        Returns (N, C, F, H, W) fp32.
        """
        ...


@runtime_checkable
class VideoPrior(Prior, Protocol):
    """A frozen diffusion model that looks at the frames of a clip together."""

    @property
    def network(self) -> nn.Module:
        """What `attention.fused` works on."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Frames to latents and back. The first frame has a latent of its own."""

    @property
    def vae(self) -> nn.Module:
        """The autoencoder, one of diffusers'; in tiles (`enable_tiling`) it takes less memory."""
        ...

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side."""
        ...

    @property
    def stride(self) -> int:
        """Frames per latent frame, after the first."""
        ...

    def encode(self, frames: Tensor) -> Tensor:
        """frames (F, 3, H, W) in [0, 1] -> latents (1, C, f, H / factor, W / factor) fp32."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """latents (1, C, f, h, w) -> frames (at least F, 3, H, W) fp32 in [0, 1].

        The number of frames is what f latent frames hold; a clip that was padded is cut by whoever
        knows how long it was.
        """
        ...

    def frames(self, latents: Tensor, numbers: Sequence[int]) -> Tensor:
        """A few frames of the clip, numbered from 0, for a preview: (n, 3, H, W)."""
        ...
