"""Stable-Diffusion-shaped teachers: image (UNet2D), video (AnimateDiff), text and latents.

An image teacher looks at every frame on its own: frames are folded into the batch. Both share one
latent space, so one `LatentCodec` serves both. Networks may run in bf16; latents, timesteps and
predictions stay fp32 and integer. This module knows nothing about losses or guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    StableDiffusionPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNetMotionModel,
)
from torch import Tensor, nn

from sds.priors.calls import frame_by_frame
from sds.priors.loading import (
    NETWORKS,
    TEXT,
    check_length,
    frozen,
    no_progress_bars,
    opened,
    read_schedule,
    reading,
)
from sds.schedules import Schedule, eps_from_output, model_time

Pipeline = StableDiffusionPipeline | AnimateDiffPipeline | TextToVideoSDPipeline


@dataclass(frozen=True)
class ImagePrior:
    """A text-to-image teacher for the frames of a clip; see `image_prior`."""

    network: UNet2DConditionModel
    schedule: Schedule
    frames_per_call: int
    """Frames of each row that go through the network together, at most; lower it to save memory."""

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, F, H, W), t (N,) long, cond (N, L, D) -> eps (N, C, F, H, W) fp32."""
        return frame_by_frame(self.frames_per_call, self._eps, x_t, t, cond)

    def _eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        output = self.network(
            x_t.to(self.network.dtype),
            model_time(self.schedule, t),
            encoder_hidden_states=cond.to(self.network.dtype),
            return_dict=False,
        )[0].float()
        return eps_from_output(self.schedule, output, x_t.float(), t)


@dataclass(frozen=True)
class MotionPrior:
    """A text-to-video teacher, AnimateDiff's; see `video_prior`."""

    network: UNetMotionModel
    schedule: Schedule

    @property
    def max_frames(self) -> int:
        """The longest clip the motion modules have positions for."""
        return self.network.config.motion_max_seq_length

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, C, F, H, W), t (N,) long, cond (N, L, D) -> eps (N, C, F, H, W) fp32.

        Raises ValueError for more frames than the motion modules know.
        """
        frames = x_t.shape[2]
        if frames > self.max_frames:
            raise ValueError(
                f"{frames} frames are more than the {self.max_frames} this video teacher knows; "
                "cut the clip with temporal.windows and join the gradients with temporal.blend"
            )
        output = self.network(
            x_t.to(self.network.dtype),
            model_time(self.schedule, t),
            encoder_hidden_states=cond.to(self.network.dtype).repeat_interleave(frames, dim=0),
            return_dict=False,
        )[0].float()
        return eps_from_output(self.schedule, output, x_t.float(), t)


@dataclass(frozen=True)
class LatentCodec:
    """Frames to latents and back, in chunks; see `latent_codec`."""

    vae: AutoencoderKL
    chunk: int
    """Frames that go through the network together; in tiles, one by one."""

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """frames (F, 3, H, W) in [0, 1] -> latents (1, C, F, h, w) fp32, the posterior's mean.

        Raises ValueError when H or W is not a multiple of `factor`.
        """
        if frames.shape[-1] % self.factor or frames.shape[-2] % self.factor:
            raise ValueError(
                f"frames of {frames.shape[-1]}x{frames.shape[-2]} do not fit the latent grid; "
                f"resize or pad them to a multiple of {self.factor}"
            )
        parts = [
            self.vae.encode(part.to(self.vae.device, self.vae.dtype) * 2 - 1).latent_dist.mean
            for part in self._parts(frames)
        ]
        latents = (torch.cat(parts).float() - self._shift) * self.vae.config.scaling_factor
        return latents.transpose(0, 1).unsqueeze(0)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """latents (1, C, F, h, w) -> frames (F, 3, H, W) fp32, clamped to [0, 1]."""
        z = latents.squeeze(0).transpose(0, 1) / self.vae.config.scaling_factor + self._shift
        parts = [
            self.vae.decode(part.to(self.vae.device, self.vae.dtype)).sample.float()
            for part in self._parts(z)
        ]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    @property
    def stride(self) -> int:
        """Every frame has a latent of its own."""
        return 1

    def frames(self, latents: Tensor, numbers: Sequence[int]) -> Tensor:
        """A few frames of the clip, numbered from 0: (n, 3, H, W), as `decode` gives them."""
        return self.decode(latents[:, :, list(numbers)])

    def _parts(self, rows: Tensor) -> Sequence[Tensor]:
        return rows.split(1 if self.vae.use_tiling else self.chunk)

    @property
    def _shift(self) -> float:
        return self.vae.config.shift_factor or 0.0


def image_prior(
    pipe: StableDiffusionPipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    frames_per_call: int = 16,
) -> ImagePrior:
    """The pipeline's UNet as a teacher. Moves and freezes `pipe.unet` itself."""
    network = frozen(plain(pipe.unet), device, dtype)
    return ImagePrior(network, read_schedule(pipe).to(device), frames_per_call)


