"""The methods against a teacher of closed form: the data of every prompt are one Gaussian.

With std 0 the best answer to x_t is eps_hat = (x_t - alpha m) / sigma, guidance moves m linearly,
and every gradient is free of the noise: SDS x - m, DDS (x - m) - (x_src - m_src).
"""

from dataclasses import dataclass, field, fields, replace
from math import prod
from types import SimpleNamespace

import pytest
import torch

from miniature import baselines
from miniature.baselines import (
    EVERYWHERE,
    Task,
    by_method,
    by_sdedit,
    by_sds,
    methods,
    sdedit,
    sds_gradient,
    variations,
)
from pipelines.teachers.loaded import LoadedVideoTeacher
from pipelines.teachers.teacher import Recipe
from sds.assd import DDS, Method, Prompts, Teachers
from sds.descent import falling_rates
from sds.schedules import ddpm
from sds.temporal import adaptive_mask
from tests.sds.gaussian import GaussianTeacher

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
SCHEDULE = ddpm((1 - BETAS).cumprod(0), "v_prediction")
FRAMES = 0.4 + 0.2 * torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
"""Far enough from 0 and 1 that no edit below is clamped."""


@dataclass(frozen=True)
class Teacher(GaussianTeacher):
    asked: list = field(default_factory=list)
    network = None

    def eps(self, x_t, t, cond):
        self.asked.append((int(t[0]), len(x_t)))
        return super().eps(x_t, t, cond)


def teacher(std=0.0):
    return Teacher(SCHEDULE, std)


def prompts(source, target, empty=0.0):
    return Prompts(*torch.tensor([source, target, empty]).view(3, 1, 1, 1))


def folded(frames):
    return frames.transpose(0, 1).unsqueeze(0)


def loaded(std=0.0):
    """A teacher whose latents are the pixels themselves."""
    codec = SimpleNamespace(encode=folded, decode=lambda z: z.squeeze(0).transpose(0, 1))
    teachers = Teachers(teacher(std), teacher(std), window=16)
    return LoadedVideoTeacher(teachers, codec, device=torch.device("cpu"), multiple=1)


def task(source=0.1, target=0.12):
    return Task(FRAMES, folded(FRAMES), prompts(source, target), seed=3)


def travelled(steps):
    """How much of the way to a fixed point the loop goes when the gradient is x - goal."""
    return 1 - prod(1 - rate for rate in falling_rates(steps))


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_sds_pulls_to_the_prompts_own_mean(guidance):
    x, t = folded(FRAMES), 400
    gradient = sds_gradient(teacher(), prompts(0.9, 0.2, 0.1), guidance)
    mean = 0.1 + guidance * 0.1
    got = gradient(x, t, torch.Generator().manual_seed(0))
    torch.testing.assert_close(got, x - mean, atol=2e-6, rtol=1e-4)


def test_sds_forgets_the_source_and_dds_moves_it_by_the_difference_of_the_means():
    steps = 14
    forgotten = by_sds(loaded(), 7.5, Recipe(), steps)(task(target=0.06))
    expected = FRAMES + travelled(steps) * (7.5 * 0.06 - FRAMES)
    torch.testing.assert_close(forgotten, expected, atol=1e-4, rtol=0)
    edited = by_method(loaded(), Recipe(DDS), steps)(task())
    scales = DDS.guidance_target * 0.12 - DDS.guidance_source * 0.1
    torch.testing.assert_close(edited, FRAMES + travelled(steps) * scales, atol=1e-4, rtol=0)


def test_the_noise_levels_are_the_recipes(monkeypatch):
    seen = []
    monkeypatch.setattr(
        baselines, "descend", lambda *asked, finish, **levels: seen.append(levels) or []
    )
    recipe = Recipe(DDS, high=300, low=100, moves=7)
    for function in (by_sds(loaded(), 7.5, recipe, 2), by_method(loaded(), recipe, 2)):
        function(task())
    assert seen == [{"low": 100, "high": 300, "moves": 7}] * 2


def test_nothing_asked_leaves_the_source_to_the_last_bit():
    for method in (DDS, replace(Method(), fusion=1.0), replace(Method(), joint=0.0, fusion=1.0)):
        assert torch.equal(by_method(loaded(std=0.3), Recipe(method), 3)(task(0.1, 0.1)), FRAMES)


def test_smoothing_along_the_flow_gets_the_clips_own_flow():
    frames = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    method = replace(Method(), fusion=1.0, smooth_along_flow=True)
    mine = Task(frames, folded(frames), prompts(0.1, 0.12), seed=0)
    along = by_method(loaded(std=0.3), Recipe(method), 2)(mine)
    here = by_method(loaded(std=0.3), Recipe(replace(method, smooth_along_flow=False)), 2)(mine)
    assert along.isfinite().all() and not torch.equal(along, here)


