"""A cascade of latent teachers: Stable Diffusion, and its x4 upscaler as stage II.

    stage I    eps(z_t, t, y)              z: latents of the picture
    stage II   eps(z_t, t, y, low_s, s)    z: latents of the picture, in a space of its own;
                                           low_s: the picture at the latents' size, noised

The upscaler (LAION and Stability AI, 2022) sees four latent channels and three of a small picture,
noised at a level of at most 350, and reads the level as its class label. Each stage reads the
prompts with a text encoder of its own. Pictures go through the autoencoders with their graph, so
that a gradient of latents finds its way back to the renderer. This module knows nothing about
losses, guidance or where the pictures come from.
"""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionUpscalePipeline
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sds.csd import Cascade
from sds.priors.calls import evenly
from sds.priors.loading import NETWORKS, TEXT, frozen, opened, read_schedule
from sds.priors.stable_diffusion import plain
from sds.priors.stages import StageOnePrior, StageTwoPrior
from sds.schedules import ddpm

PICTURE = 3


@dataclass(frozen=True)
class PictureEncoder:
    """Pictures to latents, with a gradient."""

    vae: AutoencoderKL
    rows_per_call: int = 2
    """Pictures that go through the network together, at most; lower it to save memory."""

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def __call__(self, pictures: Tensor) -> Tensor:
        """pictures (N, 3, H, W) in [-1, 1] -> latents (N, C, H / factor, W / factor) fp32.

        The posterior's mean, scaled. What lies between is computed again on the way back, because
        it would take gigabytes for the views of one step.
        """
        parts = [
            checkpoint(self._encode, part, use_reentrant=False, preserve_rng_state=False)
            for (part,) in evenly(self.rows_per_call, pictures)
        ]
        return torch.cat(parts)

    def _encode(self, pictures: Tensor) -> Tensor:
        mean = self.vae.encode(pictures.to(self.vae.dtype)).latent_dist.mean.float()
        shift = self.vae.config.shift_factor or 0.0
        return (mean - shift) * self.vae.config.scaling_factor


def picture_encoder(
    pipe: StableDiffusionPipeline | StableDiffusionUpscalePipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> PictureEncoder:
    """The pipeline's autoencoder. Moves and freezes `pipe.vae` itself."""
    return PictureEncoder(frozen(pipe.vae, device, dtype))


def stage_1_prior(
    pipe: StableDiffusionPipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    rows_per_call: int = 16,
) -> StageOnePrior:
    """The pipeline's UNet as a teacher. Moves and freezes `pipe.unet` itself.

    Raises ValueError for a UNet that is shown more than the latents it draws.
    """
    unet = frozen(plain(pipe.unet), device, dtype)
    return StageOnePrior(unet, read_schedule(pipe).to(device), rows_per_call)


def stage_2_prior(
    pipe: StableDiffusionUpscalePipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    rows_per_call: int = 8,
) -> StageTwoPrior:
    """The pipeline's UNet as a teacher. Moves and freezes `pipe.unet` itself.

    Raises ValueError for a UNet that is not shown a picture beside its latents.
    """
    config = pipe.unet.config
    if config.in_channels != config.out_channels + PICTURE:
        raise ValueError(
            f"this upscaler takes {config.in_channels} channels and gives {config.out_channels}; "
            "it should take those it gives and three of a picture, as the x4 upscaler does"
        )
    low = ddpm(pipe.low_res_scheduler.alphas_cumprod)
    unet = frozen(pipe.unet, device, dtype)
    return StageTwoPrior(unet, read_schedule(pipe).to(device), low.to(device), rows_per_call)


def cascade(
    small: StableDiffusionPipeline,
    large: StableDiffusionUpscalePipeline,
    home: torch.device,
    device: torch.device,
    dtype: torch.dtype,
    vae_dtype: torch.dtype,
) -> Cascade:
    """Both pipelines as the two stages of CSD, and their autoencoders. Moves and freezes them.

    home: where the networks are made ready, which may not be the device that computes.
    """
    stage_1, stage_2 = stage_1_prior(small, home, dtype), stage_2_prior(large, home, dtype)
    encoders = [picture_encoder(pipe, device, vae_dtype) for pipe in (small, large)]
    return Cascade(
        stage_1=stage_1,
        stage_2=stage_2,
        size_1=stage_1.size * encoders[0].factor,
        size_2=stage_2.size * encoders[1].factor,
        encode_1=encoders[0],
        encode_2=encoders[1],
        size_low=stage_2.size,
        top_level=large.config.max_noise_level,
    )


def load(folder: str, dtype: torch.dtype, vae_dtype: torch.dtype) -> StableDiffusionUpscalePipeline:
    """The upscaler's networks in a folder, without its text encoder."""
    return opened(StableDiffusionUpscalePipeline, folder, dtype, TEXT, vae_dtype)


def load_text(folder: str, dtype: torch.dtype) -> StableDiffusionUpscalePipeline:
    """The upscaler's text encoder in a folder, without its networks."""
    return opened(StableDiffusionUpscalePipeline, folder, dtype, NETWORKS)
