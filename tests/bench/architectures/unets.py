"""Stable Diffusion 1.5, AnimateDiff on it, and ZeroScope."""

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    StableDiffusionPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
)

from tests.bench.architectures.making import Make

# stable-diffusion-v1-5, unet/config.json and vae/config.json: the classes' defaults but for these.
SD = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
SD_SMALL = dict(block_out_channels=(16, 32, 32, 32), cross_attention_dim=32, norm_num_groups=8)
SD_SMALL |= dict(attention_head_dim=2, layers_per_block=1, sample_size=8)
VAE = dict(
    block_out_channels=(128, 256, 512, 512),
    layers_per_block=2,
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    latent_channels=4,
    sample_size=512,
)
VAE_SMALL = dict(block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4)
# guoyww/animatediff-motion-adapter-v1-5-2, config.json.
MOTION = dict(
    block_out_channels=(320, 640, 1280, 1280),
    motion_layers_per_block=2,
    motion_mid_block_layers_per_block=1,
    motion_num_attention_heads=8,
    motion_norm_num_groups=32,
    motion_max_seq_length=32,
    use_motion_mid_block=True,
)
MOTION_SMALL = dict(block_out_channels=(16, 32, 32, 32), motion_layers_per_block=1)
MOTION_SMALL |= dict(motion_num_attention_heads=2, motion_norm_num_groups=8)
BETAS = dict(beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False)
# cerspense/zeroscope_v2_576w, unet/config.json: the class's defaults. Its autoencoder is SD's.
UNET3D_SMALL = dict(block_out_channels=(16, 32, 32, 32), cross_attention_dim=32, norm_num_groups=8)
UNET3D_SMALL |= dict(attention_head_dim=8, layers_per_block=1)


def stable_diffusion(make: Make, dtype: torch.dtype, small: bool) -> StableDiffusionPipeline:
    """Stable Diffusion 1.5."""
    return StableDiffusionPipeline(
        vae=make(AutoencoderKL, VAE | (VAE_SMALL if small else {}), dtype),
        text_encoder=None,
        tokenizer=None,
        unet=make(UNet2DConditionModel, SD | (SD_SMALL if small else {}), dtype),
        scheduler=DDIMScheduler(**BETAS, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def animatediff(
    make: Make, image: StableDiffusionPipeline, dtype: torch.dtype, small: bool
) -> AnimateDiffPipeline:
    """The motion adapter v1-5-2 on Stable Diffusion 1.5."""
    return AnimateDiffPipeline(
        vae=image.vae,
        text_encoder=None,
        tokenizer=None,
        unet=image.unet,
        motion_adapter=make(MotionAdapter, MOTION | (MOTION_SMALL if small else {}), dtype),
        scheduler=DDIMScheduler(**BETAS, beta_schedule="linear"),
    )


def zeroscope(
    make: Make, image: StableDiffusionPipeline, dtype: torch.dtype, small: bool
) -> TextToVideoSDPipeline:
    """ZeroScope v2 576w."""
    return TextToVideoSDPipeline(
        vae=image.vae,
        text_encoder=None,
        tokenizer=None,
        unet=make(UNet3DConditionModel, UNET3D_SMALL if small else {}, dtype),
        scheduler=DDIMScheduler(**BETAS, beta_schedule="scaled_linear"),
    )
