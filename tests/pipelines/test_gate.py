"""The user's mask on every frame: carried, inverted, at another size, and painted with a brush."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.clip.gate import read_gate
from pipelines.errors import InputError
from pipelines.media import (
    clip_from_frames,
    read_clip,
    read_strokes,
    save_png,
    write_clip,
)
from sds import masks

BALL = Path("assets/examples/ball.mp4")
LUMA = torch.tensor([0.2126, 0.7152, 0.0722])
HEIGHT, WIDTH, FRAMES, STEP = 96, 128, 5, 6


@pytest.fixture
def clip():
    """A textured square moving right by STEP pixels a frame over a textured ground."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=generator)
    ground = torch.nn.functional.interpolate(noise, (HEIGHT, WIDTH), mode="bicubic")[0] * 0.3 + 0.2
    patch = torch.rand(3, 8, 8, generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    frames = ground.repeat(FRAMES, 1, 1, 1)
    for k, frame in enumerate(frames):
        frame[:, 30:62, 20 + STEP * k : 52 + STEP * k] = 0.4 + 0.6 * patch
    frames = (frames.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return clip_from_frames(frames, 8)


@pytest.fixture
def mask_file(tmp_path):
    """The square, drawn on frame 1."""
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    mask[30:62, 20 + STEP : 52 + STEP] = 255
    save_png(tmp_path / "mask.png", mask)
    return tmp_path / "mask.png"


def centre(mask):
    """(x, y) of a mask (H, W)."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return float((mask * x).sum() / mask.sum()), float((mask * y).sum() / mask.sum())


def test_a_drawn_mask_follows_the_motion_both_ways(clip, mask_file):
    gate = read_gate(mask_file, clip, drawn_on=1, grow=0, feather=0)
    for k, mask in enumerate(gate.at(slice(0, FRAMES))):
        x, y = centre(mask[0])
        assert x == pytest.approx(35.5 + STEP * k, abs=2) and y == pytest.approx(45.5, abs=2)


@pytest.mark.parametrize("size", [(64, 10), (8, 8)])
def test_a_mask_goes_through_a_clip_too_small_for_the_flow(tmp_path, size):
    small = clip_from_frames(torch.zeros(3, *size, 3, dtype=torch.uint8), 8)
    save_png(tmp_path / "mask.png", torch.full(size, 255, dtype=torch.uint8))
    gate = read_gate(tmp_path / "mask.png", small, drawn_on=1, grow=0, feather=0)
    assert gate.at(slice(0, 3)).eq(1).all()


def test_inverted_it_keeps_exactly_what_was_drawn(clip, mask_file):
    plain = read_gate(mask_file, clip, 1, grow=0, feather=0)
    inverted = read_gate(mask_file, clip, 1, grow=0, feather=0, invert=True)
    drawn, kept = plain.at(slice(1, 2)), inverted.at(slice(1, 2))
    assert torch.equal(kept, 1 - drawn)
    assert (kept[0, 0, 32:60, 28:56] == 0).all() and (kept[0, 0, :24] == 1).all()
    # Grown and shrunk is what was drawn, and so what stays.
    grown = read_gate(mask_file, clip, 1, grow=3, feather=0, invert=True).at(slice(1, 2))
    assert torch.equal(grown, 1 - masks.grow(drawn, 3))
    shrunk = read_gate(mask_file, clip, 1, grow=-3, feather=0, invert=True).at(slice(1, 2))
    assert torch.equal(shrunk, 1 - masks.grow(drawn, -3))


@pytest.mark.parametrize("grow, feather", [(0, 0), (0, 1.3), (2, 2), (0, 7)])
@pytest.mark.parametrize("kind", ["picture", "clip"])
def test_inverted_the_soft_edge_lies_outside_of_what_was_drawn(clip, tmp_path, kind, grow, feather):
    drawn = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    drawn[30:62, 26:58] = drawn[70, 10:90] = drawn[12:20, 100] = 255
    path = tmp_path / ("mask.png" if kind == "picture" else "mask.mp4")
    if kind == "picture":
        save_png(path, drawn)
    else:
        write_clip(path, drawn[None, ..., None].expand(FRAMES, -1, -1, 3), clip)
        # As the codec gives it back.
        drawn = (read_clip(path).frames[1, ..., 0] > 247) * 255
    mask = read_gate(path, clip, 1, grow, feather, invert=True).at(slice(1, 2))[0, 0]
    assert (mask[drawn == 255] == 0).all() and mask.max() > 0.99
    # A blur of this width is seen outside.
    assert bool(((mask > 0.2) & (mask < 0.8)).any()) == (feather > 0)
    near = masks.grow((drawn > 0).float()[None, None], grow + 6 * feather + 2)[0, 0]
    assert (mask[near == 0] > 0.99).all()


def test_inverted_it_keeps_what_was_drawn_on_a_clip_larger_than_the_flow_is_estimated_at(tmp_path):
    generator = torch.Generator().manual_seed(0)
    large = torch.randint(0, 256, (1, 400, 600, 3), generator=generator, dtype=torch.uint8)
    large = clip_from_frames(large.repeat(2, 1, 1, 1), 8)
    drawn = torch.zeros(400, 600, dtype=torch.uint8)
    drawn[100:171, 200:303] = drawn[300, 50] = drawn[20:23, 100:500] = 255
    save_png(tmp_path / "mask.png", drawn)
    gate = read_gate(tmp_path / "mask.png", large, 0, grow=0, feather=0, invert=True)
    mask = gate.at(slice(0, 1))[0, 0]
    assert (mask[drawn == 255] == 0).all()
    near = masks.grow(drawn[None, None] / 255, 8)[0, 0]
    assert (mask[near == 0] == 1).all()


def test_inverted_it_keeps_what_comes_from_behind_something(tmp_path):
    """A square that is behind a pole in the middle of the clip, and beside it again in the end."""
    generator = torch.Generator().manual_seed(0)
    ground, pole, square = (
        torch.randint(0, 128, (side // 4, wide // 4, 3), generator=generator)
        .repeat_interleave(4, 0)
        .repeat_interleave(4, 1)
        for side, wide in ((HEIGHT, 192), (HEIGHT, 48), (32, 32))
    )
    frames = ground.repeat(15, 1, 1, 1)
    lefts = [12 + 9 * k for k in range(15)]
    for frame, left in zip(frames, lefts, strict=True):
        frame[32:64, left : left + 32] = square + 127
        frame[:, 72:120] = pole
    clip = clip_from_frames(frames.to(torch.uint8), 8)
    drawn = torch.zeros(HEIGHT, 192, dtype=torch.uint8)
    drawn[32:64, lefts[0] : lefts[0] + 32] = 255
    save_png(tmp_path / "mask.png", drawn)
    gate = read_gate(tmp_path / "mask.png", clip, 0, grow=0, feather=0, invert=True)
    free = gate.at(slice(0, 15))[:, 0]
    assert free[-1, 34:62, lefts[-1] + 2 : lefts[-1] + 30].mean() < 0.05
    # What was never hidden may change.
    assert free[-1, :20].mean() > 0.95 and free[-1, 76:].mean() > 0.95


def test_inverted_it_gives_up_little_of_a_real_clip_s_rest(tmp_path):
    """The flow misses single pixels all over a clip: grown, they would take a quarter of it."""
    ball = read_clip(BALL)
    drawn = torch.zeros(ball.size, dtype=torch.uint8)
    drawn[:12, :12] = 255
    save_png(tmp_path / "mask.png", drawn)
    gate = read_gate(tmp_path / "mask.png", ball, 0, 2.0, 2.0, invert=True)
    assert gate.at(slice(len(ball) - 1, len(ball))).mean() > 0.9


@pytest.mark.parametrize("levels", [2, 256])
def test_a_clip_of_masks_is_held_in_bytes_and_says_what_it_says(clip, tmp_path, levels):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, levels, (FRAMES, HEIGHT // 8, WIDTH // 8), generator=generator)
    drawn = (drawn * 255 // (levels - 1)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    drawn = drawn.to(torch.uint8)[..., None].expand(-1, -1, -1, 3)
    write_clip(tmp_path / "mask.mp4", drawn, clip)
    level = read_clip(tmp_path / "mask.mp4").frames.float() @ LUMA / 255
    level = level.where(level >= 8 / 255, 0.0).where(level <= 247 / 255, 1.0)[:, None]
    for grow, feather in ((0, 0), (2, 2), (-1.5, 0.7)):
        gate = read_gate(tmp_path / "mask.mp4", clip, 0, grow, feather)
        assert gate.masks.dtype == torch.uint8
        for few in (slice(0, 4), slice(4, 5)):
            wanted, got = masks.feather(masks.grow(level[few], grow), feather), gate.at(few)
            # The sum of the three weights is 1 to a rounding.
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)
            assert torch.equal(got == 0, wanted == 0) and torch.equal(got == 1, wanted == 1)


def test_a_mask_that_is_nothing_at_the_flow_s_size_or_shrunk_away_is_refused(tmp_path):
    large = clip_from_frames(torch.zeros(2, 2048, 2048, 3, dtype=torch.uint8), 8)
    dot = torch.zeros(2048, 2048, dtype=torch.uint8)
    dot[100, 100] = 255
    save_png(tmp_path / "dot.png", dot)
    for grow in (2.0, -1.0):
        with pytest.raises(InputError, match=r"dot\.png is too small to be followed .* a larger"):
            read_gate(tmp_path / "dot.png", large, 0, grow, 2.0)


def test_a_mask_that_lets_nothing_change_says_why(clip, mask_file, tmp_path):
    """Shrunk away; inverted, and it covers everything; inverted, and its edges cover the rest."""
    save_png(tmp_path / "all.png", torch.full((HEIGHT, WIDTH), 255, dtype=torch.uint8))
    white = torch.full((FRAMES, HEIGHT, WIDTH, 3), 255, dtype=torch.uint8)
    write_clip(tmp_path / "all.mp4", white, clip)
    with pytest.raises(InputError, match=r"mask\.png at --mask-grow -20\. Shrink it less, or"):
        read_gate(mask_file, clip, 1, -20, 0)
    for name in ("all.png", "all.mp4"):
        with pytest.raises(InputError, match=r"may change\. Paint less, or leave --mask-invert"):
            read_gate(tmp_path / name, clip, 0, 2, 2, invert=True)
    for grow, feather in ((120, 0), (2, 40)):
        said = rf"--mask-grow {grow} and --mask-feather {feather}\. Lower them, or paint less"
        with pytest.raises(InputError, match=said):
            read_gate(mask_file, clip, 1, grow, feather, invert=True)


@pytest.mark.parametrize("only", [0, FRAMES - 1])
def test_a_clip_of_masks_may_allow_one_frame_alone(clip, tmp_path, only):
    drawn = torch.zeros(FRAMES, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    drawn[only, 32:64] = 255
    write_clip(tmp_path / "mask.mp4", drawn, clip)
    gate = read_gate(tmp_path / "mask.mp4", clip, 0, grow=0, feather=0)
    free = gate.at(slice(0, FRAMES))
    assert [bool(frame.any()) for frame in free] == [k == only for k in range(FRAMES)]
    grid = HEIGHT // 8, WIDTH // 8
    assert torch.equal(gate.latent(grid), masks.to_latent(free, grid))


def test_at_half_the_size_the_edge_is_half_as_wide(clip, mask_file):
    gate = read_gate(mask_file, clip, 1, grow=8, feather=3)
    small = gate.shrunk((HEIGHT // 2, WIDTH // 2))
    assert (small.grow, small.feather) == (4, 1.5)
    gate = replace(gate, feather=0)
    whole = gate.at(slice(1, 2)).mean()
    half = gate.shrunk((HEIGHT // 2, WIDTH // 2)).at(slice(1, 2)).mean()
    assert float(half) == pytest.approx(float(whole), rel=0.1)


def test_strokes_of_any_colour_become_a_mask(tmp_path):
    layer = np.zeros((8, 10, 4), np.uint8)
    layer[2:5, 3:7] = (255, 40, 90, 140)
    layer[5, 3:7] = (255, 40, 90, 20)  # a soft edge
    Image.fromarray(layer).save(tmp_path / "layer.png")
    mask = read_strokes(tmp_path / "layer.png")
    assert mask.shape == (8, 10) and set(mask.unique().tolist()) == {0, 255}
    assert (mask == 255).nonzero().amin(0).tolist() == [2, 3]
    assert (mask == 255).nonzero().amax(0).tolist() == [4, 6]


def test_no_strokes_are_an_empty_mask(tmp_path):
    Image.fromarray(np.zeros((8, 10, 4), np.uint8)).save(tmp_path / "layer.png")
    assert not read_strokes(tmp_path / "layer.png").any()
