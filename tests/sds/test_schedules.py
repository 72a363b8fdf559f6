"""Conversions are inverses of each other, and agree with diffusers' schedulers."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler

from sds.schedules import (
    PREDICTIONS,
    Schedule,
    add_noise,
    ddpm,
    eps_from_output,
    flow,
    model_time,
    target,
    x0_from_eps,
)

T = torch.tensor([3, 250, 745, 990])


def a_schedule(prediction):
    if prediction == "flow_prediction":
        return flow()
    return ddpm(DDPMScheduler(beta_schedule="scaled_linear").alphas_cumprod, prediction)


def a_sample():
    g = torch.Generator().manual_seed(0)
    return torch.randn(4, 2, 3, 5, 5, generator=g), torch.randn(4, 2, 3, 5, 5, generator=g)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_true_target_means_the_true_noise_and_the_true_sample(prediction):
    schedule = a_schedule(prediction)
    x, eps = a_sample()
    x_t = add_noise(schedule, x, eps, T)
    found = eps_from_output(schedule, target(schedule, x, eps, T), x_t, T)
    torch.testing.assert_close(found, eps, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(x0_from_eps(schedule, eps, x_t, T), x, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_output_and_eps_are_inverses(prediction):
    schedule = a_schedule(prediction)
    x_t, output = a_sample()
    eps = eps_from_output(schedule, output, x_t, T)
    back = target(schedule, x0_from_eps(schedule, eps, x_t, T), eps, T)
    torch.testing.assert_close(back, output, atol=1e-3, rtol=1e-4)
    # fp32 loses digits where alpha is small; where it is not, the inverse is tight.
    torch.testing.assert_close(back[:2], output[:2], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS[:3])
def test_ddpm_agrees_with_diffusers(prediction):
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=0,
    )
    schedule = ddpm(scheduler.alphas_cumprod, prediction)
    x, eps = a_sample()
    x_t = add_noise(schedule, x, eps, T)
    torch.testing.assert_close(x_t, scheduler.add_noise(x, eps, T))
    if prediction == "v_prediction":
        torch.testing.assert_close(
            target(schedule, x, eps, T), scheduler.get_velocity(x, eps, T), atol=1e-5, rtol=1e-5
        )
    scheduler.set_timesteps(1000)
    for row, t in enumerate(T):
        output = eps[row]
        got = eps_from_output(schedule, output[None], x_t[row : row + 1], t[None])
        want = scheduler.step(output, int(t), x_t[row]).pred_original_sample
        torch.testing.assert_close(
            x0_from_eps(schedule, got, x_t[row : row + 1], t[None])[0], want, atol=2e-3, rtol=1e-3
        )


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_agrees_with_diffusers(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    schedule = flow(1000, shift)
    sigmas = scheduler.sigmas.flip(0)  # sigma of 1/1000, 2/1000, ... 1
    torch.testing.assert_close(schedule.sigma[1:], sigmas[:-1])
    torch.testing.assert_close(
        model_time(schedule, T), scheduler.timesteps.flip(0)[T - 1], atol=1e-3, rtol=1e-6
    )
    x, eps = a_sample()
    noised = scheduler.scale_noise(x, scheduler.timesteps.flip(0)[T - 1], eps)
    torch.testing.assert_close(add_noise(schedule, x, eps, T), noised)


def test_model_time_is_t_itself_for_ddpm_and_stays_integer():
    t = model_time(a_schedule("epsilon"), T)
    assert t.dtype == torch.long and torch.equal(t, T)


def test_float_timesteps_are_refused():
    schedule = flow()
    assert int(torch.tensor(745).bfloat16()) == 744
    with pytest.raises(TypeError, match=r"torch\.long"):
        add_noise(schedule, *a_sample(), T.bfloat16())


def test_bad_schedules_are_refused():
    with pytest.raises(ValueError, match="use one of"):
        Schedule(torch.ones(3), torch.ones(3), "noise")
    with pytest.raises(ValueError, match=r"\(T,\)"):
        Schedule(torch.ones(3), torch.ones(4), "epsilon")
