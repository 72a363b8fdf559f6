"""The small world keeps its promises: exact masks, exact motion, one change at a time."""

from dataclasses import replace

import numpy as np
import pytest

from miniature.draw import COLOUR, draw
from miniature.scenes import BACKGROUNDS, COLOURS, MOTIONS, OBJECTS, PATTERNS, sample_scene
from miniature.shapes import PARTS

SCENES = [sample_scene("tune", k) for k in range(12)]


def changed(a, b):
    """Which pixels differ at all: (F, 1, S, S) bool."""
    return (a.frames != b.frames).any(1, keepdims=True)


def test_every_word_of_the_grammar_can_be_drawn():
    assert set(COLOUR) == set(COLOURS)
    assert set(PARTS) == set(OBJECTS)
    base = SCENES[0]
    for field, values in (("background", BACKGROUNDS), ("pattern", PATTERNS), ("object", OBJECTS)):
        pictures = [draw(replace(base, **{field: value}), frames=1).frames for value in values]
        assert all(p.shape == (1, 3, 128, 128) for p in pictures)
        assert len({p.tobytes() for p in pictures}) == len(values)


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: f"{s.object}-{s.motion}")
def test_a_clip_is_in_range_and_its_object_in_the_frame(scene):
    clip = draw(scene)
    assert clip.frames.dtype == clip.mask.dtype == np.float32
    assert clip.frames.min() >= 0 and clip.frames.max() <= 1
    assert clip.mask.min() == 0 and clip.mask.max() == 1
    assert (clip.centres > 0).all() and (clip.centres < 128).all()
    edge = np.concatenate([clip.mask[..., [0, -1], :].ravel(), clip.mask[..., [0, -1]].ravel()])
    assert (edge == 0).all()


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_balls_centroid_follows_its_centre_below_a_pixel(motion):
    travel = 0.0 if motion == "still" else 0.2113
    scene = replace(
        SCENES[1], object="ball", motion=motion, travel=travel, x=0.4871, y=0.5237, radius=0.21
    )
    clip = draw(scene)
    weight = clip.mask[:, 0].astype(np.float64)
    grid = np.arange(128) + 0.5
    x = (weight.sum(1) * grid).sum(1) / weight.sum((1, 2))
    y = (weight.sum(2) * grid).sum(1) / weight.sum((1, 2))
    assert np.abs(np.stack([x, y], axis=1) - clip.centres).max() < 0.1
    moved = np.ptp(clip.centres, axis=0).max() / 128
    assert moved == pytest.approx(travel, rel=0.05)
    area = np.pi * (0.92 * 0.21 * 128) ** 2
    assert weight.sum((1, 2)) == pytest.approx(np.full(16, area), rel=0.01)


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: f"{s.object}-{s.motion}")
def test_a_new_colour_changes_the_object_and_not_one_bit_outside(scene):
    other = replace(scene, colour="blue" if scene.colour != "blue" else "red")
    before, after = draw(scene), draw(other)
    assert np.array_equal(before.mask, after.mask)
    differs = changed(before, after)
    assert not (differs & (before.mask == 0)).any()
    assert differs.any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: f"{s.object}-{s.motion}")
def test_a_new_object_changes_nothing_outside_both_masks(scene):
    other = replace(scene, object="star" if scene.object != "star" else "car")
    before, after = draw(scene), draw(other)
    assert not (changed(before, after) & (before.mask == 0) & (after.mask == 0)).any()
    assert np.array_equal(before.centres, after.centres)


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: f"{s.object}-{s.motion}")
def test_a_new_background_leaves_the_object(scene):
    other = replace(scene, background="sea" if scene.background != "sea" else "desert")
    before, after = draw(scene), draw(other)
    assert np.array_equal(before.mask, after.mask)
    whole = np.broadcast_to(before.mask == 1, before.frames.shape)
    np.testing.assert_allclose(before.frames[whole], after.frames[whole], atol=1e-6)


def test_the_same_scene_is_drawn_the_same():
    first, again = draw(SCENES[2]), draw(replace(SCENES[2]))
    assert np.array_equal(first.frames, again.frames)


def test_one_frame_at_another_size_can_be_drawn():
    assert draw(SCENES[3], frames=1, size=64).mask.shape == (1, 1, 64, 64)
