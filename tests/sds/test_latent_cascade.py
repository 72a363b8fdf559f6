"""Stable Diffusion and its upscaler as a cascade: beside the networks, and through CSD."""

from dataclasses import replace

import pytest
import torch

from sds import csd, losses
from sds.csd import Asking, Cascade, Method, Prompts, distill_cascade
from sds.guidance import Branch, guided
from sds.priors import Prior, upscaler
from sds.priors import stable_diffusion as sd
from sds.schedules import add_noise, eps_from_output
from sds.super_resolution import Shown, show
from tests import tiny_teachers as tiny

T, S = torch.tensor([745, 20]), torch.tensor([5, 350])
COND = torch.randn(2, 77, 16, generator=torch.Generator().manual_seed(1))


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cascade():
    one, two = tiny.stable_diffusion(), tiny.upscaler()
    return Cascade(
        stage_1=upscaler.stage_1_prior(one),
        stage_2=upscaler.stage_2_prior(two),
        size_1=16,
        size_2=32,
        encode_1=upscaler.picture_encoder(one),
        encode_2=upscaler.picture_encoder(two),
        size_low=16,
        top_level=350,
    )


def test_stage_1_is_the_network():
    pipe = tiny.stable_diffusion("v_prediction")
    prior = upscaler.stage_1_prior(pipe, rows_per_call=1)
    assert isinstance(prior, Prior) and prior.size == 8
    x_t = randn(2, 4, 8, 8)
    with torch.no_grad():
        out = pipe.unet(x_t, T, COND).sample
    want = eps_from_output(prior.schedule, out, x_t, T)
    torch.testing.assert_close(prior.eps(x_t, T, COND), want, atol=1e-5, rtol=1e-4)


def test_stage_2_is_asked_exactly_as_its_own_pipeline_asks_it():
    pipe, asked = tiny.upscaler(), []
    prior, level = upscaler.stage_2_prior(pipe), 250
    low = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1

    def keep(_, args, kwargs):
        asked.append((args[0], args[1], kwargs["class_labels"]))

    hook = pipe.unet.register_forward_pre_hook(keep, with_kwargs=True)
    pipe.set_progress_bar_config(disable=True)
    pipe(
        image=low,
        prompt_embeds=COND[:1],
        negative_prompt_embeds=torch.zeros_like(COND[:1]),
        num_inference_steps=2,
        noise_level=level,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
    )
    hook.remove()
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    shown = show(prior, low, 16, torch.tensor([level]), noise)
    seen, t, labels = asked[0]
    torch.testing.assert_close(seen[:1, 4:], shown.low_s)
    assert torch.equal(labels[:1], shown.s)
    row, now = seen[:1, :4], t.view(1)
    with torch.no_grad():
        out = pipe.unet(seen[:1], now, COND[:1], class_labels=labels[:1]).sample
    want = eps_from_output(prior.schedule, out, row, now)
    torch.testing.assert_close(shown.eps(row, now, COND[:1]), want, atol=1e-5, rtol=1e-4)
    assert prior.schedule.prediction == "v_prediction"


def test_pictures_are_encoded_as_the_codec_does_and_with_a_gradient():
    pipe = tiny.stable_diffusion()
    encode = upscaler.PictureEncoder(pipe.vae, rows_per_call=2)
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    z = encode(2 * x - 1)
    want = sd.latent_codec(pipe).encode(x.detach())[0].transpose(0, 1)
    torch.testing.assert_close(z, want, atol=1e-5, rtol=1e-4)
    g = randn(*z.shape)
    losses.distill(z, g).backward()
    mean = pipe.vae.encode(2 * x - 1).latent_dist.mean * pipe.vae.config.scaling_factor
    (direct,) = torch.autograd.grad(mean, x, g / 3)
    torch.testing.assert_close(x.grad, direct, atol=1e-6, rtol=1e-4)


