"""Tiny random networks of the real classes; nothing is downloaded."""

import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
    UNetMotionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 16


def lively(module):
    """Give every weight a random value: zero-initialised layers would hide differences."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def unet2d():
    torch.manual_seed(0)
    return lively(
        UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            attention_head_dim=2,
            cross_attention_dim=TEXT_WIDTH,
        )
    )


@pytest.fixture(scope="session")
def motion_adapter():
    torch.manual_seed(1)
    return lively(
        MotionAdapter(
            block_out_channels=(8, 16),
            motion_layers_per_block=1,
            motion_num_attention_heads=2,
            motion_norm_num_groups=4,
            motion_max_seq_length=8,
        )
    )


@pytest.fixture(scope="session")
def unet_motion(unet2d, motion_adapter):
    return UNetMotionModel.from_unet2d(unet2d, motion_adapter).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def unet3d():
    torch.manual_seed(2)
    return lively(
        UNet3DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
            up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=TEXT_WIDTH,
        )
    )


@pytest.fixture(scope="session")
def parts(unet2d):
    """The components of a tiny Stable Diffusion, by the names its constructor uses."""
    torch.manual_seed(3)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = [*letters, *[f"{c}</w>" for c in letters], "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=8
    )
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=TEXT_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=0.5,
        shift_factor=0.1,
    )
    return {
        "vae": lively(vae),
        "text_encoder": lively(CLIPTextModel(text)),
        "tokenizer": tokenizer,
        "unet": unet2d,
        "scheduler": DDIMScheduler(
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            clip_sample=False,
            steps_offset=1,
        ),
    }


@pytest.fixture(scope="session")
def image_pipe(parts):
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


@pytest.fixture(scope="session")
def video_pipe(parts, motion_adapter):
    return AnimateDiffPipeline(**parts, motion_adapter=motion_adapter)
