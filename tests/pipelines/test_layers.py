"""Layers: the region by a threshold, and what stays exactly as it was."""

import pytest
import torch

from pipelines.errors import InputError
from pipelines.paint.layers import (
    SOFTNESS,
    Layers,
    check_threshold,
    load_layers,
    save_layers,
)


def layers(size=(5, 4)):
    generator = torch.Generator().manual_seed(0)
    base, style = torch.randint(256, (2, *size, 3), generator=generator, dtype=torch.uint8)
    p = torch.linspace(0, 255, size[0] * size[1]).round().to(torch.uint8).view(size)
    return Layers(base, style, p)


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.93])
def test_zero_shows_the_base_and_one_shows_the_style(threshold):
    made = layers()
    weight = made.weight(threshold)
    assert weight.flatten()[0] == 0 and weight.flatten()[-1] == 1
    assert (weight.flatten().diff() >= 0).all()
    texture = made.texture(threshold)
    assert texture[weight == 0].equal(made.base[weight == 0])
    assert texture[weight == 1].equal(made.style[weight == 1])


def test_half_way_is_the_mean_of_both():
    base, style = torch.zeros(1, 1, 3, dtype=torch.uint8), torch.full((1, 1, 3), 200).byte()
    made = Layers(base, style, torch.full((1, 1), 51, dtype=torch.uint8))  # p = 0.2
    assert made.texture(0.2).eq(100).all()


def test_a_higher_threshold_never_shows_more():
    made = layers((16, 16))
    assert (made.weight(0.7) <= made.weight(0.4)).all()


def test_of_the_first_base_little_shows_where_edits_meet_and_nothing_where_they_overlap():
    """Two black edits on white: what is not black is the share of the base."""
    p = torch.arange(256, dtype=torch.uint8)[None]
    black = torch.zeros(1, 256, 3, dtype=torch.uint8)
    first = Layers(torch.full_like(black, 255), black, p).texture(0.5)
    meeting = Layers(first, black, 255 - p).texture(0.5)
    assert 0.24 * 255 < meeting.max() <= 0.25 * 255 + 1
    assert meeting[0, p[0] < 0.3 * 255].eq(0).all() and meeting[0, p[0] > 0.7 * 255].eq(0).all()
    # Further by the width of the soft edge.
    over = (255 - p.int() + int(SOFTNESS * 255) + 1).clamp(max=255).to(torch.uint8)
    assert Layers(first, black, over).texture(0.5).eq(0).all()


@pytest.mark.parametrize("count", [1, 3])
def test_layers_come_back_from_disk_to_the_last_bit(tmp_path, count):
    saved = tuple(layers((6, 3 + k)) for k in range(count))
    save_layers(tmp_path, saved)
    loaded = load_layers(tmp_path)
    assert len(loaded) == count
    for before, after in zip(saved, loaded, strict=True):
        for name in ("base", "style", "localization"):
            assert getattr(before, name).equal(getattr(after, name))


def test_a_folder_without_layers_is_refused(tmp_path):
    with pytest.raises(InputError, match="no painted mesh"):
        load_layers(tmp_path)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_thresholds_that_show_all_or_nothing_are_refused(threshold):
    with pytest.raises(InputError, match="between 0 and 1"):
        check_threshold(threshold)
