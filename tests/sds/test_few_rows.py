"""A teacher asked row by row answers as at once, and several processes each get their part."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from sds import assd, parallel
from sds.attention import fused, is_fused
from sds.priors import wan
from sds.priors.few_rows import FewRows
from sds.references import References
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


@pytest.mark.parametrize(("count", "each"), [(1, 4), (2, 2), (4, 1)])
def test_both_branches_are_shared_at_once_and_the_same_where_one_was_kept(
    prior, monkeypatch, count, each
):
    """Each process has its rows; what they sum to is kept by all of them."""
    x = question(1)[0]
    prompts = assd.Prompts(*question(3)[2].split(1))
    method = replace(assd.DDS, guidance_source=3.0, guidance_target=5.0)
    monkeypatch.setattr(parallel, "count", lambda: count)

    def score(rank, references):
        monkeypatch.setattr(parallel, "rank", lambda: rank)
        counting = Counting(prior)
        # Several processes share the rows of one window without being told to.
        teachers = assd.Teachers(FewRows(counting) if count == 1 else counting, None, 8)
        asked = teachers, prompts, method, 1.1 * x, x, 500, torch.Generator().manual_seed(0)
        return assd.assd_score(*asked, references=references).said, counting.rows

    monkeypatch.setattr(parallel, "sum_", lambda tensor: tensor)
    parts = [score(rank, References()) for rank in range(count)]
    assert [rows for _, rows in parts] == [[1] * each] * count
    if count == 1:
        kept = References()
        first, again = score(0, kept), score(0, kept)
        assert again[1] == [1, 1] and again[0].equal(first[0])
    monkeypatch.undo()
    plain = assd.Teachers(prior, None, 8), prompts, method, 1.1 * x, x, 500
    wanted = assd.assd_score(*plain, torch.Generator().manual_seed(0)).said
    torch.testing.assert_close(sum(said for said, _ in parts), wanted, rtol=1e-3, atol=1e-4)
