"""Gradients against a teacher that is known in closed form, and their identities."""

import pytest
import torch
from diffusers import DDPMScheduler
from gaussian import GaussianTeacher

from sds import losses
from sds.schedules import PREDICTIONS, add_noise, at, ddpm, flow

BAR = DDPMScheduler(beta_schedule="scaled_linear").alphas_cumprod
MEAN = torch.full((1, 1, 1), 0.7)
T = torch.tensor([400])


def teacher(prediction):
    schedule = flow() if prediction == "flow_prediction" else ddpm(BAR, prediction)
    return GaussianTeacher(schedule, std=0.5)


def noise(seed=0):
    return torch.randn(1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_sds_finds_the_mean(prediction):
    prior = teacher(prediction)
    x, eps = noise(1), noise()
    for _ in range(300):
        # A noise and its negative: their average has no sampling error for a linear teacher.
        grads = []
        for e in (eps, -eps):
            x_t = add_noise(prior.schedule, x, e, T)
            grads.append(losses.sds(prior.eps(x_t, T, MEAN), e))
        x = x - 0.5 * (grads[0] + grads[1]) / 2
    torch.testing.assert_close(x, torch.full_like(x, 0.7), atol=1e-5, rtol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dds_moves_by_the_difference_of_the_means_and_sees_no_noise(prediction):
    prior = teacher(prediction)
    x_src = noise(1)
    x = x_src
    for i in range(300):
        eps = noise(10 + i)
        edit = prior.eps(add_noise(prior.schedule, x, eps, T), T, MEAN + 1)
        ref = prior.eps(add_noise(prior.schedule, x_src, eps, T), T, MEAN)
        x = x - 0.5 * losses.dds(edit, ref)
    torch.testing.assert_close(x, x_src + 1, atol=1e-4, rtol=0)


def flow_question(eta):
    prior = teacher("flow_prediction")
    x, x_src, eps = noise(1), noise(2), noise(3)
    sigma = at(prior.schedule.sigma, T, 5)
    x_t, src_t = (add_noise(prior.schedule, z, eps, T) for z in (x, x_src))
    tgt_t = losses.flow_target(x, x_src, x_t, sigma, eta)
    v_tgt, v_src = prior.output(tgt_t, T, MEAN + 1), prior.output(src_t, T, MEAN)
    return prior, x, x_src, src_t, tgt_t, v_tgt, v_src


def test_eta_0_is_dds():
    prior, x, x_src, src_t, tgt_t, v_tgt, v_src = flow_question(0.0)
    assert torch.equal(tgt_t, add_noise(prior.schedule, x, noise(3), T))
    dds = losses.dds(prior.eps(tgt_t, T, MEAN + 1), prior.eps(src_t, T, MEAN))
    alpha = at(prior.schedule.alpha, T, 5)
    got = alpha * losses.flow_delta(v_tgt, v_src, x, x_src, 0.0)
    torch.testing.assert_close(got, dds, atol=1e-6, rtol=1e-5)


def test_eta_1_is_flowedit():
    _, x, x_src, src_t, tgt_t, v_tgt, v_src = flow_question(1.0)
    torch.testing.assert_close(tgt_t, x + src_t - x_src, atol=1e-6, rtol=1e-5)
    assert torch.equal(losses.flow_delta(v_tgt, v_src, x, x_src, 1.0), v_tgt - v_src)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_flow_family_is_silent_when_nothing_is_asked(eta):
    prior, x = teacher("flow_prediction"), noise(1)
    x_t = add_noise(prior.schedule, x, noise(2), T)
    tgt_t = losses.flow_target(x, x, x_t, at(prior.schedule.sigma, T, 5), eta)
    v_tgt, v_src = (prior.output(z, T, MEAN) for z in (tgt_t, x_t))
    assert losses.flow_delta(v_tgt, v_src, x, x, eta).eq(0).all()


def test_assd_between_its_two_ends():
    edit, ref, smooth = noise(1), noise(2), noise(3)
    one = torch.ones(1, 1, 3, 4, 4)
    assert torch.equal(losses.assd(edit, ref, smooth, 0 * one), losses.dds(edit, ref))
    assert torch.equal(losses.assd(edit, ref, smooth, one), losses.dds(edit, smooth))
    mixed = losses.assd(edit, ref, smooth, 0.25 * one)
    torch.testing.assert_close(mixed, edit - 0.25 * smooth - 0.75 * ref)


def test_preserve_is_the_gradient_of_half_the_squared_distance():
    x, x_src = noise(1).requires_grad_(), noise(2)
    ((x - x_src).square().sum() / 2).backward()
    torch.testing.assert_close(losses.preserve(x.detach(), x_src), x.grad)
    assert losses.preserve(x_src, x_src).eq(0).all()


def test_sds_weight_is_one_minus_alpha_bar():
    t = torch.tensor([20, 500, 980])
    got = losses.sds_weight(ddpm(BAR), t, 4)
    assert got.shape == (3, 1, 1, 1)
    torch.testing.assert_close(got.flatten(), 1 - BAR[t])
    torch.testing.assert_close(losses.sds(noise(1), noise(2), 0.5), 0.5 * (noise(1) - noise(2)))


def test_distill_hands_on_exactly_the_masked_gradient():
    # A large x and a tiny gradient: a squared distance to x - grad would lose it to rounding.
    x = (1e4 * torch.randn(4, 3, 5, 5)).requires_grad_()
    grad = 1e-6 * torch.randn(4, 3, 5, 5)
    mask = torch.zeros(4, 1, 5, 5)
    mask[..., :2] = 1
    loss = losses.distill(x, grad, mask)
    assert loss.shape == ()
    loss.backward()
    torch.testing.assert_close(x.grad, mask * grad / 4, atol=0, rtol=1e-6)
    assert x.grad[..., 2:].eq(0).all() and x.grad[..., :2].ne(0).all()


def test_csd_weighs_its_stages_and_composes_with_resizing():
    base = torch.randn(2, 3, 8, 8, requires_grad=True)
    small = torch.nn.functional.avg_pool2d(base, 2)
    g_1, g_2 = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8, 8)
    losses.csd(small, g_1, base, g_2, lambda_1=1.0, lambda_2=0.3).backward()
    up = g_1.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    torch.testing.assert_close(base.grad, (up + 0.3 * g_2) / 2)


def test_ramp_is_linear_from_nothing_to_final():
    assert [losses.ramp(i, 5) for i in range(5)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert losses.ramp(0, 1) == 0


def test_rms_of_a_known_tensor():
    assert losses.rms(torch.tensor([[3.0, -3.0], [3.0, 3.0]])).item() == pytest.approx(3.0)
