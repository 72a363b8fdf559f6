"""DeepFloyd-IF-shaped teachers: a cascade of two pixel diffusion models with a T5 text encoder.

    stage I    eps(x_t, t, y)              text to a small image
    stage II   eps(x_t, t, y, low_s, s)    to a larger one, given a small one noised at level s

Stage II sees [x_t, low_s] as six channels and s as its class label (Imagen, 2205.11487, section
2.4). Models that also predict a variance (2102.09672) answer with six channels; the second three
are dropped. Images are in [-1, 1]. Networks may run in bf16; images, timesteps and predictions stay
fp32 and integer. This module knows nothing about losses, guidance or where the images come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline, UNet2DConditionModel
from torch import Tensor

from sds.priors.loading import frozen, no_progress_bars, read_schedule
from sds.schedules import Schedule, ddpm, eps_from_output, model_time

TOKENS = 77
"""The length T5's answers have for every DeepFloyd model, padding included."""
CHANNELS = 3


@dataclass(frozen=True)
class StageOnePrior:
    """A text-to-image teacher on pixels; see `stage_1_prior`."""

    unet: UNet2DConditionModel
    schedule: Schedule
    rows_per_call: int
    """Images that go through the network together; lower it to save memory."""

    @property
    def size(self) -> int:
        """Pixels along each side of what it was trained on."""
        return self.unet.config.sample_size

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x_t (N, 3, H, W), t (N,) long, cond (N, L, D) -> eps (N, 3, H, W) fp32."""
        rows = zip(*(v.split(self.rows_per_call) for v in (x_t, t, cond)), strict=True)
        return torch.cat([_eps(self.unet, self.schedule, part, *rest) for part, *rest in rows])


@dataclass(frozen=True)
class StageTwoPrior:
    """A super-resolution teacher on pixels; see `stage_2_prior`."""

    unet: UNet2DConditionModel
    schedule: Schedule
    low_schedule: Schedule
    """What the levels s of the low-resolution image's noise mean."""
    rows_per_call: int
    """Images that go through the network together; lower it to save memory."""

    @property
    def size(self) -> int:
        """Pixels along each side of what its pipeline draws."""
        return self.unet.config.sample_size

    @torch.no_grad()
    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor, low_s: Tensor, s: Tensor) -> Tensor:
        """x_t, low_s (N, 3, H, W), t, s (N,) long, cond (N, L, D) -> eps (N, 3, H, W) fp32.

        low_s is the low-resolution image, upsampled to H x W and then noised at level s.
        """
        tensors = (x_t, t, cond, low_s, s)
        rows = zip(*(v.split(self.rows_per_call) for v in tensors), strict=True)
        return torch.cat([_eps(self.unet, self.schedule, part, *rest) for part, *rest in rows])


def _eps(
    unet: UNet2DConditionModel,
    schedule: Schedule,
    x_t: Tensor,
    t: Tensor,
    cond: Tensor,
    low_s: Tensor | None = None,
    s: Tensor | None = None,
) -> Tensor:
    seen = x_t if low_s is None else torch.cat([x_t, low_s], dim=1)
    output = unet(
        seen.to(unet.dtype),
        model_time(schedule, t),
        encoder_hidden_states=cond.to(unet.dtype),
        class_labels=s,
        return_dict=False,
    )[0]
    return eps_from_output(schedule, output[:, :CHANNELS].float(), x_t.float(), t)


def stage_1_prior(
    pipe: IFPipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    rows_per_call: int = 64,
) -> StageOnePrior:
    """The pipeline's UNet as a teacher. Moves and freezes `pipe.unet` itself.

    A class embedding, if it has one, is taken off: stage I is given no noise level.
    Raises ValueError for a UNet that does not take and give images.
    """
    _check(pipe.unet, CHANNELS, "stage I")
    pipe.unet.class_embedding = None
    unet = frozen(pipe.unet, device, dtype)
    return StageOnePrior(unet, read_schedule(pipe).to(device), rows_per_call)


def stage_2_prior(
    pipe: IFSuperResolutionPipeline,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    rows_per_call: int = 16,
) -> StageTwoPrior:
    """The pipeline's UNet as a teacher. Moves and freezes `pipe.unet` itself.

    Raises ValueError for a UNet that takes no low-resolution image or no noise level.
    """
    _check(pipe.unet, 2 * CHANNELS, "stage II")
    if pipe.unet.class_embedding is None:
        raise ValueError(
            "this stage II has no class embedding, so it cannot be told how noisy its "
            'low-resolution image is; use a UNet made with class_embed_type="timestep"'
        )
    unet = frozen(pipe.unet, device, dtype)
    low = ddpm(pipe.image_noising_scheduler.alphas_cumprod)
    return StageTwoPrior(unet, read_schedule(pipe).to(device), low.to(device), rows_per_call)


def load_stage_1(source: str, dtype: torch.dtype = torch.float32) -> IFPipeline:
    """Stage I with its text encoder, from a folder or a hub id, without its safety checker."""
    with no_progress_bars():
        return IFPipeline.from_pretrained(
            source,
            dtype=dtype,
            safety_checker=None,
            feature_extractor=None,
            watermarker=None,
            requires_safety_checker=False,
        )


def load_stage_2(source: str, dtype: torch.dtype = torch.float32) -> IFSuperResolutionPipeline:
    """Stage II from a folder or a hub id, without a safety checker or a text encoder.

    Both stages read the prompts as stage I's encoder embeds them.
    """
    with no_progress_bars():
        return IFSuperResolutionPipeline.from_pretrained(
            source,
            dtype=dtype,
            tokenizer=None,
            text_encoder=None,
            safety_checker=None,
            feature_extractor=None,
            watermarker=None,
            requires_safety_checker=False,
        )


@torch.no_grad()
def embed(pipe: IFPipeline, texts: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
    """Prompts -> (N, 77, D) fp32 on `device`. Moves the pipeline's text encoder there.

    The teachers do not need the encoder: let go of `pipe` to free it. Raises ValueError for a
    prompt that is longer than the encoder was trained to read.
    """
    for text in texts:
        length = len(pipe.tokenizer(text).input_ids)
        if length > TOKENS:
            raise ValueError(
                f"the prompt {text!r} has {length} tokens and the text encoder reads {TOKENS}; "
                "shorten it"
            )
    pipe.text_encoder.to(device).eval().requires_grad_(False)
    return pipe.encode_prompt(list(texts), False, device=device)[0].float()


def _check(unet: UNet2DConditionModel, channels: int, stage: str) -> None:
    config = unet.config
    if config.in_channels != channels or config.out_channels not in (CHANNELS, 2 * CHANNELS):
        raise ValueError(
            f"this UNet takes {config.in_channels} channels and gives {config.out_channels}; "
            f"{stage} takes {channels} and gives 3 or 6. Load the folder of {stage}"
        )
