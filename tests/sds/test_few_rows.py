"""A teacher asked row by row answers as at once, and several processes each get their part."""

from dataclasses import dataclass, field

import pytest
import torch

from sds import parallel
from sds.attention import fused, is_fused
from sds.priors import wan
from sds.priors.few_rows import FewRows
from tests import tiny_teachers


@dataclass(frozen=True)
class Counting:
    """A video teacher that remembers how many rows each call had."""

    video: object
    rows: list[int] = field(default_factory=list)

    @property
    def schedule(self):
        return self.video.schedule

    @property
    def network(self):
        return self.video.network

    def eps(self, x_t, t, cond):
        self.rows.append(len(x_t))
        return self.video.eps(x_t, t, cond)


@pytest.fixture(scope="module")
def prior():
    return wan.video_prior(tiny_teachers.wan.__wrapped__(), "cpu", torch.float32)


def question(rows):
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(rows, 16, 2, 4, 4, generator=generator)
    said = torch.randn(rows, 5, tiny_teachers.TEXT_WIDTH, generator=generator)
    return x_t, torch.full((rows,), 500), said


@pytest.mark.parametrize(
    ("rows", "weight", "calls"), [(4, 1, [1] * 4), (2, 1, [1] * 2), (1, 1, [1])]
)
def test_rows_that_look_at_nothing_go_alone(prior, rows, weight, calls):
    counting, asked = Counting(prior), question(rows)
    with fused(prior.network, weight):
        found, wanted = FewRows(counting).eps(*asked), prior.eps(*asked)
    assert counting.rows == calls
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("rows", "calls"), [(4, [2, 2]), (2, [2])])
def test_rows_of_a_fused_attention_go_with_what_they_look_at(prior, rows, calls):
    counting, asked = Counting(prior), question(rows)
    with fused(prior.network, 0.5):
        assert is_fused(prior.network)
        found, wanted = FewRows(counting).eps(*asked), prior.eps(*asked)
    assert not is_fused(prior.network)
    assert counting.rows == calls
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert (prior.eps(*asked) - wanted).abs().max() > 1e-3


@pytest.mark.parametrize(("rows", "weight", "each"), [(4, 1, 2), (2, 1, 1), (4, 0.5, 2)])
def test_two_processes_answer_for_as_many_rows_each(prior, monkeypatch, rows, weight, each):
    asked, parts = question(rows), []
    monkeypatch.setattr(parallel, "count", lambda: 2)
    monkeypatch.setattr(parallel, "sum_", lambda tensor: tensor)
    with fused(prior.network, weight):
        for rank in range(2):
            monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
            counting = Counting(prior)
            parts.append(FewRows(counting, shared=True).eps(*asked))
            assert sum(counting.rows) == each
        torch.testing.assert_close(sum(parts), prior.eps(*asked), rtol=1e-4, atol=1e-5)