def test_csd_on_latents_beside_its_formulas_written_out():
    """Both stages of one step: each gradient is that of latents, brought back by the chain rule."""
    given = cascade()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rows, empty = randn(2, 77, 16, seed=4), randn(1, 77, 16, seed=5)
    own = Prompts(randn(2, 77, 16, seed=6), randn(1, 77, 16, seed=7))
    asking = Asking(guidance=7.0)
    method = Method(lambda_2=(0.5, 0.5), stage_1=asking, stage_2=asking, noise_levels=(20, 980))
    prompts = Prompts(rows, empty, large=own)
    got = distill_cascade(given, method, prompts, x, 0, 2, torch.Generator().manual_seed(9))
    (grad,) = torch.autograd.grad(got.loss, x)

    g = torch.Generator().manual_seed(9)
    z_1 = given.encode_1(2 * torch.nn.functional.avg_pool2d(x, 2) - 1)
    t_1 = torch.randint(20, 981, (2,), generator=g)
    e_1 = torch.randn(z_1.shape, generator=g)
    z_2 = given.encode_2(2 * x - 1)
    low = 2 * torch.nn.functional.avg_pool2d(x.detach(), 2) - 1
    s = torch.randint(20, 351, (2,), generator=g)
    low_s = add_noise(given.stage_2.low_schedule, low, torch.randn(low.shape, generator=g), s)
    t_2 = torch.randint(20, 981, (2,), generator=g)
    e_2 = torch.randn(z_2.shape, generator=g)
    shown = Shown(given.stage_2, low_s, s)
    total = 0.0
    for prior, z, t, e, read, weight in (
        (given.stage_1, z_1, t_1, e_1, prompts, 1.0),
        (shown, z_2, t_2, e_2, own, 0.5),
    ):
        z_t = add_noise(prior.schedule, z.detach(), e, t)
        eps = guided(prior, [Branch(z_t, read.rows, read.empty, 7.0)], t)[0]
        w = prior.schedule.sigma[t].square().view(-1, 1, 1, 1)
        total = total + weight * (z * w * (eps - e)).sum() / 2
    (want,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(grad, want, atol=1e-6, rtol=1e-4)
    assert grad.ne(0).any() and got.rms_1 > 0 and got.rms_2 > 0


def test_noise_levels_stay_where_the_upscaler_was_trained():
    seen = []

    class Watched:
        schedule = low_schedule = upscaler.stage_2_prior(tiny.upscaler()).low_schedule

        def eps(self, x_t, t, cond, low_s, s):
            seen.extend(s.tolist())
            return torch.zeros_like(x_t)

    given = replace(cascade(), stage_2=Watched())
    x = torch.rand(8, 3, 32, 32, requires_grad=True)
    prompts = Prompts(COND[:1].expand(8, -1, -1), COND[:1])
    for method in (csd.stage_2_only(Method()), csd.second_phase(Method())):
        for step in range(4):
            generator = torch.Generator().manual_seed(step)
            distill_cascade(given, method, prompts, x, step, 4, generator)
    assert max(seen) <= 350 and len({*seen[:64]}) > 20 and {*seen[64:]} == {350}


def test_prompts_are_repeated_for_both_readers():
    rows = randn(3, 2, 4)
    own = Prompts(randn(3, 5, 6, seed=1), randn(1, 5, 6, seed=2))
    share = torch.tensor([1.0, 0.3, 1.0])
    both = Prompts(rows, randn(1, 2, 4), large=own, share=share).repeated(2)
    assert torch.equal(both.rows, rows[[0, 0, 1, 1, 2, 2]])
    assert torch.equal(both.large.rows, own.rows[[0, 0, 1, 1, 2, 2]])
    assert torch.equal(both.share, share[[0, 0, 1, 1, 2, 2]])
    assert torch.equal(both.by_large().share, both.share)
    assert torch.equal(both.by_large().rows, both.large.rows)
    alone = Prompts(rows, rows[:1]).repeated(2)
    assert alone.large is None and alone.share is None and alone.by_large() is alone


def test_networks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="takes 7 channels and gives 4"):
        upscaler.stage_1_prior(tiny.upscaler())
    with pytest.raises(ValueError, match="as the x4 upscaler does"):
        upscaler.stage_2_prior(tiny.stable_diffusion())
