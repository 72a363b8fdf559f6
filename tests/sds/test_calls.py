"""A batch in the calls of a network."""

import torch

from sds.priors.calls import frame_by_frame


def test_every_frame_is_asked_on_its_own_with_its_row_s_time_and_words():
    x = torch.randn(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    t, cond = torch.tensor([3, 7]), torch.tensor([0.5, 2.0]).view(2, 1, 1)
    calls = []

    def eps(x_t, t, cond):
        calls.append(len(x_t))
        return t.view(-1, 1, 1, 1) * x_t + cond.unsqueeze(1)

    want = t.view(-1, 1, 1, 1, 1) * x + cond.view(-1, 1, 1, 1, 1)
    for limit in (1, 2, 5, 16):
        assert frame_by_frame(limit, eps, x, t, cond).equal(want)
        assert max(calls) <= 2 * limit and sum(calls) == x.shape[0] * x.shape[2]
        calls.clear()
