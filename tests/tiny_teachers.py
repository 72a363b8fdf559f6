"""Tiny pipelines of the same classes as the teachers people use: random weights, no download.

Each is made once per process and must be left as it is; `save` writes one to a folder.
"""

from functools import cache
from pathlib import Path

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    IFPipeline,
    IFSuperResolutionPipeline,
    MotionAdapter,
    StableDiffusionPipeline,
    StableDiffusionUpscalePipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

TEXT_WIDTH = 16
WORDS = ["a", "red", "blue", "ball", "cat", "mushroom", "with", "yellow", "cap", "gray", "dotted"]
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)


def lively(module: nn.Module) -> nn.Module:
    """Give every weight a random value: zero-initialised layers would hide differences."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module.eval().requires_grad_(False)


def save(pipe: DiffusionPipeline | MotionAdapter, folder: Path) -> str:
    """Write a pipeline where it was not written yet; the folder's name."""
    if not folder.exists():
        pipe.save_pretrained(folder)
    return str(folder)


@cache
def clip_parts() -> dict[str, object]:
    """A tokenizer that spells, and a text encoder."""
    torch.manual_seed(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = [*letters, *[f"{c}</w>" for c in letters], "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77
    )
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=TEXT_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    return {"tokenizer": tokenizer, "text_encoder": lively(CLIPTextModel(config))}


def t5_tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -100.0)]
    return T5Tokenizer(vocab=special + [(f"▁{w}", -1.0) for w in WORDS], extra_ids=0)


def t5_parts(kind: type = T5EncoderModel) -> dict[str, object]:
    torch.manual_seed(1)
    tokenizer = t5_tokenizer()
    config = {T5EncoderModel: T5Config, UMT5EncoderModel: UMT5Config}[kind](
        vocab_size=len(tokenizer), d_model=TEXT_WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    return {"tokenizer": tokenizer, "text_encoder": lively(kind(config))}


def image_vae(**kind: object) -> AutoencoderKL:
    torch.manual_seed(2)
    shape = dict(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=0.18215,
        sample_size=16,
    )
    return lively(AutoencoderKL(**(shape | kind)))


def unet2d(**kind: object) -> UNet2DConditionModel:
    torch.manual_seed(3)
    shape = dict(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=TEXT_WIDTH,
    )
    return lively(UNet2DConditionModel(**(shape | kind)))


@cache
def stable_diffusion(prediction: str = "epsilon") -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=image_vae(),
        **clip_parts(),
        unet=unet2d(),
        scheduler=DDIMScheduler(**BETAS, prediction_type=prediction, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@cache
def stable_diffusion_of(size: int) -> StableDiffusionPipeline:
    """The same for latents of another size."""
    return StableDiffusionPipeline(
        **stable_diffusion().components | {"unet": unet2d(sample_size=size)},
        requires_safety_checker=False,
    )


@cache
def motion_adapter() -> MotionAdapter:
    torch.manual_seed(4)
    return lively(
        MotionAdapter(
            block_out_channels=(8, 16),
            motion_layers_per_block=1,
            motion_num_attention_heads=2,
            motion_norm_num_groups=4,
            motion_max_seq_length=8,
        )
    )


@cache
def animatediff() -> AnimateDiffPipeline:
    """A whole one, its motion already in its UNet."""
    parts = stable_diffusion().components
    names = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
    return AnimateDiffPipeline(
        **{name: parts[name] for name in names}, motion_adapter=motion_adapter()
    )


@cache
def upscaler() -> StableDiffusionUpscalePipeline:
    """Latents of half the picture's side, beside a noised picture of their own size."""
    torch.manual_seed(5)
    return StableDiffusionUpscalePipeline(
        vae=image_vae(scaling_factor=0.08333),
        **clip_parts(),
        unet=unet2d(sample_size=16, in_channels=7, out_channels=4, num_class_embeds=1000),
        low_res_scheduler=DDPMScheduler(beta_schedule="scaled_linear"),
        scheduler=DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False),
        max_noise_level=350,
    )


@cache
def modelscope() -> TextToVideoSDPipeline:
    torch.manual_seed(6)
    unet = UNet3DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=TEXT_WIDTH,
    )
    scheduler = DDIMScheduler(**BETAS, clip_sample=False)
    return TextToVideoSDPipeline(
        vae=image_vae(), **clip_parts(), unet=lively(unet), scheduler=scheduler
    )


def wan_transformer(channels: int, out_channels: int | None = None) -> WanTransformer3DModel:
    return lively(
        WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=channels,
            out_channels=out_channels or channels,
            text_dim=TEXT_WIDTH,
            freq_dim=16,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=64,
        )
    )


def _wan_scheduler(shift: float) -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )


@cache
def wan() -> WanPipeline:
    """Wan2.1's shape: 8x8x4 latents."""
    torch.manual_seed(7)
    vae = AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    return WanPipeline(
        **t5_parts(UMT5EncoderModel),
        vae=lively(vae),
        scheduler=_wan_scheduler(3.0),
        transformer=wan_transformer(16),
    )


@cache
def wan_5b() -> WanPipeline:
    """Wan2.2-TI2V-5B's shape: 16x16x4 latents, a timestep per token."""
    torch.manual_seed(8)
    vae = AutoencoderKLWan(
        base_dim=4,
        z_dim=8,
        in_channels=12,
        out_channels=12,
        is_residual=True,
        patch_size=2,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1] * 8,
        latents_std=[0.5, 2.0] * 4,
        scale_factor_spatial=16,
    )
    return WanPipeline(
        **t5_parts(UMT5EncoderModel),
        vae=lively(vae),
        scheduler=_wan_scheduler(5.0),
        transformer=wan_transformer(8),
        expand_timesteps=True,
    )


@cache
def cogvideox(rotary: bool = False) -> CogVideoXPipeline:
    torch.manual_seed(9)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=TEXT_WIDTH,
        num_layers=2,
        sample_width=4,
        sample_height=4,
        sample_frames=9,
        use_rotary_positional_embeddings=rotary,
    )
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        # Tiles of half of that, which must not leave a rim narrower than its convolutions.
        sample_height=128,
        sample_width=128,
    )
    scheduler = CogVideoXDDIMScheduler(
        **BETAS,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=3.0,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    return CogVideoXPipeline(
        **t5_parts(), vae=lively(vae), transformer=lively(transformer), scheduler=scheduler
    )


def _if_unet(size: int, channels: int, **kind: object) -> UNet2DConditionModel:
    """With all that is told to DeepFloyd's networks besides: the prompt is in the time as well."""
    return unet2d(
        sample_size=size,
        in_channels=channels,
        out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        attention_head_dim=4,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        encoder_hid_dim=TEXT_WIDTH,
        cross_attention_dim=32,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        **kind,
    )


def _if_scheduler() -> DDPMScheduler:
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range")


@cache
def if_stage_1() -> IFPipeline:
    return IFPipeline(
        **t5_parts(),
        unet=_if_unet(8, 3),
        scheduler=_if_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


@cache
def if_stage_2() -> IFSuperResolutionPipeline:
    return IFSuperResolutionPipeline(
        **t5_parts(),
        unet=_if_unet(16, 6, class_embed_type="timestep"),
        scheduler=_if_scheduler(),
        image_noising_scheduler=DDPMScheduler(beta_schedule="linear"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
