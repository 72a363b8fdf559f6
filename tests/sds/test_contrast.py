"""Guidance from a neighbouring prompt: what it adds, to which rows, and what it leaves."""

from dataclasses import replace

import torch
from gaussian import GaussianTeacher
from test_csd import (
    BAR,
    LARGE,
    LOW_BAR,
    STAGE_1,
    STEPS,
    N,
    Toy,
    cascade,
    draws,
    gradient,
    randn,
    world,
)
from torch.nn.functional import avg_pool2d, interpolate

from sds import csd, super_resolution
from sds.contrast import Contrast
from sds.csd import PAPER, Asking, Method, distill_cascade
from sds.schedules import add_noise, ddpm

ROWS = torch.tensor([1, 4])
UNLIKE = randn(1, 2, 3, seed=8)


def parts(size=LARGE):
    return torch.rand(N, 1, size, size, generator=torch.Generator().manual_seed(9))


def contrast(scale=3.0, part=None):
    return Contrast(ROWS, scale, parts() if part is None else part)


def contrasted(kind, method=STAGE_1, teachers=None, unlike=UNLIKE):
    x, prompts = world()
    generator = torch.Generator().manual_seed(5)
    prompts = replace(prompts, unlike=unlike)
    asked = (teachers or cascade(), method, prompts, x, 3, STEPS, generator)
    loss = distill_cascade(*asked, contrast=kind).loss
    return torch.autograd.grad(loss, x)[0]


def literal(part, cond, unlike, weight):
    """What is added to one row's gradient: (C, h, w)."""
    added = torch.zeros_like(cond)
    for channel, values in enumerate(cond - unlike):
        whole = (part[0] * values).sum() / (part[0] ** 2).sum()
        added[channel] = weight * 3.0 * (values - whole * part[0])
    return added


def test_it_is_the_formula_number_by_number():
    x, prompts = world()
    d, kind = draws(N), contrast()
    z = avg_pool2d(2 * x.detach() - 1, 2)
    small = avg_pool2d(kind.part, 2)
    want = torch.zeros_like(z)
    for row in ROWS.tolist():
        t = d["t_1"][row : row + 1]
        z_t = add_noise(ddpm(BAR), z[row : row + 1], d["eps_1"][row : row + 1], t)
        cond, unlike = (Toy().answer(z_t, t, y)[0] for y in (prompts.rows[row : row + 1], UNLIKE))
        want[row] = literal(small[row], cond, unlike, 1 - BAR[t])
    spread = want.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    added = contrasted(kind) - gradient(cascade(), STAGE_1, prompts, x)
    torch.testing.assert_close(added, 2 / N * spread, atol=1e-4, rtol=1e-4)


def test_stage_2_is_told_in_the_same_way_number_by_number():
    x, prompts = world()
    d, kind, method = draws(N, both=False), contrast(), csd.stage_2_only(PAPER)
    z = 2 * x.detach() - 1
    up = interpolate(avg_pool2d(z, 2), LARGE, mode="bilinear", align_corners=True)
    want = torch.zeros_like(z)
    for row in ROWS.tolist():
        one, t, s = slice(row, row + 1), d["t_2"][row : row + 1], d["s"][row : row + 1]
        z_t = add_noise(ddpm(BAR), z[one], d["eps_2"][one], t)
        low_s = add_noise(ddpm(LOW_BAR), up[one], d["low_eps"][one], s)
        cond, unlike = (Toy().answer(z_t, t, y, low_s, s)[0] for y in (prompts.rows[one], UNLIKE))
        want[row] = 0.8 * literal(kind.part[row], cond, unlike, 1 - BAR[t])
    added = contrasted(kind, method) - gradient(cascade(), method, prompts, x)
    torch.testing.assert_close(added, 2 / N * want, atol=1e-4, rtol=1e-4)


