"""The user's mask on every frame: carried, inverted, at another size, and painted with a brush."""

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.clip.gate import read_gate
from pipelines.errors import InputError
from pipelines.media import clip_from_frames, read_strokes, save_png, write_clip

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
    # Grown, what may change grows, and what was drawn shrinks.
    grown = read_gate(mask_file, clip, 1, grow=3, feather=0, invert=True).at(slice(1, 2))
    assert (grown >= kept).all() and (grown == 0).any()


def test_a_mask_that_is_nothing_at_the_flow_s_size_or_shrunk_away_is_refused(tmp_path):
    large = clip_from_frames(torch.zeros(2, 2048, 2048, 3, dtype=torch.uint8), 8)
    dot = torch.zeros(2048, 2048, dtype=torch.uint8)
    dot[100, 100] = 255
    save_png(tmp_path / "dot.png", dot)
    for grow in (2.0, -1.0):
        with pytest.raises(
            InputError, match=rf"Nothing is left of the mask dot\.png .* {grow:g}\."
        ):
            read_gate(tmp_path / "dot.png", large, 0, grow, 2.0)


def test_nothing_left_is_refused(clip, tmp_path):
    save_png(tmp_path / "all.png", torch.full((HEIGHT, WIDTH), 255, dtype=torch.uint8))
    masks = torch.full((FRAMES, HEIGHT, WIDTH, 3), 255, dtype=torch.uint8)
    write_clip(tmp_path / "all.mp4", masks, clip)
    with pytest.raises(InputError, match="inverted it allows nothing"):
        read_gate(tmp_path / "all.mp4", clip, 0, 0, 0, invert=True)


def test_at_half_the_size_the_edge_is_half_as_wide(clip, mask_file):
    gate = read_gate(mask_file, clip, 1, grow=8, feather=0)
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
