"""Wan-shaped teachers: a flow transformer over space and time, and its causal video autoencoder.

    network   v(x_t, t, y), v = eps - x, with the clock 1000 sigma(t)
    latents   z = (mean - latents_mean) / latents_std per channel, four frames in each but the first

Wan2.1 (2503.20314) and Wan2.2-TI2V-5B are this shape. The latter gives every token a timestep of
its own, for clips whose first frame is known; here nothing is known, all timesteps of a clip are
one, and that is what the network is given. The text encoder is UMT5: what it says of the padding is
replaced by zeros. Networks may run in bf16; latents, timesteps and predictions stay fp32 and
integer. This module knows nothing about losses or guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import WanPipeline, WanTransformer3DModel
from torch import Tensor

from sds.priors.loading import NETWORKS, TEXT, check_length, frozen, opened, read_schedule
from sds.priors.video_codec import VideoCodec
from sds.schedules import Schedule, eps_from_output, model_time

TOKENS = 512
"""The length every prompt is padded to, as WanPipeline does when it draws."""


@dataclass(frozen=True)
class WanPrior:
    """A text-to-video teacher; see `video_prior`."""

    network: WanTransformer3DModel
    schedule: Schedule

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, f, h, w), t (N,) long, cond (N, L, D) -> eps (N, C, f, h, w) fp32.

        h and w must be multiples of the network's patches.
        """
        output = self.network(
            hidden_states=x_t.to(self.network.dtype),
            timestep=model_time(self.schedule, t),
            encoder_hidden_states=cond.to(self.network.dtype),
            return_dict=False,
        )[0].float()
        return eps_from_output(self.schedule, output, x_t.float(), t)


def video_prior(
    pipe: WanPipeline, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> WanPrior:
    """The pipeline's transformer as a teacher. Moves and freezes it.

    Raises ValueError for a pipeline with two transformers, and for one that is given a picture.
    """
    if pipe.transformer_2 is not None or pipe.config.boundary_ratio is not None:
        raise ValueError(
            "this Wan has two transformers, one for high and one for low noise (the A14B models); "
            "use one with a single transformer, such as Wan2.1-T2V-1.3B or Wan2.2-TI2V-5B"
        )
    config = pipe.transformer.config
    if config.in_channels != config.out_channels:
        raise ValueError(
            f"this Wan takes {config.in_channels} channels and gives {config.out_channels}; "
            "use a text-to-video one, not an image-to-video one"
        )
    network = frozen(pipe.transformer, device, dtype)
    return WanPrior(network, read_schedule(pipe).to(device))


def video_codec(pipe: WanPipeline, device: torch.device | str = "cpu") -> VideoCodec:
    """The pipeline's autoencoder. Moves and freezes it; runs in the dtype it was read in."""
    config = pipe.vae.config
    return VideoCodec(
        vae=frozen(pipe.vae, device, pipe.vae.dtype),
        mean=torch.tensor(config.latents_mean, device=device).view(1, -1, 1, 1, 1),
        std=torch.tensor(config.latents_std, device=device).view(1, -1, 1, 1, 1),
        factor=config.scale_factor_spatial,
        stride=config.scale_factor_temporal,
        every=config.scale_factor_temporal,
    )


@torch.no_grad()
def embed(pipe: WanPipeline, texts: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
    """Prompts -> (N, 512, D) on `device`, in the text encoder's dtype. Moves the encoder there.

    Raises ValueError for a prompt that is longer than that.
    """
    check_length(pipe.tokenizer, texts, TOKENS)
    pipe.text_encoder.to(device).eval().requires_grad_(False)
    said = pipe.encode_prompt(list(texts), None, False, max_sequence_length=TOKENS, device=device)
    return said[0]


def load(folder: str, dtype: torch.dtype) -> WanPipeline:
    """The networks in a folder, without the text encoder. The autoencoder is read in fp32.

    In half precision it changes what it is given more than an edit should.
    """
    return opened(WanPipeline, folder, dtype, TEXT, vae=torch.float32)


def load_text(folder: str, dtype: torch.dtype) -> WanPipeline:
    """The text encoder in a folder, without the networks."""
    return opened(WanPipeline, folder, dtype, NETWORKS)
