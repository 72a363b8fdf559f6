"""The reference branch is asked once for all edits of a clip, which end where they would have."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from sds.assd import DDS, Method, Prompts, Teachers
from sds.descent import descend
from sds.references import References
from sds.schedules import ddpm
from tests.assd_steps import assd_gradient

PARTS = Method(fusion=1.0, mask_k=0.5, focus=0.0)


@dataclass(frozen=True)
class Counts:
    """Believes in what the prompt says, and counts the rows it is asked about."""

    schedule = ddpm(torch.linspace(0.9999, 0.005, 1000))
    network: nn.Module = field(default_factory=nn.Identity)
    rows: list[int] = field(default_factory=list)

    def eps(self, x_t, t, cond):
        self.rows.append(len(x_t))
        return 0.5 * x_t - 0.3 * torch.tanh(x_t) - 0.2 * cond.view(-1, 1, 1, 1, 1)


def edit(target, references, method=PARTS, seed=3, strength=1.0):
    """Where an edit ends, and the rows its two teachers were asked about."""
    x_src = torch.randn(1, 2, 9, 4, 4, generator=torch.Generator().manual_seed(1))
    prompts = Prompts(*torch.tensor([0.1, target, 0.0]).view(3, 1, 1, 1))
    teachers, x = Teachers(Counts(), Counts(), 4), x_src.clone()

    def gradient(x, t, generator):
        asked = (teachers, prompts, method, x, x_src, t, generator)
        return assd_gradient(*asked, references=references)

    list(descend(gradient, x, x_src, 5, seed, strength))
    return x, sum(teachers.video.rows), sum(teachers.image.rows)


@pytest.mark.parametrize("method", [PARTS, DDS, replace(PARTS, smoothing="shared")])
def test_another_target_on_the_same_clip_costs_half(method):
    references = References()
    first, *full = edit(0.9, references, method)
    assert first.equal(edit(0.9, None, method)[0])
    for other in (dict(target=-0.4), dict(target=0.9, strength=0.5)):
        again, *half = edit(references=references, method=method, **other)
        assert half == [rows / 2 for rows in full]
        # These teachers compute each row on its own, so to the last bit; a matrix kernel may not.
        assert again.equal(edit(references=None, method=method, **other)[0])


def test_other_noise_is_asked_about_anew():
    references = References()
    _, *full = edit(0.9, references)
    _, *other = edit(0.9, references, seed=4)
    assert other == full
    assert edit(0.9, references, replace(PARTS, smoothing="shared"))[1:] == tuple(full)


def test_fusion_needs_the_reference_in_the_batch(monkeypatch):
    monkeypatch.setattr("sds.assd.fused", lambda network, weight: torch.no_grad())
    references, method = References(), replace(PARTS, fusion=0.8)
    _, video, image = edit(0.9, references, method)
    assert edit(-0.4, references, method)[1:] == (video, image / 2)


def test_no_more_is_kept_than_the_limit():
    size = 4 * 2 * 4 * 4 * 4
    references = References(limit=5 * size)
    _, full, _ = edit(0.9, references, DDS)
    assert len(references.answers) == 5
    again, fewer, _ = edit(-0.4, references, DDS)
    assert full - fewer == 5 and again.equal(edit(-0.4, None, DDS)[0])
