"""The change of an edit, steadied along the motion of its clip."""

import torch

from pipelines.clip import change as changes
from pipelines.clip.change import steadied

FRAMES, SIDE = 9, 64


def textured(seed=0):
    """A rough texture, wider and higher than a frame: (3, 160, 160) in [0, 1]."""
    noise = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (160, 160), mode="bicubic").clamp(0, 1)[0]


def moving(picture):
    """`picture` as it goes by, two pixels right and one down a frame: (F, 3, 64, 64)."""
    starts = [(40 - f, 60 - 2 * f) for f in range(FRAMES)]
    return torch.stack([picture[:, y : y + SIDE, x : x + SIDE] for y, x in starts])


def inner(x):
    return x[..., 16:-16, 16:-16]


def test_what_moves_with_the_clip_stays_and_what_flickers_goes():
    clip, change = moving(textured()), moving(textured(1)) - 0.5
    flicker = 0.2 * torch.randn(FRAMES, 3, 1, 1, generator=torch.Generator().manual_seed(2))
    kept = (inner(steadied(change, clip, 5)) - inner(change)).square().mean().sqrt()
    left = (inner(steadied(change + flicker, clip, 5)) - inner(change)).square().mean().sqrt()
    assert kept < 0.1 * inner(change).std()
    assert left < 0.6 * flicker.square().mean().sqrt()
    # At the same pixel the mean would be of other places of what moves.
    still = inner(steadied(change, clip[:1].expand_as(clip).contiguous(), 5))
    assert (still - inner(change)).square().mean().sqrt() > 5 * kept


def test_over_one_frame_nothing_is_done_and_no_change_stays_none():
    clip, change = moving(textured()), moving(textured(1)) - 0.5
    assert torch.equal(steadied(change, clip, 1), change)
    assert steadied(torch.zeros_like(change), clip, 7).eq(0).all()


def test_a_long_clip_is_steadied_as_if_it_were_in_one_piece(monkeypatch):
    clip, change = moving(textured()), moving(textured(1)) - 0.5
    whole = steadied(change, clip, 5)
    for chunk in (1, 2, 4):
        monkeypatch.setattr(changes, "STEADY_CHUNK", chunk)
        assert torch.equal(steadied(change, clip, 5), whole)
