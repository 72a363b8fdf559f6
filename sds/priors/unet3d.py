"""ModelScope-shaped teachers: a UNet with convolutions and attention along time (2308.06571).

    network   eps(x_t, t, y)
    latents   those of Stable Diffusion, frame by frame

ModelScopeT2V and ZeroScope are this shape; ASSD's figures show both. They share the latent space of
Stable Diffusion, so `stable_diffusion.latent_codec` reads their autoencoder, `embed` their text
encoder, and a Stable Diffusion can be their image teacher. Networks may run in bf16; latents,
timesteps and predictions stay fp32 and integer. This module knows nothing about losses or guidance.
"""

from dataclasses import dataclass

import torch
from diffusers import TextToVideoSDPipeline, UNet3DConditionModel
from torch import Tensor

from sds.priors.loading import NETWORKS, TEXT, frozen, opened, read_schedule
from sds.schedules import Schedule, eps_from_output, model_time


@dataclass(frozen=True)
class UNet3DPrior:
    """A text-to-video teacher; see `video_prior`."""

    network: UNet3DConditionModel
    schedule: Schedule

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, F, H, W), t (N,) long, cond (N, L, D) -> eps (N, C, F, H, W) fp32."""
        output = self.network(
            x_t.to(self.network.dtype),
            model_time(self.schedule, t),
            encoder_hidden_states=cond.to(self.network.dtype),
            return_dict=False,
        )[0].float()
        return eps_from_output(self.schedule, output, x_t.float(), t)


def video_prior(
    pipe: TextToVideoSDPipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> UNet3DPrior:
    """The pipeline's UNet as a teacher. Moves and freezes `pipe.unet` itself."""
    network = frozen(pipe.unet, device, dtype)
    return UNet3DPrior(network, read_schedule(pipe).to(device))


def load(folder: str, dtype: torch.dtype, vae_dtype: torch.dtype) -> TextToVideoSDPipeline:
    """The networks in a folder, without the text encoder."""
    return opened(TextToVideoSDPipeline, folder, dtype, TEXT, vae_dtype)


def load_text(folder: str, dtype: torch.dtype) -> TextToVideoSDPipeline:
    """The text encoder in a folder, without the networks."""
    return opened(TextToVideoSDPipeline, folder, dtype, NETWORKS)
