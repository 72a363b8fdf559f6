"""The video transformers: Wan 2.1 and 2.2, CogVideoX."""

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)

from tests.bench.architectures.making import Make

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
# Wan-AI/Wan2.2-TI2V-5B-Diffusers, transformer/config.json and vae/config.json.
WAN_5B = WAN | dict(num_attention_heads=24, in_channels=48, out_channels=48, ffn_dim=14336)
WAN_5B_VAE = dict(
    base_dim=160,
    decoder_base_dim=256,
    z_dim=48,
    in_channels=12,
    out_channels=12,
    is_residual=True,
    patch_size=2,
    scale_factor_spatial=16,
    latents_mean=[0.0] * 48,
    latents_std=[1.0] * 48,
)
WAN_5B_VAE_SMALL = dict(base_dim=4, decoder_base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
# THUDM/CogVideoX-2b: the classes' defaults.
COGVIDEOX_SMALL = dict(num_attention_heads=2, attention_head_dim=16, text_embed_dim=32)
COGVIDEOX_SMALL |= dict(time_embed_dim=8, num_layers=2, sample_width=6, sample_height=4)
COGVIDEOX_VAE_SMALL = dict(block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2)


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


def wan_5b(make: Make, dtype: torch.dtype, small: bool) -> WanPipeline:
    """Wan2.2 TI2V 5B."""
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    vae = WAN_5B_VAE | (WAN_5B_VAE_SMALL if small else {})
    return WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=make(AutoencoderKLWan, vae, torch.float32),
        scheduler=scheduler,
        transformer=make(WanTransformer3DModel, WAN_5B | (WAN_SMALL if small else {}), dtype),
        expand_timesteps=True,
    )


def cogvideox(make: Make, dtype: torch.dtype, small: bool) -> CogVideoXPipeline:
    """CogVideoX 2B."""
    scheduler = CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=3.0,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    return CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=make(AutoencoderKLCogVideoX, COGVIDEOX_VAE_SMALL if small else {}, dtype),
        transformer=make(CogVideoXTransformer3DModel, COGVIDEOX_SMALL if small else {}, dtype),
        scheduler=scheduler,
    )
