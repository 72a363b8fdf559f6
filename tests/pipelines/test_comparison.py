"""Panels side by side: in step, in shape, with the clip's timing."""

import pytest
import torch

from pipelines.media import clip_from_frames, read_clip
from pipelines.media.comparison import COMPARISON, grey, panel_size, write_comparison


@pytest.mark.parametrize(
    "size, expected",
    [((64, 96), (64, 96)), ((63, 95), (64, 96)), ((1080, 1920), (288, 512)), ((9, 3), (8, 4))],
)
def test_a_panel_is_even_and_no_larger_than_need_be(size, expected):
    assert panel_size(size) == expected


def test_panels_stand_side_by_side_in_step(tmp_path):
    count = 20
    level = torch.arange(count, dtype=torch.uint8) * 10
    frames = level.view(-1, 1, 1, 1).expand(-1, 33, 47, 3).contiguous()
    clip = clip_from_frames(frames, 12)
    mask = torch.zeros(count, 1, 4, 6)
    mask[:, :, :, 3:] = 1
    names = write_comparison(
        tmp_path,
        {
            "before": lambda few: clip.frames[few],
            "after": lambda few: 255 - clip.frames[few],
            "mask": lambda few: grey(mask[few], (32, 48)),
        },
        clip,
    )
    assert names == ["before", "after", "mask"]
    back = read_clip(tmp_path / COMPARISON)
    assert len(back) == count and back.rate == 12 and back.size == (32, 3 * 48)
    before, after, shown = back.frames.float().mean(-1).split(48, dim=2)
    assert (before.mean((1, 2)) - level).abs().max() < 3
    assert (before + after - 255).abs().mean() < 3
    assert shown[:, :, :16].max() < 10 and shown[:, :, 32:].min() > 245


def test_a_tiny_mask_is_drawn_large():
    drawn = grey(torch.ones(2, 1, 1, 1), (6, 8))
    assert drawn.shape == (2, 6, 8) and (drawn == 255).all()
