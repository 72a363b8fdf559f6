"""No step of an edit makes the host wait for the GPU."""

import pytest
import torch

from sds.assd import Method, Prompts, Teachers
from sds.optimize import step_generator
from sds.priors import stable_diffusion as sd
from sds.priors import wan
from sds.priors.single_frames import SingleFrames
from tests import tiny_teachers
from tests.assd_steps import assd_gradient

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to wait for")


def flow_teachers():
    prior = wan.video_prior(tiny_teachers.wan.__wrapped__(), "cuda", torch.bfloat16)
    return Teachers(prior, SingleFrames(prior, 4), 4), 16


def diffusion_teachers():
    image = tiny_teachers.stable_diffusion.__wrapped__()
    motion = sd.AnimateDiffPipeline(
        **{name: image.components[name] for name in ("vae", "tokenizer", "text_encoder", "unet")},
        motion_adapter=tiny_teachers.motion_adapter(),
        scheduler=image.scheduler,
    )
    priors = (f(p, "cuda") for f, p in ((sd.video_prior, motion), (sd.image_prior, image)))
    return Teachers(*priors, 4), 4


@pytest.mark.parametrize("make", [flow_teachers, diffusion_teachers])
@pytest.mark.parametrize(
    "method",
    [
        Method(),
        Method(fusion=1.0),
        Method(smoothing="shared"),
        Method(guidance_source=3.0, guidance_target=3.0),
    ],
)
def test_a_step_never_waits(make, method):
    teachers, channels = make()
    x_src = torch.randn(1, channels, 6, 4, 4, device="cuda")
    prompts = torch.randn(3, 5, tiny_teachers.TEXT_WIDTH, device="cuda").split(1)

    def step(index):
        asked = (teachers, Prompts(*prompts), method, 1.1 * x_src, x_src, 500)
        return assd_gradient(*asked, step_generator(0, index))

    step(0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = step(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.isfinite().all()