def video_prior(
    pipe: AnimateDiffPipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> MotionPrior:
    """The pipeline's motion UNet as a teacher. Moves and freezes `pipe.unet` itself."""
    network = frozen(plain(pipe.unet), device, dtype)
    return MotionPrior(network, read_schedule(pipe).to(device))


def latent_codec(
    pipe: Pipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    chunk: int = 8,
) -> LatentCodec:
    """The pipeline's VAE. Moves and freezes `pipe.vae` itself; fp32 is the safe dtype."""
    return LatentCodec(frozen(pipe.vae, device, dtype), chunk)


@torch.no_grad()
def embed(pipe: Pipeline, prompts: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
    """Prompts -> (N, L, D) fp32 on `device`. Moves the pipeline's text encoder there.

    Raises ValueError for a prompt that is longer than the encoder can read.
    """
    limit = min(pipe.tokenizer.model_max_length, pipe.text_encoder.config.max_position_embeddings)
    check_length(pipe.tokenizer, prompts, limit)
    pipe.text_encoder.to(device).eval().requires_grad_(False)
    return pipe.encode_prompt(list(prompts), device, 1, False)[0].float()


def load(
    folder: str, dtype: torch.dtype = torch.float32, vae_dtype: torch.dtype | None = None
) -> StableDiffusionPipeline:
    """The networks in a folder, without the text encoder and the safety checker."""
    return opened(StableDiffusionPipeline, folder, dtype, TEXT, vae_dtype)


def load_text(folder: str, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """The text encoder in a folder, without the networks."""
    return opened(StableDiffusionPipeline, folder, dtype, NETWORKS)


def load_motion(
    folder: str, dtype: torch.dtype = torch.float32, vae_dtype: torch.dtype | None = None
) -> AnimateDiffPipeline:
    """The networks of a whole AnimateDiff in a folder, without the text encoder."""
    return opened(AnimateDiffPipeline, folder, dtype, TEXT, vae_dtype)


def load_motion_text(folder: str, dtype: torch.dtype = torch.float32) -> AnimateDiffPipeline:
    """The text encoder of a whole AnimateDiff in a folder, without the networks."""
    return opened(AnimateDiffPipeline, folder, dtype, NETWORKS)


def with_motion(
    pipe: StableDiffusionPipeline,
    adapter: str,
    dtype: torch.dtype = torch.float32,
    betas: str | None = None,
) -> AnimateDiffPipeline:
    """An image model, and a motion adapter in a folder on top of it: AnimateDiff (2307.04725).

    betas: the noise schedule the adapter was trained on, where it is not the image model's.
    The image model is not changed; its weights are held once (see `share_weights`). Raises
    ValueError for an adapter that does not fit it.
    """
    with no_progress_bars():
        kind = reading(adapter, dtype)
        modules = MotionAdapter.from_pretrained(adapter, **kind | {"dtype": dtype})
    theirs, ours = (tuple(part.config.block_out_channels) for part in (modules, pipe.unet))
    if theirs != ours:
        raise ValueError(
            f"the motion adapter has channels {theirs} and the image model {ours}; use an adapter "
            "that was made for this kind of image model"
        )
    scheduler = pipe.scheduler
    if betas is not None:
        scheduler = DDIMScheduler.from_config(scheduler.config, beta_schedule=betas)
    made = AnimateDiffPipeline(
        vae=pipe.vae,
        text_encoder=pipe.text_encoder,
        tokenizer=pipe.tokenizer,
        unet=plain(pipe.unet),
        motion_adapter=modules,
        scheduler=scheduler,
    )
    share_weights(pipe.unet, made.unet)
    return made


def share_weights(unet: nn.Module, motion: nn.Module) -> None:
    """Hold once what a motion UNet has of an image model's: all but its motion modules.

    They are two copies again where one of them is moved or cast.
    """
    theirs = dict(unet.named_parameters())
    for name in theirs.keys() & dict(motion.named_parameters()).keys():
        module, _, own = name.rpartition(".")
        setattr(motion.get_submodule(module), own, nn.Parameter(theirs[name].data))


def plain(unet: nn.Module) -> nn.Module:
    """The UNet itself. Raises ValueError for one that is shown more than the latents it draws."""
    config = unet.config
    if config.in_channels != config.out_channels:
        raise ValueError(
            f"this UNet takes {config.in_channels} channels and gives {config.out_channels}; "
            "use a plain text-to-image or text-to-video model, not an inpainting one"
        )
    return unet
