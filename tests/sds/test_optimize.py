"""Resuming, failing and yielding."""

import copy

import pytest
import torch

from sds.optimize import NonFinite, optimize, step_generator


def begun(lr=0.1):
    x = torch.zeros(3, 4)
    return x, torch.optim.Adam([x], lr=lr)


def noisy_pull(x, calls=None):
    """Gradient of |x - 1|^2 / 2 with noise that depends on the step only."""

    def gradient(index):
        if calls is not None:
            calls.append(index)
        x.grad = x - 1 + 0.1 * torch.randn(x.shape, generator=step_generator(5, index))
        return x.grad.square().mean()

    return gradient


def test_assigned_gradients_reach_the_answer():
    x, optimizer = begun(lr=0.05)
    calls = []
    steps = list(optimize(noisy_pull(x, calls), [x], optimizer, 300))
    assert calls == [s.index for s in steps] == list(range(300))
    assert (x - 1).abs().max() < 0.2 and all(s.finite() for s in steps)
    assert steps[0].value.item() > steps[-1].value.item()


def test_backward_gradients_work_and_do_not_pile_up():
    x = torch.zeros(3, requires_grad=True)

    def gradient(index):
        loss = (x - 2).square().sum() / 2
        loss.backward()
        return loss

    steps = list(optimize(gradient, [x], torch.optim.SGD([x], lr=0.5), 20))
    # Each step halves the distance exactly; gradients that piled up would not.
    torch.testing.assert_close(x.detach(), torch.full((3,), 2 - 2 * 0.5**20))
    assert not steps[0].value.requires_grad


@pytest.mark.parametrize("last", [0, 4, 10])
def test_a_resumed_run_is_the_same_run(last):
    x, optimizer = begun()
    list(optimize(noisy_pull(x), [x], optimizer, 12))
    y, first = begun()
    run = optimize(noisy_pull(y), [y], first, 12)
    while (step := next(run)).index < last:
        pass
    saved = copy.deepcopy(step.state())
    assert saved["step"] == last + 1 and torch.equal(saved["parameters"][0], y)
    run.close()
    z, second = begun()
    indices = [s.index for s in optimize(noisy_pull(z), [z], second, 12, saved)]
    assert indices == list(range(last + 1, 12)) and torch.equal(z, x)


def test_without_the_optimisers_state_it_would_be_another_run():
    """That the state above matters: Adam that forgot its moments ends elsewhere."""
    x, optimizer = begun()
    steps = [copy.deepcopy(step.state()) for step in optimize(noisy_pull(x), [x], optimizer, 12)]
    z, second = begun()
    list(optimize(noisy_pull(z), [z], second, 12, steps[4] | {"optimizer": {}}))
    assert not torch.equal(z, x)


def test_a_resumed_run_has_the_rates_of_now_and_other_shapes_are_refused():
    x, optimizer = begun(lr=0.0)
    (step,) = optimize(noisy_pull(x), [x], optimizer, 1)
    saved = copy.deepcopy(step.state())
    z, second = begun(lr=0.5)
    list(optimize(noisy_pull(z), [z], second, 2, saved))
    assert not torch.equal(z, x)
    other = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="other shapes"):
        list(optimize(noisy_pull(other), [other], torch.optim.Adam([other]), 2, saved))


@pytest.mark.parametrize("bad, poison", [(0, "grad"), (3, "grad"), (9, "grad"), (3, "value")])
def test_nan_restores_the_last_good_state_and_names_the_remedy(bad, poison):
    x, optimizer = begun()
    good = {}

    def gradient(index):
        if index <= bad:
            good[index] = x.clone()
        value = noisy_pull(x)(index)
        if index == bad and poison == "grad":
            x.grad[0, 0] = torch.nan
        return value * torch.nan if index == bad and poison == "value" else value

    with pytest.raises(NonFinite, match=rf"step {bad} .*VAE in fp32.*bf16.*guidance"):
        list(optimize(gradient, [x], optimizer, 10))
    assert torch.equal(x, good[bad])


def test_a_parameter_that_overflows_is_caught_too():
    x = torch.full((2,), 3e38)

    def gradient(index):
        x.grad = torch.full((2,), -3e38)
        return torch.zeros(())

    with pytest.raises(NonFinite):
        list(optimize(gradient, [x], torch.optim.SGD([x], lr=1.0), 3))
    assert x.eq(3e38).all()


def test_closing_right_after_a_bad_step_leaves_the_last_good_state():
    x, optimizer = begun()

    def gradient(index):
        x.grad = torch.full_like(x, torch.nan if index == 1 else 1.0)
        return torch.zeros(())

    run = optimize(gradient, [x], optimizer, 10)
    assert next(run).finite()
    good = x.clone()
    assert not next(run).finite() and x.isnan().all()
    run.close()
    assert torch.equal(x, good)


def test_a_gradient_that_raises_on_a_bad_state_still_restores_it():
    x, optimizer = begun()

    def gradient(index):
        if index == 1:
            raise RuntimeError("renderer met NaN")
        x.grad = torch.full_like(x, torch.nan)
        return torch.zeros(())

    with pytest.raises(RuntimeError, match="renderer"):
        list(optimize(gradient, [x], optimizer, 10))
    assert x.eq(0).all()


def test_yielding_leaves_the_grad_mode_alone():
    x, optimizer = begun()
    run = optimize(noisy_pull(x), [x], optimizer, 4)
    assert torch.is_grad_enabled()
    next(run)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    with torch.no_grad():
        next(run)
        assert not torch.is_grad_enabled()
    next(run)
    assert torch.is_grad_enabled()
    run.close()
    assert torch.is_grad_enabled()


def test_wrong_use_is_refused():
    x, optimizer = begun()
    with pytest.raises(ValueError, match=r"parameters\[0\]\.grad empty"):
        next(optimize(lambda index: torch.zeros(()), [x], optimizer, 1))
    half = torch.zeros(2, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="fp32"):
        next(optimize(lambda index: torch.zeros(()), [half], optimizer, 1))


def test_step_generator_depends_on_seed_and_index_only():
    def draw(seed, index):
        return torch.randn(64, generator=step_generator(seed, index))

    assert torch.equal(draw(1, 2), draw(1, 2))
    draws = torch.stack([draw(s, i) for s in range(8) for i in range(50)])
    assert len(draws.unique(dim=0)) == 400
    correlation = torch.corrcoef(draws) - torch.eye(400)
    assert correlation.abs().max() < 0.7 and correlation.mean().abs() < 0.01


def test_step_generators_are_those_of_splitmix64():
    """The published sequence from 0, without its highest bit: an old seed repeats an old run."""
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    for index, value in enumerate(published):
        assert step_generator(0, index).initial_seed() == value & (2**63 - 1)
    assert step_generator(3, 1).initial_seed() not in published
