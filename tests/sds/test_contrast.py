"""Guidance from a neighbouring prompt: what it adds, to which rows, and what it leaves."""

from dataclasses import replace

import torch
from gaussian import GaussianTeacher
from test_csd import BAR, LARGE, STEPS, N, Toy, cascade, draws, gradient, randn, world
from torch.nn.functional import avg_pool2d

from sds import csd
from sds.contrast import Contrast
from sds.csd import PAPER, Asking, Method, distill_cascade
from sds.schedules import add_noise, ddpm

ROWS = torch.tensor([1, 4])


def parts(size=LARGE):
    return torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(9))


def contrast(scale=3.0, part=None):
    return Contrast(ROWS, randn(1, 2, 3, seed=8), scale, parts() if part is None else part)


def contrasted(kind, method=PAPER, teachers=None):
    x, prompts = world()
    generator = torch.Generator().manual_seed(5)
    asked = (teachers or cascade(), method, prompts, x, 3, STEPS, generator)
    loss = distill_cascade(*asked, contrast=kind).loss
    return torch.autograd.grad(loss, x)[0]


def test_it_is_the_formula_number_by_number():
    x, prompts = world()
    d, kind = draws(N), contrast()
    z = avg_pool2d(2 * x.detach() - 1, 2)
    small = avg_pool2d(kind.part, 2)
    want = torch.zeros_like(z)
    for part, row in zip(small, ROWS.tolist(), strict=True):
        t = d["t_1"][row : row + 1]
        z_t = add_noise(ddpm(BAR), z[row : row + 1], d["eps_1"][row : row + 1], t)
        said = Toy().answer(z_t, t, prompts.rows[row : row + 1]) - Toy().answer(z_t, t, kind.unlike)
        for channel, values in enumerate(said[0]):
            whole = (part[0] * values).sum() / (part[0] ** 2).sum()
            want[row, channel] = (1 - BAR[t]) * 3.0 * (values - whole * part[0])
    spread = want.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    added = contrasted(kind) - gradient(cascade(), PAPER, prompts, x)
    torch.testing.assert_close(added, 2 / N * spread, atol=1e-4, rtol=1e-4)


def test_it_moves_no_colour_as_a_whole_and_no_row_but_its_own():
    cond, unlike = randn(N, 3, 4, 4, seed=1), randn(2, 3, 4, 4, seed=2)
    kind = contrast(part=parts(4))
    added = kind.added(torch.zeros_like(cond), cond, unlike)
    assert added[ROWS].abs().amax((1, 2, 3)).min() > 0.1
    whole = (kind.part * added[ROWS]).sum((2, 3))
    torch.testing.assert_close(whole, torch.zeros_like(whole), atol=1e-5, rtol=0)
    others = [n for n in range(N) if n not in ROWS.tolist()]
    assert not added[others].any()
    one_sided = kind.added(torch.zeros_like(cond), cond, cond[ROWS] - 0.5 * kind.part)
    torch.testing.assert_close(one_sided, torch.zeros_like(cond), atol=1e-5, rtol=0)


def test_two_prompts_that_say_the_same_have_none():
    x, prompts = world()
    same = replace(contrast(), rows=ROWS[:1], unlike=prompts.rows[1:2], part=parts()[:1])
    torch.testing.assert_close(contrasted(same), gradient(cascade(), PAPER, prompts, x))


def test_where_the_part_is_not_seen_nothing_is_taken_out():
    cond, unlike = randn(N, 3, 4, 4, seed=1), randn(2, 3, 4, 4, seed=2)
    added = contrast(part=torch.zeros(2, 1, 4, 4)).added(torch.zeros_like(cond), cond, unlike)
    torch.testing.assert_close(added[ROWS], 3.0 * (cond[ROWS] - unlike))


def test_stage_1_is_asked_once_and_only_of_its_rows_again():
    for guidance, rows in ((8.0, 2 * 3 * N + 3 * 2), (1.0, 3 * N + 3 * 2)):
        asking, teachers = Asking(guidance), cascade()
        contrasted(contrast(), Method(stage_1=asking, stage_2=asking, noises=3), teachers)
        ((t, _),) = teachers.stage_1.calls
        assert len(t) == rows
        assert t[-6:].equal(t[: 3 * N].view(3, N)[:, ROWS].flatten())
        assert len(teachers.stage_2.calls) == 1


def test_several_noises_share_one_contrast():
    kind = contrast().repeated(2, N)
    assert kind.rows.tolist() == [1, 4, N + 1, N + 4]
    assert kind.part.equal(torch.cat([parts(), parts()]))


def test_a_teacher_of_plain_colours_paints_no_pattern():
    """Two prompts that differ by a colour alone differ by a constant, which is taken out."""
    teacher = GaussianTeacher(ddpm(BAR), 0.5)
    x_t, t = randn(1, 3, 4, 4), torch.tensor([500])
    kind = Contrast(torch.tensor([0]), torch.zeros(1, 1, 1), 5.0, torch.ones(1, 1, 4, 4))
    cond, unlike = (teacher.eps(x_t, t, torch.full((1, 1, 1), mean)) for mean in (0.3, -0.8))
    torch.testing.assert_close(kind.added(cond, cond, unlike), cond, atol=1e-5, rtol=0)
    prompts = csd.Prompts(torch.full((1, 1, 1), 0.3), torch.zeros(1, 1, 1))
    plain = csd.stage_gradient(teacher, x_t, prompts, 4.0, t, randn(1, 3, 4, 4, seed=1))
    kind = replace(kind, unlike=torch.full((1, 1, 1), -0.8))
    told = csd.stage_gradient(teacher, x_t, prompts, 4.0, t, randn(1, 3, 4, 4, seed=1), kind)
    torch.testing.assert_close(told, plain, atol=1e-5, rtol=0)
