"""The benchmark asks for one change at a time, on scenes nothing was trained or tuned on."""

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from miniature.draw import draw
from miniature.edits import QUICK, VALUES, edits
from miniature.latents import FIRST_CLIP
from miniature.scenes import sample_scene, words

EDITS = edits("test")


def test_there_are_six_edits_of_each_kind_each_of_its_own_scene():
    assert Counter(edit.kind for edit in EDITS) == dict.fromkeys(VALUES, 6)
    assert len({edit.number for edit in EDITS}) == len(EDITS)
    assert edits("test") == EDITS


def test_the_quick_edits_are_some_of_the_others():
    quick = edits("test", quick=True)
    assert Counter(edit.kind for edit in quick) == QUICK
    assert set(quick) < set(EDITS)


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: f"{e.kind}-{e.number}")
def test_an_edit_changes_exactly_one_attribute(edit):
    assert edit.source == sample_scene("test", edit.number)
    names = [field.name for field in fields(edit.source)]
    differ = [n for n in names if getattr(edit.source, n) != getattr(edit.target, n)]
    assert differ == [edit.kind]
    assert getattr(edit.target, edit.kind) in VALUES[edit.kind]


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: f"{e.kind}-{e.number}")
def test_the_prompts_say_the_change_in_words_the_teachers_know(edit):
    source, target = edit.prompts
    assert source != target
    assert set(f"{source} {target}".split()) <= set(words())
    if edit.kind == "background" and "plain" in (edit.source.background, edit.target.background):
        return
    assert getattr(edit.source, edit.kind) in source
    assert getattr(edit.target, edit.kind) in target


def test_no_scene_was_trained_or_tuned_on():
    held_out = {edit.source.texture_seed for edit in EDITS} | {edit.source.x for edit in EDITS}
    for split, first in (("train", 0), ("train", FIRST_CLIP), ("tune", 0)):
        scenes = [sample_scene(split, first + k) for k in range(1500)]
        assert not held_out & ({s.texture_seed for s in scenes} | {s.x for s in scenes})
    assert not {edit.source for edit in EDITS} & {edit.source for edit in edits("tune")}


@pytest.mark.parametrize("edit", EDITS[::3], ids=lambda e: f"{e.kind}-{e.number}")
def test_the_true_answer_with_the_old_attribute_is_the_source(edit):
    undone = replace(edit.target, **{edit.kind: getattr(edit.source, edit.kind)})
    source, target = draw(edit.source), draw(edit.target)
    assert np.array_equal(draw(undone).frames, source.frames)
    assert not np.array_equal(target.frames, source.frames)
    assert np.array_equal(target.centres, source.centres)
