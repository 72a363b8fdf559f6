"""DeepFloyd-IF-shaped teachers: a cascade of two pixel diffusion models with a T5 text encoder.

Both stages (`stages`) work on images in [-1, 1] and answer with six channels, the second three a
variance that is not used here. Stage II reads the prompts as stage I's encoder embeds them. This
module knows nothing about losses, guidance or where the images come from.
"""

from collections.abc import Sequence

import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline, UNet2DConditionModel
from torch import Tensor

from sds.priors.loading import NETWORKS, TEXT, check_length, frozen, opened, read_schedule
from sds.priors.stages import StageOnePrior, StageTwoPrior
from sds.schedules import ddpm

TOKENS = 77
"""The length T5's answers have for every DeepFloyd model, padding included."""
CHANNELS = 3


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


def load_stage_1(folder: str, dtype: torch.dtype = torch.float32) -> IFPipeline:
    """Stage I's network in a folder, without its text encoder and its safety checker."""
    return opened(IFPipeline, folder, dtype, TEXT)


def load_stage_2(folder: str, dtype: torch.dtype = torch.float32) -> IFSuperResolutionPipeline:
    """Stage II's network in a folder, without a text encoder and its safety checker."""
    return opened(IFSuperResolutionPipeline, folder, dtype, TEXT)


def load_text(folder: str, dtype: torch.dtype = torch.float32) -> IFPipeline:
    """The text encoder in stage I's folder, without its network."""
    return opened(IFPipeline, folder, dtype, NETWORKS)


@torch.no_grad()
def embed(pipe: IFPipeline, texts: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
    """Prompts -> (N, 77, D) fp32 on `device`. Moves the pipeline's text encoder there.

    The teachers do not need the encoder: let go of `pipe` to free it. Raises ValueError for a
    prompt that is longer than the encoder was trained to read.
    """
    check_length(pipe.tokenizer, texts, TOKENS)
    pipe.text_encoder.to(device).eval().requires_grad_(False)
    return pipe.encode_prompt(list(texts), False, device=device)[0].float()


def _check(unet: UNet2DConditionModel, channels: int, stage: str) -> None:
    config = unet.config
    if config.in_channels != channels or config.out_channels not in (CHANNELS, 2 * CHANNELS):
        raise ValueError(
            f"this UNet takes {config.in_channels} channels and gives {config.out_channels}; "
            f"{stage} takes {channels} and gives 3 or 6. Load the folder of {stage}"
        )
