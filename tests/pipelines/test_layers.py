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
from pipelines.paint.painted import touched_textures


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
    assert made.texture(0.3).eq(100).all()


def test_a_higher_threshold_never_shows_more():
    made = layers((16, 16))
    assert (made.weight(0.7) <= made.weight(0.4)).all()


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5])
def test_nothing_shows_between_edits_that_meet(threshold):
    """Two black edits on white, one where the other is not: what is not black is the base's."""
    p = torch.arange(256, dtype=torch.uint8)[None]
    black = torch.zeros(1, 256, 3, dtype=torch.uint8)
    first = Layers(torch.full_like(black, 255), black, p).texture(threshold)
    assert Layers(first, black, 255 - p).texture(threshold).eq(0).all()


def test_the_region_is_what_reaches_the_threshold():
    made = layers((16, 16))
    reached = made.localization >= 0.5 * 255
    assert (made.weight(0.5) == 1).equal(reached)
    assert (made.weight(0.5) == 0).equal(made.localization <= (0.5 - SOFTNESS) * 255)


def test_a_part_that_the_edit_is_nowhere_on_gets_no_texture():
    made, left = layers(), layers()
    left.localization.zero_()
    textures = [layer.texture(0.5) for layer in (made, left)]
    touched, untouched = touched_textures((made, left), textures)
    assert untouched is None and (touched == textures[0].numpy()).all()


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
