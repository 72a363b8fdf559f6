"""The loop of every edit of latents: which timesteps, at what rate, with whose randomness."""

import copy
from itertools import pairwise

import pytest
import torch

from sds.descent import RATE, REST, descend, euler_rates, falling_rates
from sds.optimize import NonFinite
from sds.schedules import flow
from sds.timesteps import descending

X_SRC = torch.rand(1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def moved(gradient, steps, **options):
    x = X_SRC.clone()
    values = [float(step.value[0]) for step in descend(gradient, x, X_SRC, steps, **options)]
    return x, values


def test_it_visits_falling_timesteps_at_the_stated_rate():
    seen = []

    def gradient(x, t, generator):
        seen.append(t)
        return torch.full_like(x, t / 1000)

    x, values = moved(gradient, 91, seed=0, strength=0.5, low=50, high=950)
    assert seen == list(range(950, 49, -10))
    fall = [1 - (1 - REST) * k / 90 for k in range(91)]
    gone = sum(rate * t for rate, t in zip(fall, seen, strict=True)) / 1000
    torch.testing.assert_close(x, X_SRC - 0.5 * RATE / 91 * gone)
    assert values[0] == 0
    assert values[1] == pytest.approx(0.5 * RATE / 91 * 0.95, rel=1e-5)


def test_a_step_is_never_longer_than_the_teacher_sees():
    x, _ = moved(lambda x, t, generator: x - 1, 1, seed=0)
    torch.testing.assert_close(x, torch.ones_like(x))


def test_few_steps_begin_at_1_and_many_at_their_share_and_all_fall_alike():
    for steps, first in ((2, 1), (10, 1), (40, RATE / 40)):
        rates = falling_rates(steps)
        assert rates[0] == pytest.approx(first) and rates[-1] == pytest.approx(REST * first)
        assert all(a - b == pytest.approx(rates[0] - rates[1]) for a, b in pairwise(rates))
    assert falling_rates(1) == [1]


def test_the_noise_follows_from_the_seed():
    def gradient(x, t, generator):
        return torch.randn(x.shape, generator=generator)

    first, _ = moved(gradient, 3, seed=1)
    assert torch.equal(first, moved(gradient, 3, seed=1)[0])
    assert not torch.equal(first, moved(gradient, 3, seed=2)[0])


def test_nothing_moves_where_the_gate_is_zero():
    gate = (torch.arange(4) < 2).float().view(1, 1, 1, 1, 4)
    x, _ = moved(lambda x, t, generator: torch.ones_like(x), 50, seed=0, gate=gate)
    assert torch.equal(x[..., 2:], X_SRC[..., 2:])
    torch.testing.assert_close(x[..., :2], X_SRC[..., :2] - RATE * (1 + REST) / 2)


def test_it_goes_on_to_where_it_would_have_ended():
    def gradient(x, t, generator):
        return x * t / 1000 + torch.randn(x.shape, generator=generator)

    whole, values = moved(gradient, 7, seed=1)
    half = X_SRC.clone()
    run = descend(gradient, half, X_SRC, 7, 1)
    state = [next(run).state() for _ in range(3)][-1]
    saved = copy.deepcopy(state)
    run.close()
    x, rest = moved(gradient, 7, seed=1, since=saved)
    assert torch.equal(x, whole) and rest == values[3:]


def noisy(x, t, generator):
    return x * t / 1000 + torch.randn(x.shape, generator=generator)


def test_several_steps_ask_about_the_same_x_and_their_mean_moves_it():
    seen = []

    def gradient(x, t, generator):
        seen.append((t, x.clone(), noisy(x, t, generator)))
        return seen[-1][2]

    x, values = moved(gradient, 7, seed=1, low=50, high=350, moves=3, finish=torch.sinh)
    assert [t for t, *_ in seen] == [350] * 3 + [200] * 2 + [50] * 2
    expected = X_SRC.clone()
    for rate, group in zip(falling_rates(3), (seen[:3], seen[3:5], seen[5:]), strict=True):
        assert all(torch.allclose(asked, expected, atol=1e-6) for _, asked, _ in group)
        mean = torch.stack([said for *_, said in group]).mean(0)
        expected = expected - rate * mean.sinh()
    torch.testing.assert_close(x, expected)
    assert values[:3] == [0, 0, 0] and values[3] == values[4] > 0
    # The noise of a step is the step's, whatever move it belongs to.
    assert not torch.equal(seen[0][2], seen[1][2])


def test_what_lies_ahead_is_the_move_by_what_was_said_so_far():
    said = []

    def gradient(x, t, generator):
        said.append(torch.randn(x.shape, generator=generator))
        return said[-1]

    x, gate = X_SRC.clone(), torch.tensor([0.0, 0.25, 1, 1])
    for step in descend(gradient, x, X_SRC, 6, 2, 0.5, gate, moves=2, finish=torch.sign):
        ahead = step.ahead()
        if step.index in (2, 5):
            assert ahead is x
            continue
        so_far = torch.stack(said[step.index // 3 * 3 :]).mean(0)
        rate = 0.5 * falling_rates(2)[step.index // 3]
        torch.testing.assert_close(ahead, x - rate * gate * so_far.sign())


def test_more_moves_than_steps_are_a_move_at_every_step():
    every, _ = moved(noisy, 5, seed=1)
    for moves in (0, 5, 9):
        assert torch.equal(moved(noisy, 5, seed=1, moves=moves)[0], every)


@pytest.mark.parametrize("taken", [1, 2, 3, 4])
def test_between_two_moves_it_goes_on_to_where_it_would_have_ended(taken):
    whole, values = moved(noisy, 6, seed=1, moves=2)
    half = X_SRC.clone()
    run = descend(noisy, half, X_SRC, 6, 1, moves=2)
    saved = copy.deepcopy([next(run).state() for _ in range(taken)][-1])
    run.close()
    x, rest = moved(noisy, 6, seed=1, moves=2, since=saved)
    assert torch.equal(x, whole) and rest == values[taken:]


def test_what_is_not_finite_is_seen_before_the_move():
    def gradient(x, t, generator):
        calls.append(t)
        return torch.full_like(x, float("inf") if len(calls) == 2 else 1.0)

    calls = []
    x = X_SRC.clone()
    with pytest.raises(NonFinite, match="step 1"):
        list(descend(gradient, x, X_SRC, 20, 0, moves=2))
    assert torch.equal(x, X_SRC) and len(calls) == 3


def test_along_a_flow_it_takes_euler_steps_that_end_at_no_noise():
    sigma = flow(shift=3.0).sigma
    visits = descending(5, 20, 700).tolist()
    v = torch.full_like(X_SRC, 0.3)
    x, _ = moved(lambda x, t, generator: sigma[t] * v, 5, seed=0, low=20, high=700, sigma=sigma)
    torch.testing.assert_close(x, X_SRC - sigma[700] * v)
    rates = euler_rates(sigma, visits)
    assert rates[-1] == 1 and all(0 < rate <= 1 for rate in rates)
    half, _ = moved(
        lambda x, t, generator: sigma[t] * v, 5, seed=0, low=20, high=700, sigma=sigma, strength=0.5
    )
    torch.testing.assert_close(half, X_SRC - 0.5 * sigma[700] * v)
