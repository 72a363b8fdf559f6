"""One step of CSD, number by number, against a literal transcription of its formulas."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from diffusers import DDPMScheduler
from gaussian import GaussianTeacher
from torch.nn.functional import avg_pool2d, interpolate

from sds import csd
from sds.csd import PAPER, Asking, Cascade, Method, Prompts, distill_cascade
from sds.draws import Rows
from sds.priors import Prior
from sds.schedules import Schedule, ddpm
from sds.super_resolution import GRAIN, show

BAR = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
LOW_BAR = DDPMScheduler(beta_schedule="linear").alphas_cumprod
N, SMALL, LARGE = 6, 4, 8
STEP, STEPS = 3, 5
STAGE_1 = replace(PAPER, lambda_2=(0.0, 0.0))


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@dataclass
class Toy:
    """A teacher that mixes everything it is given, row by row, and remembers how it was asked."""

    schedule: Schedule = field(default_factory=lambda: ddpm(BAR))
    low_schedule: Schedule = field(default_factory=lambda: ddpm(LOW_BAR))
    calls: list = field(default_factory=list)

    def eps(self, x_t, t, cond, low_s=None, s=None):
        assert not torch.is_grad_enabled()
        self.calls.append((t, s))
        return self.answer(x_t, t, cond, low_s, s)

    def answer(self, x_t, t, cond, low_s=None, s=None):
        said = cond.mean(1)[:, :3, None, None]
        out = torch.sin(2 * x_t.roll(1, -1)) + said * x_t.cos() + t.view(-1, 1, 1, 1) / 1000
        return out if low_s is None else out + low_s * (1 + s.view(-1, 1, 1, 1) / 500)


def world(size=LARGE):
    x = rand(N, 3, size, size).requires_grad_()
    return x, Prompts(randn(N, 2, 3, seed=1), randn(1, 2, 3, seed=2))


def cascade():
    return Cascade(Toy(), Toy(), SMALL, LARGE)


def draws(rows, both=True):
    """The randomness of a step, in the order the step draws it."""
    g = torch.Generator().manual_seed(5)
    out = {}
    if both:
        out["t_1"] = torch.randint(20, 981, (rows,), generator=g)
        out["eps_1"] = torch.randn(rows, 3, SMALL, SMALL, generator=g)
    out["s"] = torch.randint(20, 981, (rows,), generator=g)
    out["low_eps"] = torch.randn(rows, 3, LARGE, LARGE, generator=g)
    out["t_2"] = torch.randint(20, 981, (rows,), generator=g)
    out["eps_2"] = torch.randn(rows, 3, LARGE, LARGE, generator=g)
    return out


def literal_gradient(z, t, eps, y, empty, *low):
    """w(t) (eps_hat - eps) of one image, guidance as the released code writes it."""
    bar = BAR[t]
    z_t = bar.sqrt() * z + (1 - bar).sqrt() * eps
    teacher, t = Toy(), torch.tensor([t])
    text, nothing = teacher.answer(z_t, t, y, *low), teacher.answer(z_t, t, empty, *low)
    return (1 - bar) * (text + 20 * (text - nothing) - eps)


def literal_loss(x, prompts, d, lambda_1, lambda_2, low=None):
    """The whole of section 4 without batches: half the squared distance to z - gradient."""
    loss, rms = 0.0, []
    for n in range(len(x)):
        z_2 = 2 * x[n : n + 1] - 1
        z_1 = avg_pool2d(z_2, 2)
        y = prompts.rows[n : n + 1]
        if lambda_1:
            g = literal_gradient(z_1, int(d["t_1"][n]), d["eps_1"][n : n + 1], y, prompts.empty)
            loss = loss + lambda_1 * 0.5 * (z_1 - (z_1 - g).detach()).square().sum() / len(x)
        seen = z_1 if low is None else 2 * low[n : n + 1] - 1
        up = interpolate(seen.detach(), LARGE, mode="bilinear", align_corners=True)
        s = int(d["s"][n])
        low_s = LOW_BAR[s].sqrt() * up + (1 - LOW_BAR[s]).sqrt() * d["low_eps"][n : n + 1]
        shown = (low_s, torch.tensor([s]))
        eps = d["eps_2"][n : n + 1]
        g = literal_gradient(z_2, int(d["t_2"][n]), eps, y, prompts.empty, *shown)
        loss = loss + lambda_2 * 0.5 * (z_2 - (z_2 - g).detach()).square().sum() / len(x)
        rms.append(g.square().mean())
    return loss, torch.stack(rms).mean().sqrt()


def step(cascade, method, prompts, x, index=STEP, low=None, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return distill_cascade(cascade, method, prompts, x, index, STEPS, generator, low)


def gradient(cascade, method, prompts, x, **kind):
    (g,) = torch.autograd.grad(step(cascade, method, prompts, x, **kind).loss, x)
    return g


@pytest.mark.parametrize("low", [None, rand(N, 3, SMALL, SMALL, seed=7)], ids=["joint", "phases"])
def test_a_whole_step_is_the_formulas_number_by_number(low):
    x, prompts = world()
    literal, rms_2 = literal_loss(x, prompts, draws(N), 1.0, 0.8 * STEP / (STEPS - 1), low)
    (want,) = torch.autograd.grad(literal, x)
    got = step(cascade(), PAPER, prompts, x, low=low)
    torch.testing.assert_close(torch.autograd.grad(got.loss, x)[0], want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got.rms_2, rms_2)


def test_stage_2_alone_is_the_formula_and_its_low_image_carries_no_gradient():
    x, prompts = world()
    only = csd.stage_2_only(PAPER)
    assert only.lambda_2 == (0.8, 0.8)
    literal, _ = literal_loss(x, prompts, draws(N, both=False), 0.0, 0.8)
    (want,) = torch.autograd.grad(literal, x)
    got = gradient(replace(cascade(), stage_1=None), only, prompts, x)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_stage_1_alone_and_stage_2_alone_add_up():
    x, prompts = world()
    d = draws(N)
    teachers = cascade()
    shown = show(teachers.stage_2, avg_pool2d(2 * x - 1, 2), LARGE, d["s"], d["low_eps"])
    z = 2 * x - 1
    g_2 = csd.stage_gradient(shown, z, prompts, 21.0, d["t_2"], d["eps_2"])
    g_1 = csd.stage_gradient(
        teachers.stage_1, avg_pool2d(z, 2), prompts, 21.0, d["t_1"], d["eps_1"]
    )
    spread = g_1.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    # dz/dx = 2, the mean over rows 1 / N, and lambda_2 at step 3 of 0..4.
    want = 2 / N * (spread + 0.6 * g_2)
    torch.testing.assert_close(gradient(cascade(), PAPER, prompts, x), want, atol=1e-4, rtol=1e-4)
    first = gradient(cascade(), STAGE_1, prompts, x)
    torch.testing.assert_close(first, 2 / N * spread, atol=1e-4, rtol=1e-4)


def test_a_stage_without_weight_is_never_asked():
    x, prompts = world()
    teachers = cascade()
    got = step(teachers, STAGE_1, prompts, x)
    assert len(teachers.stage_1.calls) == 1 and not teachers.stage_2.calls
    assert got.rms_2 is None and got.rms_1 > 0
    teachers = cascade()
    step(teachers, PAPER, prompts, x, index=0)
    assert len(teachers.stage_1.calls) == 1 and not teachers.stage_2.calls
    teachers = cascade()
    got = step(teachers, csd.second_phase(PAPER), prompts, x)
    assert not teachers.stage_1.calls and len(teachers.stage_2.calls) == 1
    assert got.rms_1 is None and got.rms_2 > 0


@pytest.mark.parametrize(("guidance", "rows"), [(8.0, 2 * 3 * N), (1.0, 3 * N)])
def test_each_teacher_is_asked_once_about_everything(guidance, rows):
    x, prompts = world()
    asking = Asking(guidance=guidance)
    teachers = cascade()
    step(teachers, Method(stage_1=asking, stage_2=asking, noises=3), prompts, x)
    assert [len(t) for t, _ in teachers.stage_1.calls] == [rows]
    ((t, s),) = teachers.stage_2.calls
    assert len(t) == len(s) == rows
    if guidance != 1:
        assert torch.equal(t[: rows // 2], t[rows // 2 :])
        assert torch.equal(s[: rows // 2], s[rows // 2 :])
    assert not torch.equal(t, s)
    assert not torch.equal(t, teachers.stage_1.calls[0][0])
    assert len(t[: 3 * N].unique()) > 2 * N


def test_several_noises_are_averaged():
    x, prompts = world()
    d = draws(3 * N)
    three = gradient(cascade(), replace(PAPER, noises=3), prompts, x)
    parts = []
    for k in range(3):
        rows = slice(k * N, (k + 1) * N)
        loss, _ = literal_loss(x, prompts, {key: v[rows] for key, v in d.items()}, 1.0, 0.6)
        parts.append(torch.autograd.grad(loss, x)[0])
    torch.testing.assert_close(three, torch.stack(parts).mean(0), atol=1e-4, rtol=1e-4)


def test_guidance_changes_nothing_where_the_prompt_says_nothing():
    x, prompts = world()
    silent = Prompts(prompts.empty.expand(N, -1, -1), prompts.empty)
    strong = Method(stage_1=Asking(50.0), stage_2=Asking(50.0))
    none = Method(stage_1=Asking(1.0), stage_2=Asking(1.0))
    torch.testing.assert_close(
        gradient(cascade(), strong, silent, x), gradient(cascade(), none, silent, x)
    )
    assert (gradient(cascade(), strong, prompts, x) - gradient(cascade(), none, prompts, x)).any()


@dataclass(frozen=True)
class GaussianStageTwo:
    """Believes in the low-resolution image plus what the prompt asks for."""

    teacher: GaussianTeacher

    @property
    def schedule(self):
        return self.teacher.schedule

    @property
    def low_schedule(self):
        return self.teacher.schedule

    def eps(self, x_t, t, cond, low_s, s):
        alpha, sigma = (v[t].view(-1, 1, 1, 1) for v in (self.schedule.alpha, self.schedule.sigma))
        mean = low_s / self.low_schedule.alpha[s].view(-1, 1, 1, 1) + cond.view(-1, 1, 1, 1)
        return sigma * (x_t - alpha * mean) / (alpha**2 * self.teacher.std**2 + sigma**2)


def test_descending_finds_the_mean_of_both_gaussian_teachers_in_image_range():
    gaussian = GaussianTeacher(ddpm(BAR), std=0.4)
    assert isinstance(gaussian, Prior)
    prompts = Prompts(torch.full((1, 1, 1), 0.5), torch.zeros(1, 1, 1))
    t = torch.tensor([500])
    low = torch.full((1, 3, SMALL, SMALL), -0.9)
    # No noise at level 0 of a schedule whose first sigma is 0: the image is shown as it is.
    clean = ddpm(torch.cat([torch.ones(1), BAR[1:]]))
    two = GaussianStageTwo(GaussianTeacher(clean, std=0.4))
    shown = show(two, low, LARGE, torch.tensor([0]), randn(1, 3, LARGE, LARGE))
    for prior, size, want in ((gaussian, SMALL, 0.5), (shown, LARGE, -0.4)):
        x, eps = rand(1, 3, size, size), randn(1, 3, size, size)
        for _ in range(300):
            # A noise and its negative: their average has no sampling error for a linear teacher.
            pair = [csd.stage_gradient(prior, 2 * x - 1, prompts, 1.0, t, e) for e in (eps, -eps)]
            x = x - 0.5 * sum(pair)
        torch.testing.assert_close(x, torch.full_like(x, (want + 1) / 2), atol=1e-5, rtol=0)


def test_timesteps_move_linearly_and_levels_can_be_fixed():
    x, prompts = world()
    method = Method(
        lambda_2=(1.0, 1.0),
        stage_1=Asking(times=(300, 900), times_end=(100, 500)),
        stage_2=Asking(times=(600, 600), times_end=(200, 200)),
        noise_levels=(500, 500),
        noises=20,
    )
    seen = []
    for index in range(STEPS):
        teachers = cascade()
        step(teachers, method, prompts, x, index=index)
        (t_1, _), (t_2, s) = teachers.stage_1.calls[0], teachers.stage_2.calls[0]
        assert s.eq(500).all()
        low, high = 300 - 50 * index, 900 - 100 * index
        assert low <= t_1.min() < low + 40 and high - 40 < t_1.max() <= high
        seen += t_2.unique().tolist()
    assert seen == [600, 500, 400, 300, 200]


def test_the_same_generator_repeats_a_step_and_another_does_not():
    x, prompts = world()
    one, two, other = (gradient(cascade(), PAPER, prompts, x, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_the_low_image_is_spread_from_corner_to_corner():
    low = rand(1, 3, SMALL, SMALL)
    clean = ddpm(torch.ones(1000))
    shown = show(Toy(low_schedule=clean), low, LARGE, torch.tensor([9]), low.new_zeros(()))
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        torch.testing.assert_close(shown.low_s[(..., *corner)], low[(..., *corner)])


def test_what_is_missing_is_named():
    x, prompts = world()
    none = Cascade(None, None, SMALL, LARGE)
    with pytest.raises(ValueError, match="stage I has a weight but no teacher"):
        step(none, PAPER, prompts, x)
    with pytest.raises(ValueError, match="stage II has a weight but no teacher"):
        step(replace(none, stage_1=Toy()), PAPER, prompts, x)
    with pytest.raises(ValueError, match="neither stage has a weight"):
        step(cascade(), replace(PAPER, lambda_1=0.0), prompts, x, index=0)
    with pytest.raises(ValueError, match="4x4 cannot be downsampled to 8x8"):
        step(cascade(), PAPER, prompts, world(SMALL)[0])


def test_the_papers_numbers():
    assert PAPER.stage_1 == PAPER.stage_2 == Asking(21.0, (20, 980), (20, 980))
    assert (PAPER.lambda_1, PAPER.lambda_2) == (1.0, (0.0, 0.8))
    assert PAPER.noise_levels == (20, 980) and PAPER.noises == 1


def test_a_crop_is_one_square_of_all_that_is_seen_and_goes_on_at_the_other_side():
    x, prompts = world(32)
    teachers = Cascade(None, Toy(), SMALL, 32)
    got = gradient(teachers, replace(csd.stage_2_only(PAPER), crop=0.5), prompts, x)
    g = torch.Generator().manual_seed(5)
    s = torch.randint(20, 981, (N,), generator=g)
    low_eps = torch.randn(N, 3, 32, 32, generator=g)
    corners = torch.randint(32, (N, 2), generator=g)
    assert (corners > 16).any()
    t, eps = torch.randint(20, 981, (N,), generator=g), torch.randn(N, 3, 16, 16, generator=g)
    want = torch.zeros_like(x)
    z = (2 * x - 1).detach()
    up = interpolate(avg_pool2d(z, 8), 32, mode="bilinear", align_corners=True)
    for n, (i, j) in enumerate(corners.tolist()):
        rows, columns = (torch.arange(k, k + 16) % 32 for k in (i, j))
        square = (slice(n, n + 1), slice(None), rows[:, None], columns)
        low_s = LOW_BAR[s[n]].sqrt() * up[square] + (1 - LOW_BAR[s[n]]).sqrt() * low_eps[square]
        seen = (prompts.rows[n : n + 1], prompts.empty, low_s, s[n : n + 1])
        g_2 = literal_gradient(z[square], int(t[n]), eps[n : n + 1], *seen)
        # dz/dx = 2, the mean over rows, and four such squares make the whole.
        want[square] = 4 * 2 / N * 0.8 * g_2
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


class Flat(Toy):
    """Asks for the same at every pixel, whatever it is shown."""

    def answer(self, x_t, t, cond, low_s=None, s=None):
        return torch.ones_like(x_t)


def test_the_mean_over_all_places_of_a_crop_is_the_whole_gradient(monkeypatch):
    x, prompts = world(32)
    only = csd.second_phase(replace(PAPER, stage_2=Asking(times=(500, 500), times_end=(500, 500))))
    teachers = Cascade(None, Flat(), SMALL, 32)
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: torch.zeros(*shape))
    whole = gradient(teachers, only, prompts, x)
    places, drawn = torch.cartesian_prod(torch.arange(32), torch.arange(32)), torch.randint
    total = torch.zeros_like(whole)
    for place in places:
        monkeypatch.setattr(
            torch,
            "randint",
            lambda *asked, p=place, **kind: (
                p.expand(N, 2) if asked[1] == (N, 2) else drawn(*asked, **kind)
            ),
        )
        total += gradient(teachers, replace(only, crop=0.5), prompts, x)
    torch.testing.assert_close(total / len(places), whole, atol=1e-5, rtol=1e-4)


def test_renders_that_are_elsewhere_change_no_crop():
    x, prompts = world(32)
    method = replace(PAPER, lambda_2=(0.8, 0.8), noises=2, crop=0.5)
    teachers = Cascade(Toy(), Toy(), SMALL, 32)
    whole, halves = gradient(teachers, method, prompts, x), torch.zeros_like(x)
    for here in (torch.tensor([0, 3, 4]), torch.tensor([1, 2, 5])):
        some = replace(prompts, rows=prompts.rows[here])
        generator = torch.Generator().manual_seed(5)
        asked = (teachers, method, some, x[here], STEP, STEPS, generator)
        (g,) = torch.autograd.grad(distill_cascade(*asked, rows=Rows(here, N)).loss, x)
        halves += g
    torch.testing.assert_close(halves, whole)


def test_a_crop_is_no_smaller_than_networks_can_halve():
    x, prompts = world(32)
    only = csd.stage_2_only(PAPER)
    teachers = Cascade(None, Toy(), SMALL, 32)
    small = gradient(teachers, replace(only, crop=0.01), prompts, x)
    assert [int((row != 0).any(0).sum()) for row in small] == [GRAIN**2] * N
    # A render of no more than that is seen whole, with nothing drawn for its place.
    x, teachers = world()[0], Cascade(None, Toy(), SMALL, LARGE)
    whole = gradient(teachers, only, prompts, x)
    assert gradient(teachers, replace(only, crop=0.5), prompts, x).equal(whole)


def test_a_row_gets_its_share_of_the_guidance_beyond_1():
    x, prompts = world()
    method = replace(PAPER, lambda_2=(0.8, 0.8), stage_1=Asking(9.0), stage_2=Asking(9.0))

    def gradient(method, share):
        (found,) = torch.autograd.grad(
            distill_cascade(
                cascade(),
                method,
                replace(prompts, share=share),
                x,
                0,
                2,
                torch.Generator().manual_seed(5),
            ).loss,
            x,
        )
        return found

    lower = replace(method, stage_1=Asking(3.0), stage_2=Asking(3.0))
    share = torch.ones(N)
    share[1] = 0.25
    mixed = gradient(method, share)
    whole, little = gradient(method, None), gradient(lower, None)
    torch.testing.assert_close(mixed[1], little[1])
    torch.testing.assert_close(mixed[[0, *range(2, N)]], whole[[0, *range(2, N)]])
    plain = replace(method, stage_1=Asking(1.0), stage_2=Asking(1.0))
    assert torch.equal(gradient(plain, share), gradient(plain, None))
