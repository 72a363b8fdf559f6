"""The change of an edit: steadied along the motion of its clip, brought to it, and measured."""

import math

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from pipelines.clip import change as changes
from pipelines.clip.change import (
    FLOOR,
    MOST,
    apply_change,
    edited,
    psnr_outside,
    shares,
    steadied,
)
from pipelines.clip.gate import Gate
from pipelines.media import clip_from_frames, to_float, to_uint8

FRAMES, SIDE = 9, 64


def textured(seed=0, side=160):
    """A rough texture, wider and higher than a frame: (3, side, side) in [0, 1]."""
    noise = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed))
    return interpolate(noise, (side, side), mode="bicubic").clamp(0, 1)[0]


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


@pytest.mark.parametrize("speed", [2, 4])
def test_around_what_moves_over_a_still_picture_no_trace_is_left(speed):
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    place = [((x - 20 - speed * f) ** 2 + (y - 64) ** 2 < 14**2) for f in range(16)]
    disc = torch.stack(place)[:, None]
    clip = torch.where(disc, torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1), textured(side=128))
    change = disc * torch.tensor([-0.8, 0.0, 0.8]).view(1, 3, 1, 1)
    got = steadied(change, clip, 7)
    trace = (got.abs().amax(1, keepdim=True) * ~disc > 0.1).sum() / len(clip)
    assert trace < 5
    assert (got * disc)[:, 2].sum() > 0.98 * change[:, 2].sum()


def test_nothing_goes_across_a_cut():
    clip = torch.cat([torch.full((5, 3, 48, 48), 0.3), torch.full((4, 3, 48, 48), 0.7)])
    change = torch.zeros_like(clip)
    change[:5, :, 10:30, 10:30] = 0.4
    got = steadied(change, clip, 7)
    torch.testing.assert_close(got, change, atol=1e-4, rtol=0)


def test_over_one_frame_nothing_is_done_and_no_change_stays_none():
    clip, change = moving(textured()), moving(textured(1)) - 0.5
    assert torch.equal(steadied(change, clip, 1), change)
    assert steadied(torch.zeros_like(change), clip, 7).eq(0).all()
    # Longer than the clip itself.
    assert steadied(change[:2], clip[:2], 7).isfinite().all()


def test_a_long_clip_is_steadied_as_if_it_were_in_one_piece(monkeypatch):
    clip, change = moving(textured()), moving(textured(1)) - 0.5
    whole = steadied(change, clip, 5)
    for chunk in (1, 2, 4):
        monkeypatch.setattr(changes, "STEADY_CHUNK", chunk)
        torch.testing.assert_close(steadied(change, clip, 5), whole)


RED, BLUE, GREY, WHITE = ((0.86, 0, 0), (0, 0.28, 0.78), (0.3, 0.3, 0.3), (0.8, 0.8, 0.8))