def test_the_part_is_cut_where_its_render_is(monkeypatch):
    monkeypatch.setattr(super_resolution, "GRAIN", 4)
    method = replace(csd.stage_2_only(PAPER), crop=0.5)
    x, prompts = world()
    kind = contrast()
    without = gradient(cascade(), method, prompts, x)
    added = contrasted(kind, method) - without
    for row in ROWS.tolist():
        touched = (added[row] != 0).any(0)
        assert 0 < touched.sum() <= (LARGE // 2) ** 2
        assert not touched[(without[row] == 0).all(0)].any()
        # A square of the part from elsewhere would not take its colour out.
        whole = (kind.part[row] * added[row]).sum((1, 2))
        assert whole.abs().max() < 1e-4 * added[row].abs().max()


def test_it_moves_no_colour_as_a_whole_and_no_row_but_its_own():
    cond, unlike = randn(N, 3, 4, 4, seed=1), randn(2, 3, 4, 4, seed=2)
    kind = contrast(part=parts(4))
    added = kind.added(torch.zeros_like(cond), cond, unlike)
    assert added[ROWS].abs().amax((1, 2, 3)).min() > 0.1
    whole = (kind.part * added)[ROWS].sum((2, 3))
    torch.testing.assert_close(whole, torch.zeros_like(whole), atol=1e-5, rtol=0)
    others = [n for n in range(N) if n not in ROWS.tolist()]
    assert not added[others].any()
    one_sided = kind.added(torch.zeros_like(cond), cond, (cond - 0.5 * kind.part)[ROWS])
    torch.testing.assert_close(one_sided, torch.zeros_like(cond), atol=1e-5, rtol=0)


def test_two_prompts_that_say_the_same_have_none():
    x, prompts = world()
    same = contrasted(replace(contrast(), rows=ROWS[:1]), PAPER, unlike=prompts.rows[1:2])
    torch.testing.assert_close(same, gradient(cascade(), PAPER, prompts, x))


def test_where_the_part_is_not_seen_nothing_is_taken_out():
    cond, unlike = randn(N, 3, 4, 4, seed=1), randn(2, 3, 4, 4, seed=2)
    added = contrast(part=torch.zeros(N, 1, 4, 4)).added(torch.zeros_like(cond), cond, unlike)
    torch.testing.assert_close(added[ROWS], 3.0 * (cond[ROWS] - unlike))


def test_a_stage_is_asked_once_and_only_of_its_rows_again():
    for guidance, rows in ((8.0, 2 * 3 * N + 3 * 2), (1.0, 3 * N + 3 * 2)):
        asking, teachers = Asking(guidance), cascade()
        contrasted(contrast(), Method(stage_1=asking, stage_2=asking, noises=3), teachers)
        for stage in (teachers.stage_1, teachers.stage_2):
            ((t, s),) = stage.calls
            for drawn in (t,) if s is None else (t, s):
                assert len(drawn) == rows
                assert drawn[-6:].equal(drawn[: 3 * N].view(3, N)[:, ROWS].flatten())


def test_every_row_may_be_asked_again():
    teachers = cascade()
    kind = replace(contrast(), rows=torch.arange(N))
    contrasted(kind, PAPER, teachers)
    for stage in (teachers.stage_1, teachers.stage_2):
        ((t, _),) = stage.calls
        assert len(t) == 3 * N and t[-N:].equal(t[:N])


def test_several_noises_share_one_contrast():
    kind = contrast().repeated(2, N)
    assert kind.rows.tolist() == [1, 4, N + 1, N + 4]
    assert kind.part.equal(torch.cat([parts(), parts()]))


def test_a_teacher_of_plain_colours_paints_no_pattern():
    """Two prompts that differ by a colour alone differ by a constant, which is taken out."""
    teacher = GaussianTeacher(ddpm(BAR), 0.5)
    x_t, t = randn(1, 3, 4, 4), torch.tensor([500])
    kind = Contrast(torch.tensor([0]), 5.0, torch.ones(1, 1, 4, 4))
    cond, unlike = (teacher.eps(x_t, t, torch.full((1, 1, 1), mean)) for mean in (0.3, -0.8))
    torch.testing.assert_close(kind.added(cond, cond, unlike), cond, atol=1e-5, rtol=0)
    prompts = csd.Prompts(torch.full((1, 1, 1), 0.3), torch.zeros(1, 1, 1))
    plain = csd.stage_gradient(teacher, x_t, prompts, 4.0, t, randn(1, 3, 4, 4, seed=1))
    prompts = replace(prompts, unlike=torch.full((1, 1, 1), -0.8))
    told = csd.stage_gradient(teacher, x_t, prompts, 4.0, t, randn(1, 3, 4, 4, seed=1), kind)
    torch.testing.assert_close(told, plain, atol=1e-5, rtol=0)
