"""The cascades: DeepFloyd IF, and the x4 upscaler on Stable Diffusion."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    IFPipeline,
    IFSuperResolutionPipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)

from tests.bench.architectures.making import Make
from tests.bench.architectures.unets import BETAS, VAE_SMALL

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
# stabilityai/stable-diffusion-x4-upscaler, unet/config.json and vae/config.json.
X4 = dict(
    sample_size=128,
    in_channels=7,
    out_channels=4,
    down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
    up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
    only_cross_attention=(True, True, True, False),
    block_out_channels=(256, 512, 512, 1024),
    cross_attention_dim=1024,
    attention_head_dim=8,
    num_class_embeds=1000,
    use_linear_projection=True,
)
X4_SMALL = dict(sample_size=16, block_out_channels=(16, 32, 32, 32), cross_attention_dim=32)
X4_SMALL |= dict(norm_num_groups=8, attention_head_dim=2, layers_per_block=1)
X4_VAE = dict(
    block_out_channels=(128, 256, 512),
    layers_per_block=2,
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    latent_channels=4,
    scaling_factor=0.08333,
    sample_size=256,
)
X4_VAE_SMALL = VAE_SMALL | dict(block_out_channels=(8, 8, 8))


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


def upscaler(make: Make, dtype: torch.dtype, small: bool) -> StableDiffusionUpscalePipeline:
    """Stable Diffusion's x4 upscaler."""
    return StableDiffusionUpscalePipeline(
        vae=make(AutoencoderKL, X4_VAE | (X4_VAE_SMALL if small else {}), dtype),
        text_encoder=None,
        tokenizer=None,
        unet=make(UNet2DConditionModel, X4 | (X4_SMALL if small else {}), dtype),
        low_res_scheduler=DDPMScheduler(beta_schedule="scaled_linear"),
        scheduler=DDIMScheduler(
            **BETAS, beta_schedule="scaled_linear", prediction_type="v_prediction"
        ),
        max_noise_level=350,
    )
