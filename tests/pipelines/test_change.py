"""The change of an edit, steadied along the motion of its clip, and what it takes away."""

import torch

from pipelines.clip import change as changes
from pipelines.clip.change import edited, lost_detail, steadied

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


def outlines():
    """Lines, as an autoencoder gives them back, and what it loses of them."""
    lines = torch.zeros(1, 3, 48, 48)
    lines[..., ::6, :] = 1
    soft = 0.5 + 0.2 * (lines - lines.mean())
    return soft, 0.2 * (lines - lines.mean())


def test_where_the_edit_keeps_what_is_there_so_does_the_result_to_its_finest():
    before, fine = outlines()
    assert torch.equal(edited(before + fine, before, torch.zeros_like(before)), before + fine)
    # Another colour of the same lines.
    change = torch.tensor([0.1, -0.1, 0.05]).view(1, 3, 1, 1).expand_as(before)
    assert lost_detail(before, before + change).max() < 1e-3
    got = edited(before + fine, before, change)
    torch.testing.assert_close(got, before + change + fine, atol=1e-3, rtol=0)


def test_where_the_edit_shows_something_else_no_outline_is_left():
    before, fine = outlines()
    flat, across = torch.full_like(before, 0.4), before.mT
    for after in (flat, across):
        got = edited(before + fine, before, after - before)
        assert (got - after).std() < 0.2 * fine.std()
    # Half the contrast: half of it is lost.
    half = before.mean() + (before - before.mean()) / 2
    assert 0.4 < lost_detail(before, half).mean() < 0.5


def test_a_source_larger_than_the_teachers_pictures_stays_exact_where_nothing_changes():
    before, _ = outlines()
    source = torch.rand(1, 3, 101, 131, generator=torch.Generator().manual_seed(0))
    assert torch.equal(edited(source, before, torch.zeros_like(before)), source)
    gone = edited(source, before, torch.full_like(before, 0.4) - before)
    assert gone.shape == source.shape and gone.std() < 0.5 * source.std()
