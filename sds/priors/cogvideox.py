"""CogVideoX-shaped teachers: a v-predicting transformer over words, space and time (2408.06072).

    network   v(x_t, t, y), v = alpha eps - sigma x, on a schedule that ends in pure noise
    latents   z = scaling_factor mean, four frames in each but the first

Words and picture attend to each other in the same layers, so attention fusion is not for this
family. The network takes (N, F, C, H, W); everything here is (N, C, F, H, W). Networks may run in
bf16; latents, timesteps and predictions stay fp32 and integer. This module knows nothing about
losses or guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from torch import Tensor

from sds.priors.loading import NETWORKS, TEXT, check_length, frozen, opened, read_schedule
from sds.priors.video_codec import VideoCodec
from sds.schedules import Schedule, eps_from_output, model_time

TOKENS = 226
"""The length every prompt is padded to; all CogVideoX networks were trained with it."""

Rotary = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class CogVideoXPrior:
    """A text-to-video teacher; see `video_prior`."""

    network: CogVideoXTransformer3DModel
    schedule: Schedule

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, f, h, w), t (N,) long, cond (N, L, D) -> eps (N, C, f, h, w) fp32.

        h and w must be multiples of the network's patches.
        """
        output = self.network(
            hidden_states=x_t.to(self.network.dtype).transpose(1, 2),
            encoder_hidden_states=cond.to(self.network.dtype),
            timestep=model_time(self.schedule, t),
            image_rotary_emb=self._positions(*x_t.shape[2:], x_t.device),
            return_dict=False,
        )[0]
        return eps_from_output(self.schedule, output.transpose(1, 2).float(), x_t.float(), t)

    def _positions(
        self, frames: int, height: int, width: int, device: torch.device
    ) -> Rotary | None:
        """Rotary positions, of the models that have them (5b); others add theirs inside (2b)."""
        config = self.network.config
        if not config.use_rotary_positional_embeddings:
            return None
        p = config.patch_size
        grid = (height // p, width // p)
        base = (config.sample_width // p, config.sample_height // p)
        return get_3d_rotary_pos_embed(
            embed_dim=config.attention_head_dim,
            crops_coords=get_resize_crop_region_for_grid(grid, *base),
            grid_size=grid,
            temporal_size=frames,
            device=device,
        )


def video_prior(
    pipe: CogVideoXPipeline, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> CogVideoXPrior:
    """The pipeline's transformer as a teacher. Moves and freezes it.

    Raises ValueError for CogVideoX 1.5, whose patches span frames.
    """
    if pipe.transformer.config.patch_size_t is not None:
        raise ValueError(
            "this is CogVideoX 1.5, whose patches span several frames; use CogVideoX-2b or -5b"
        )
    network = frozen(pipe.transformer, device, dtype)
    return CogVideoXPrior(network, read_schedule(pipe).to(device))


def video_codec(pipe: CogVideoXPipeline, device: torch.device | str = "cpu") -> VideoCodec:
    """The pipeline's autoencoder. Moves and freezes it; runs in the dtype it was read in."""
    config = pipe.vae.config
    stride = int(config.temporal_compression_ratio)
    return VideoCodec(
        vae=frozen(pipe.vae, device, pipe.vae.dtype),
        mean=torch.zeros((), device=device),
        std=torch.full((), 1 / config.scaling_factor, device=device),
        factor=2 ** (len(config.block_out_channels) - 1),
        stride=stride,
        # It decodes two latent frames at a time and the first one with the next two.
        every=2 * stride,
    )


@torch.no_grad()
def embed(
    pipe: CogVideoXPipeline, texts: Sequence[str], device: torch.device | str = "cpu"
) -> Tensor:
    """Prompts -> (N, 226, D) on `device`, in the text encoder's dtype. Moves the encoder there.

    Raises ValueError for a prompt that is longer than that.
    """
    check_length(pipe.tokenizer, texts, TOKENS)
    pipe.text_encoder.to(device).eval().requires_grad_(False)
    said = pipe.encode_prompt(list(texts), None, False, max_sequence_length=TOKENS, device=device)
    return said[0]


def load(folder: str, dtype: torch.dtype, vae_dtype: torch.dtype) -> CogVideoXPipeline:
    """The networks in a folder, without the text encoder."""
    return opened(CogVideoXPipeline, folder, dtype, TEXT, vae_dtype)


def load_text(folder: str, dtype: torch.dtype) -> CogVideoXPipeline:
    """The text encoder in a folder, without the networks."""
    return opened(CogVideoXPipeline, folder, dtype, NETWORKS)
