"""The dial of flow teachers, through ASSD and the descent: from DDS to FlowEdit."""

from dataclasses import replace

import pytest
import torch

from sds import losses
from sds.assd import DDS, FLOW_EDIT, Method, Prompts, Teachers
from sds.descent import descend
from sds.optimize import step_generator
from sds.priors import unet3d, wan
from sds.priors.single_frames import SingleFrames
from sds.schedules import add_noise, at, model_time
from sds.timesteps import descending
from tests import tiny_teachers as tiny
from tests.assd_steps import assd_gradient

SHAPE = (1, 16, 3, 4, 4)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def teachers():
    prior = wan.video_prior(tiny.wan())
    return Teachers(prior, SingleFrames(prior, 8), window=8)


PROMPTS = Prompts(*randn(3, 9, 16, seed=1).split(1))


def velocity(prior, x_t, t, prompt, scale):
    """What the transformer itself says, guided: no adapter, no conversion."""
    network, clock = prior.network, model_time(prior.schedule, torch.tensor([t]))
    with torch.no_grad():
        bare, said = (
            network(x_t, clock, cond, return_dict=False)[0] for cond in (PROMPTS.empty, prompt)
        )
    return bare + scale * (said - bare)


def gradient_of(teachers, method, x_src):
    def gradient(x, t, generator):
        return assd_gradient(teachers, PROMPTS, method, x, x_src, t, generator)

    return gradient


def test_flow_edit_falls_out_exactly(teachers):
    """Beside the algorithm of 2412.08629, written out on the transformer's own velocities."""
    prior, steps = teachers.video, 5
    method = replace(FLOW_EDIT, guidance_source=5.0, guidance_target=13.5)
    x_src = randn(*SHAPE)
    x = x_src.clone()
    run = descend(
        gradient_of(teachers, method, x_src),
        x,
        x_src,
        steps,
        seed=3,
        low=20,
        high=700,
        sigma=prior.schedule.sigma,
    )
    assert len(list(run)) == steps
    z_edit, visits = x_src.clone(), descending(steps, 20, 700).tolist()
    levels = [*prior.schedule.sigma[visits].tolist(), 0.0]
    for k, t in enumerate(visits):
        noise = torch.randn(SHAPE, generator=step_generator(3, k))
        z_src_t = (1 - levels[k]) * x_src + levels[k] * noise
        z_tar_t = z_edit + z_src_t - x_src
        delta = velocity(prior, z_tar_t, t, PROMPTS.target, 13.5)
        delta = delta - velocity(prior, z_src_t, t, PROMPTS.source, 5.0)
        z_edit = z_edit + (levels[k + 1] - levels[k]) * delta
    torch.testing.assert_close(x, z_edit, atol=1e-5, rtol=1e-4)
    assert (x - x_src).abs().max() > 0.01


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_the_gradient_is_that_of_the_family(teachers, eta):
    prior, t = teachers.video, 600
    x_src, x = randn(*SHAPE), randn(*SHAPE, seed=4)
    method = replace(DDS, eta=eta, guidance_source=5.0, guidance_target=7.0)
    got = gradient_of(teachers, method, x_src)(x, t, step_generator(0, 0))
    eps = torch.randn(SHAPE, generator=step_generator(0, 0))
    now = torch.tensor([t])
    sigma = at(prior.schedule.sigma, now, 5)
    x_t, src_t = (add_noise(prior.schedule, z, eps, now) for z in (x, x_src))
    tgt_t = losses.flow_target(x, x_src, x_t, sigma, eta)
    v_tgt = velocity(prior, tgt_t, t, PROMPTS.target, 7.0)
    v_src = velocity(prior, src_t, t, PROMPTS.source, 5.0)
    want = sigma * losses.flow_delta(v_tgt, v_src, x, x_src, eta)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_nothing_moves_when_nothing_is_asked(teachers, eta):
    x_src = randn(*SHAPE)
    same = replace(PROMPTS, target=PROMPTS.source)
    for method in (replace(DDS, eta=eta), Method(fusion=0.5, joint=0.5, eta=eta, mask_k=-1.0)):
        asked = (teachers, same, method, x_src.clone(), x_src, 600, step_generator(0, 0))
        assert assd_gradient(*asked).eq(0).all()


def test_every_part_of_assd_works_on_a_transformer(teachers):
    x_src, x = randn(*SHAPE), randn(*SHAPE, seed=4)
    whole = Method(fusion=0.5, joint=0.5, eta=0.3, mask_k=-1.0)

    def gradient(method):
        return gradient_of(teachers, method, x_src)(x, 600, step_generator(0, 0))

    assert gradient(whole).isfinite().all()
    for change in ({"fusion": 1.0}, {"joint": 0.0}, {"eta": 0.0}, {"smoothing": "off"}):
        assert not torch.equal(gradient(whole), gradient(replace(whole, **change))), change


def test_the_image_teacher_reads_its_own_prompts(teachers):
    x_src, x = randn(*SHAPE), randn(*SHAPE, seed=4)
    own = Prompts(*randn(3, 7, 16, seed=5).split(1))

    def gradient(prompts):
        asked = (teachers, prompts, Method(fusion=1.0), x, x_src, 600, step_generator(0, 0))
        return assd_gradient(*asked)

    assert torch.equal(gradient(replace(PROMPTS, image=PROMPTS)), gradient(PROMPTS))
    assert not torch.equal(gradient(replace(PROMPTS, image=own)), gradient(PROMPTS))


LACKS = {
    "set eta to 0": FLOW_EDIT,
    "give one or set joint to 0": replace(DDS, joint=0.5),
    "estimate them first": replace(DDS, smoothing="residual", smooth_along_flow=True),
}


@pytest.mark.parametrize("remedy", LACKS)
def test_what_a_method_lacks_is_said(remedy):
    """Eta is for flows, joint guidance for an image teacher, smoothing along a flow for one."""
    teachers = Teachers(unet3d.video_prior(tiny.modelscope()), None, 8)
    x = randn(1, 4, 3, 8, 8)
    with pytest.raises(ValueError, match=remedy):
        assd_gradient(teachers, PROMPTS, LACKS[remedy], x, x, 600, step_generator(0, 0))