def stripes(colour, across=False):
    """Stripes of a colour on near black: (1, 3, 128, 128)."""
    level = ((torch.arange(128) // 16) % 2).float().view(1, 1, 128, 1).expand(1, 3, 128, 128)
    return (level.mT if across else level) * torch.tensor(colour).view(3, 1, 1) + 0.1


def decoded(picture):
    """As an autoencoder gives it back: half as large, and soft."""
    return avg_pool2d(avg_pool2d(picture, 2), 5, 1, 2, count_include_pad=False)


def error(got, wanted):
    return float((got - wanted).square().mean())


@pytest.mark.parametrize("before, after", [(RED, BLUE), (WHITE, RED), (WHITE, GREY)])
def test_what_gets_another_colour_stays_as_sharp_as_it_was(before, after):
    source, wanted = stripes(before), stripes(after)
    change = decoded(wanted) - decoded(source)
    wide = interpolate(change, (128, 128), mode="bicubic", align_corners=False)
    assert error(edited(source, decoded(source), change), wanted) < 0.15 * error(
        source + wide, wanted
    )


@pytest.mark.parametrize("after", [torch.full((1, 3, 128, 128), 0.4), stripes(RED, across=True)])
def test_of_what_gives_way_to_something_else_no_outline_is_left(after):
    source = stripes(RED)
    change = decoded(after) - decoded(source)
    wide = interpolate(change, (128, 128), mode="bicubic", align_corners=False)
    # The outlines of the source, which its decoded picture does not have.
    lost = source - interpolate(decoded(source), (128, 128), mode="bicubic", align_corners=False)
    trace = [
        (got - interpolate(decoded(after), (128, 128), mode="bicubic", align_corners=False))
        .mul(lost)
        .sum()
        / lost.square().sum()
        for got in (source + wide, edited(source, decoded(source), change))
    ]
    assert trace[0] > 0.95 and abs(trace[1]) < 0.25


def test_where_nothing_changes_the_source_stays_to_the_last_bit():
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(1, 3, 101, 131, generator=generator)
    before = torch.rand(1, 3, 48, 64, generator=generator)
    change = torch.zeros_like(before)
    assert shares(before, change).eq(0).all()
    assert torch.equal(edited(source, before, change), source)
    change[..., 40:] = 0.3
    got = edited(source, before, change)
    assert torch.equal(got[..., :60], source[..., :60]) and not torch.equal(got, source)


def test_the_shares_are_those_of_the_least_squares():
    generator = torch.Generator().manual_seed(1)
    before = torch.rand(2, 3, 32, 32, generator=generator)
    mix = torch.randn(3, 3, generator=generator) * 0.3
    change = torch.einsum("ck,nkhw->nchw", mix, before) + 0.1
    got = shares(before, change).unflatten(1, (3, 3)).mean((0, 3, 4))
    torch.testing.assert_close(got, mix, atol=0.03, rtol=0)


def test_of_a_contrast_as_faint_as_the_floor_half_is_made_and_of_none_more_than_the_most():
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    faint = torch.full((1, 3, 32, 32), 0.5)
    faint[:, 0] += FLOOR**0.5 * (1 - 2 * ((x + y) % 2))
    half = torch.zeros(1, 9, 8, 8)
    half[:, 0] = 0.5
    torch.testing.assert_close(shares(faint, faint - 0.5), half)
    assert shares(faint, 9 * faint)[:, 0].eq(MOST).all()
    assert shares(faint, -9 * faint)[:, 0].eq(-MOST).all()


def test_an_edit_of_a_moved_picture_is_the_moved_edit():
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(1, 3, 144, 144, generator=generator)
    before, change = 0.5 * torch.rand(2, 1, 3, 72, 72, generator=generator)
    moved = edited(source[..., 8:, 8:], before[..., 4:, 4:], change[..., 4:, 4:])
    got = edited(source, before, change)[..., 8:, 8:]
    torch.testing.assert_close(inner(moved), inner(got))


def gated(count, level):
    """`count` grey frames, 8 x 16; their right half may change, but for its first column, which
    may by `level`."""
    clip = clip_from_frames(torch.full((count, 8, 16, 3), 240, dtype=torch.uint8), 8)
    mask = torch.zeros(count, 1, 8, 16)
    mask[..., 8:], mask[..., 8] = 1, level
    return clip, Gate(mask, clip.size, grow=0, feather=0, inverted=False)


@pytest.mark.parametrize("count", [3, 9])
def test_every_frame_is_changed_within_the_gate_and_ends_at_white(count):
    clip, gate = gated(count, level=0.4)
    before = to_float(clip.frames)
    change = torch.linspace(0.02, 1, count).view(-1, 1, 1, 1).expand_as(before)
    free = to_uint8(edited(before, before, change))
    assert apply_change(clip, before, change, None).equal(free) and free[-1].eq(255).all()
    got = apply_change(clip, before, change, gate)
    assert got[:, :, :8].equal(clip.frames[:, :, :8]) and got[:, :, 9:].equal(free[:, :, 9:])
    assert got[-1, :, 8].eq(246).all()


def test_the_psnr_outside_counts_what_the_gate_keeps_in_every_frame():
    clip, gate = gated(9, level=0.1)
    frames = clip.frames.clone()
    frames[:, :, 8:] = 0
    assert psnr_outside(frames, clip, gate) is None
    frames[-1, 0, 0, 0] += 15

    def dB(mean_square):
        return pytest.approx(10 * math.log10(255**2 / mean_square), abs=1e-3)

    wrong = 15**2 / (9 * 8 * 8 * 3)
    assert psnr_outside(frames, clip, gate) == dB(wrong)
    assert psnr_outside(frames, clip, None) == dB((wrong + 240**2) / 2)
