"""Large teachers at their true sizes with random weights, which cost what trained ones cost.

Nothing is downloaded: the numbers below are those of the published config.json files, as far as
they are known; what is only inferred says so. `small=True` makes the same shapes tiny.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    AutoencoderKLWan,
    DDIMScheduler,
    DDPMScheduler,
    IFPipeline,
    IFSuperResolutionPipeline,
    MotionAdapter,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from torch import nn

# Wan-AI/Wan2.1-T2V-1.3B-Diffusers, transformer/config.json.
WAN = dict(
    patch_size=(1, 2, 2),
    num_attention_heads=12,
    attention_head_dim=128,
    in_channels=16,
    out_channels=16,
    text_dim=4096,
    freq_dim=256,
    ffn_dim=8960,
    num_layers=30,
    cross_attn_norm=True,
    qk_norm="rms_norm_across_heads",
    rope_max_seq_len=1024,
)
WAN_SMALL = dict(num_attention_heads=2, attention_head_dim=24, text_dim=32, ffn_dim=64)
WAN_SMALL |= dict(freq_dim=32, num_layers=2)
# Its vae/config.json is what diffusers' class has as defaults.
WAN_VAE_SMALL = dict(base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
# stable-diffusion-v1-5, unet/config.json and vae/config.json: the classes' defaults but for these.
SD = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
SD_SMALL = dict(block_out_channels=(16, 32, 32, 32), cross_attention_dim=32, norm_num_groups=8)
SD_SMALL |= dict(attention_head_dim=2, layers_per_block=1)
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
# DeepFloyd/IF-I-XL-v1.0, unet/config.json: kinds of blocks, head size and act_fn as in diffusers'
# conversion script; widths are 704 times 1, 2, 3, 4. That makes 4.305 billion parameters; the model
# card says 4.3.
IF_SHAPE = dict(
    out_channels=6,
    act_fn="gelu",
    attention_head_dim=64,
    cross_attention_norm="group_norm",
    encoder_hid_dim=4096,
    addition_embed_type="text",
    addition_embed_type_num_heads=64,
    mid_block_type="UNetMidBlock2DSimpleCrossAttn",
    resnet_time_scale_shift="scale_shift",
)
IF_1 = IF_SHAPE | dict(
    in_channels=3,
    sample_size=64,
    down_block_types=("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
    up_block_types=(*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
    block_out_channels=(704, 1408, 2112, 2816),
    layers_per_block=3,
    cross_attention_dim=2816,
)
# DeepFloyd/IF-II-L-v1.0: depths, time embedding, scaled residuals and the like as in diffusers'
# conversion script; its widths are inferred, for its file could not be read. That makes 1.15
# billion parameters; the model card says 1.2.
IF_2 = IF_SHAPE | dict(
    in_channels=6,
    sample_size=256,
    class_embed_type="timestep",
    down_block_types=(*["ResnetDownsampleBlock2D"] * 4, "SimpleCrossAttnDownBlock2D"),
    up_block_types=("SimpleCrossAttnUpBlock2D", *["ResnetUpsampleBlock2D"] * 4),
    block_out_channels=(320, 320, 640, 960, 1280),
    layers_per_block=(2, 2, 3, 5, 5),
    only_cross_attention=True,
    cross_attention_dim=1280,
    time_embedding_dim=1280,
    time_embedding_act_fn="gelu",
    resnet_skip_time_act=True,
    resnet_out_scale_factor=1 / 0.7071,
    mid_block_scale_factor=1 / 0.7071,
)
IF_SMALL = dict(
    attention_head_dim=8,
    encoder_hid_dim=32,
    addition_embed_type_num_heads=4,
    block_out_channels=(16, 16, 32, 32),
    layers_per_block=1,
    cross_attention_dim=32,
    norm_num_groups=8,
)


@contextmanager
def _born(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Weights come to be where and as they are used: in fp32 the largest would not fit at first."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


def _module(
    kind: type, config: dict[str, Any], device: torch.device, dtype: torch.dtype
) -> nn.Module:
    with _born(device, dtype):
        module = kind(**config)
    for name, parameter in module.named_parameters():
        if any(part in name for part in module._keep_in_fp32_modules or ()):
            parameter.data = parameter.data.float()
    return module


Make = Callable[[type, dict[str, Any], torch.dtype], nn.Module]


def maker(device: torch.device) -> Make:
    """What makes a network there with random weights, always the same."""

    def make(kind: type, config: dict[str, Any], dtype: torch.dtype) -> nn.Module:
        torch.manual_seed(0)
        return _module(kind, config, device, dtype)

    return make


def wan(make: Make, dtype: torch.dtype, small: bool) -> WanPipeline:
    """Wan2.1 T2V 1.3B."""
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=make(AutoencoderKLWan, WAN_VAE_SMALL if small else {}, torch.float32),
        scheduler=scheduler,
        transformer=make(WanTransformer3DModel, WAN | (WAN_SMALL if small else {}), dtype),
    )


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


def deepfloyd(
    make: Make, dtype: torch.dtype, small: bool
) -> tuple[IFPipeline, IFSuperResolutionPipeline]:
    """IF-I-XL and IF-II-L."""
    one, two = IF_1 | (IF_SMALL if small else {}), IF_2 | (IF_SMALL if small else {})
    if small:
        one |= dict(sample_size=16)
        two |= dict(sample_size=32, block_out_channels=(16, 16, 16, 32, 32), time_embedding_dim=32)
    rest = dict(tokenizer=None, text_encoder=None, safety_checker=None, feature_extractor=None)
    rest |= dict(watermarker=None, requires_safety_checker=False)
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range")
    return (
        IFPipeline(unet=make(UNet2DConditionModel, one, dtype), scheduler=scheduler, **rest),
        IFSuperResolutionPipeline(
            unet=make(UNet2DConditionModel, two, dtype),
            scheduler=scheduler,
            image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
            **rest,
        ),
    )
