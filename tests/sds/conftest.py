"""Tiny networks by name, and a Stable Diffusion: v-prediction, latents scaled and shifted."""

import pytest
from diffusers import AnimateDiffPipeline, StableDiffusionPipeline, UNetMotionModel

from tests import tiny_teachers as tiny


@pytest.fixture(scope="session")
def unet2d():
    return tiny.stable_diffusion("v_prediction").unet


@pytest.fixture(scope="session")
def motion_adapter():
    return tiny.motion_adapter()


@pytest.fixture(scope="session")
def unet_motion(unet2d, motion_adapter):
    return UNetMotionModel.from_unet2d(unet2d, motion_adapter).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def unet3d():
    return tiny.modelscope().unet


@pytest.fixture(scope="session")
def parts():
    """The components of a tiny Stable Diffusion, by the names its constructor uses."""
    made = tiny.stable_diffusion("v_prediction").components
    names = ("text_encoder", "tokenizer", "unet", "scheduler")
    vae = tiny.image_vae(scaling_factor=0.5, shift_factor=0.1)
    return {"vae": vae} | {name: made[name] for name in names}


@pytest.fixture(scope="session")
def image_pipe(parts):
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


@pytest.fixture(scope="session")
def video_pipe(parts, motion_adapter):
    return AnimateDiffPipeline(**parts, motion_adapter=motion_adapter)
