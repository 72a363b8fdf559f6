"""The convention by number, the order of the rows, and that one call serves all branches."""

from dataclasses import dataclass, field

import pytest
import torch

from sds.guidance import Branch, cfg, from_threestudio, guided
from sds.priors import Prior
from sds.schedules import Schedule, flow


@dataclass(frozen=True)
class Recorder:
    """Answers x_t + the prompt's number, and remembers the calls."""

    calls: list = field(default_factory=list)
    schedule: Schedule = field(default_factory=flow)

    def eps(self, x_t, t, cond):
        self.calls.append((x_t, t, cond))
        return x_t + cond.view(-1, 1, 1, 1, 1)


def number(value):
    return torch.full((1, 1, 1), float(value))


def test_our_21_is_threestudios_20():
    uncond, cond = torch.tensor([1.0]), torch.tensor([1.5])
    theirs = cond + 20 * (cond - uncond)
    assert theirs.item() == 11.5
    assert cfg(uncond, cond, 21).item() == 11.5
    # A whole number too, where a command line expects any number.
    assert from_threestudio(20) == 21 and type(from_threestudio(20)) is float
    assert cfg(uncond, cond, 7.5).item() == 4.75


def test_scale_one_is_cond_to_the_last_bit_and_zero_is_uncond():
    uncond, cond = torch.randn(2, 1000)
    assert torch.equal(cfg(uncond, cond, 1), cond)
    assert torch.equal(cfg(uncond, cond, 0), uncond)


def test_every_row_can_have_a_scale_of_its_own():
    uncond, cond = torch.randn(2, 3, 5)
    scales = torch.tensor([[1.0], [4.0], [0.0]])
    each = [cfg(uncond[k], cond[k], float(scales[k])) for k in range(3)]
    torch.testing.assert_close(cfg(uncond, cond, scales), torch.stack(each))
    branch = Branch(torch.zeros(3, 1, 2, 2, 2), number(1), number(2), scales.view(3, 1, 1, 1, 1))
    first, second = guided(Recorder(), [branch, branch], torch.tensor([7, 8, 9]))
    assert first[:, 0, 0, 0, 0].tolist() == [1, -2, 2] and torch.equal(first, second)


def test_one_call_with_the_reference_in_the_first_half():
    prior = Recorder()
    assert isinstance(prior, Prior)
    ref = Branch(torch.zeros(2, 1, 3, 2, 2), number(1), number(2), scale=5)
    edit = Branch(torch.full((2, 1, 3, 2, 2), 10.0), number(3), number(4), scale=10)
    t = torch.tensor([7, 9])
    eps_ref, eps_edit = guided(prior, [ref, edit], t)
    ((x_t, times, cond),) = prior.calls
    assert cond.flatten().tolist() == [2, 2, 1, 1, 4, 4, 3, 3]
    assert times.tolist() == [7, 9] * 4
    assert x_t[:4].eq(0).all() and x_t[4:].eq(10).all()
    assert eps_ref.eq(2 + 5 * (1 - 2)).all() and eps_edit.eq(14 + 10 * (13 - 14)).all()
    assert eps_ref.shape == (2, 1, 3, 2, 2)


def test_without_guidance_the_uncond_rows_are_not_asked():
    prior = Recorder()
    x_t = torch.zeros(1, 1, 1, 2, 2)
    branches = [Branch(x_t, number(i), number(9), scale=1) for i in (1, 2)]
    assert [eps.mean().item() for eps in guided(prior, branches, torch.tensor([1]))] == [1, 2]
    assert prior.calls[0][2].flatten().tolist() == [1, 2]


def test_halves_stay_equal_when_only_one_branch_is_guided():
    prior = Recorder()
    x_t = torch.zeros(1, 1, 1, 2, 2)
    branches = [Branch(x_t, number(1), number(5), 1), Branch(x_t, number(2), number(6), 3)]
    ref, edit = guided(prior, branches, torch.tensor([1]))
    assert prior.calls[0][2].flatten().tolist() == [5, 1, 6, 2]
    assert ref.eq(1).all() and edit.eq(6 + 3 * (2 - 6)).all()


@dataclass(frozen=True)
class Rounder:
    """A teacher whose answer depends, in the last digits, on the row's place in the batch."""

    schedule: Schedule = field(default_factory=flow)

    def eps(self, x_t, t, cond):
        place = torch.arange(1.0, len(x_t) + 1).view(-1, 1, 1, 1, 1)
        return x_t + cond.mean((1, 2)).view(-1, 1, 1, 1, 1) + 1e-6 * place


@pytest.mark.parametrize("scale", [1, 7.5])
def test_equal_questions_get_equal_answers_whatever_the_kernels_round(scale):
    x_t, t = torch.randn(2, 1, 3, 2, 2), torch.tensor([5, 5])
    moved = x_t.clone()
    moved[1, 0, 0, 0, 0] += 1e-3
    ref = Branch(x_t, number(1), number(0), scale)
    same, other, row, louder = (
        Branch(x_t.clone(), number(1), number(0), scale),
        Branch(x_t, number(2), number(0), scale),
        Branch(moved, number(1), number(0), scale),
        Branch(x_t, number(1), number(0), scale + 1),
    )
    eps_ref, eps_same, eps_other, eps_row, eps_louder = guided(
        Rounder(), [ref, same, other, row, louder], t
    )
    assert torch.equal(eps_ref, eps_same)
    assert (eps_other - eps_ref).ne(0).all() and (eps_louder - eps_ref).ne(0).any()
    assert torch.equal(eps_row[0], eps_ref[0]) and (eps_row[1] - eps_ref[1]).ne(0).all()


def test_branches_of_different_shape_are_refused():
    branches = [Branch(torch.zeros(1, 1, f, 2, 2), number(1), number(2)) for f in (1, 2)]
    with pytest.raises(ValueError, match="one common shape"):
        guided(Recorder(), branches, torch.tensor([1]))