@pytest.mark.parametrize("strength", [0.4, 0.8])
def test_sdedit_ends_at_the_mean_of_a_teacher_that_knows_one_picture(strength):
    ours = teacher()
    mean = 0.1 + 3.0 * 0.2
    generator = torch.Generator().manual_seed(0)
    got = sdedit(
        ours, prompts(0.0, 0.3, 0.1), folded(FRAMES), strength, 3.0, round(25 * strength), generator
    )
    torch.testing.assert_close(got, torch.full_like(got, mean), atol=1e-4, rtol=0)
    # 40 timesteps apart, from strength T down to the last before clean; two rows for guidance.
    assert ours.asked == [(t, 2) for t in range(round(1000 * strength), 0, -40)]


def test_sdedit_follows_the_probability_flow_of_a_gaussian():
    std, mean, start = 0.3, 0.5, 600
    x_src = folded(FRAMES)
    noise = torch.randn(x_src.shape, generator=torch.Generator().manual_seed(5))
    alpha, sigma = SCHEDULE.alpha[start], SCHEDULE.sigma[start]
    x_t = alpha * x_src + sigma * noise
    # The flow keeps the standard score: (x_t - alpha m) / sqrt(alpha^2 std^2 + sigma^2).
    score = (x_t - alpha * mean) / (alpha**2 * std**2 + sigma**2).sqrt()
    # The last jump, from t = 1, is to the posterior's mean, which lies closer to m than the sample.
    alpha, sigma = SCHEDULE.alpha[1], SCHEDULE.sigma[1]
    exact = mean + score * alpha * std**2 / (alpha**2 * std**2 + sigma**2).sqrt()
    generator = torch.Generator().manual_seed(5)
    fine = sdedit(teacher(std), prompts(0, mean), x_src, 0.6, 1.0, 600, generator)
    torch.testing.assert_close(fine, exact, atol=5e-3, rtol=0)
    assert (fine - x_src).abs().mean() > 0.1


def test_sdedit_needs_a_strength_between_0_and_1():
    for strength, steps in ((0.0, 1), (1.0, 25), (0.4, 0)):
        with pytest.raises(ValueError, match="strength"):
            sdedit(
                teacher(), prompts(0, 0), folded(FRAMES), strength, 1.0, steps, torch.Generator()
            )


def test_sdedit_takes_its_share_of_the_steps_and_returns_what_it_decodes():
    ours = loaded()
    got = by_sdedit(ours, 0.6, 2.0)(task(target=0.25))
    assert len(ours.teachers.video.asked) == 15
    torch.testing.assert_close(got, torch.full_like(got, 0.5), atol=1e-4, rtol=0)


def test_each_variation_differs_in_one_part():
    base = replace(Method(), anchor=0.1)
    found = variations(base)
    assert set(found) == {
        "assd-no-smoothing",
        "assd-smooth-everywhere",
        "assd-smooth-along-flow",
        "assd-no-joint",
        "assd-no-fusion",
        "assd-no-focus",
        "assd-no-anchor",
    }
    for method in found.values():
        assert sum(getattr(method, f.name) != getattr(base, f.name) for f in fields(base)) == 1
    assert variations(DDS) == {}
    along = variations(replace(base, smooth_along_flow=True))
    assert along["assd-smooth-in-place"] == base


def test_smoothing_everywhere_means_every_cell():
    g = torch.randn(1, 4, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    assert adaptive_mask(g, EVERYWHERE).eq(1).all()


def test_the_benchmark_has_every_method():
    names = list(methods(loaded(), Recipe(), 2))
    assert names[:7] == ["no-edit", "sdedit-0.4", "sdedit-0.6", "sdedit-0.8", "sds", "dds", "assd"]
    assert names[7:] == [*variations(Method()), "assd-no-steadying", "dds-steadied"]
    assert list(methods(loaded(), Recipe(steady=1), 2)) == names[:-2]


def test_only_the_methods_own_change_is_steadied(monkeypatch):
    sizes = []
    monkeypatch.setattr(baselines, "steadied", lambda c, f, size: sizes.append(size) or c)
    found = methods(loaded(), Recipe(replace(Method(), fusion=1.0), steady=5), 1)
    for name in ("sds", "dds", "assd", "assd-no-joint", "assd-no-steadying", "dds-steadied"):
        found[name](task())
    assert sizes == [1, 1, 5, 5, 1, 5]
