"""How a run went: few points, kept in its folder, the same however often it was cut short."""

import math
from itertools import pairwise

import pytest

from pipelines.events import Step
from pipelines.runs import checkpoint, curve, run_folder
from pipelines.runs.curve import MOST, Point
from tests.pipelines.tiny_run import STEPS, run


def after(count, of=()):
    """The curve after steps of change k and loss 2 k; `of`: what it had before."""
    for k in range(of[-1].step + 1 if of else 0, count):
        of = curve.grown(of, Step(k, count, 0.0, float(k), 2.0 * k))
    return of


@pytest.mark.parametrize("count", [1, 2, 199, 200, 201, 1234, 5000])
def test_a_long_curve_keeps_few_points_its_first_and_its_last(count):
    found = after(count)
    assert min(count, 100) <= len(found) <= MOST
    assert found[0] == (0, 0, 0) and found[-1] == (count - 1, count - 1, 2 * count - 2)
    strides = {b.step - a.step for a, b in pairwise(found[:-1])}
    assert len(strides) <= 1


@pytest.mark.parametrize("count", [150, 700])
def test_a_curve_that_goes_on_is_that_of_one_go(tmp_path, count):
    curve.write(tmp_path, after(count))
    assert after(900, curve.read(tmp_path)) == after(900)


def test_steps_that_are_taken_again_are_drawn_once():
    again = curve.grown(after(10), Step(4, 10, 0.0, 0.5, 0.25))
    assert again == (*after(4), Point(4, 0.5, 0.25))


def test_a_step_that_went_bad_is_no_point():
    for change, loss in ((math.nan, 0.0), (0.0, math.inf)):
        assert curve.grown(after(3), Step(3, 9, 0.0, change, loss)) == after(3)


@pytest.mark.parametrize("damaged", [None, "", "{", "{}", "[1]", "[[1]]", '[{"step": 1}]', "3"])
def test_a_curve_that_cannot_be_read_is_none(tmp_path, damaged):
    if damaged is not None:
        (tmp_path / curve.NAME).write_text(damaged)
    assert curve.read(tmp_path) == ()


def test_a_run_keeps_its_curve_and_goes_on_with_it(tmp_path, always):
    said = [event for event in run(tmp_path / "whole") if isinstance(event, Step)]
    whole = curve.read(tmp_path / "whole")
    assert whole == tuple((step.index, step.change, step.loss) for step in said)
    for event in run(tmp_path / "cut"):
        if isinstance(event, Step) and event.index == 4:
            run_folder.ask_to_stop(tmp_path / "cut")
    assert curve.read(tmp_path / "cut") == whole[:5]
    list(run(tmp_path / "cut", resumes=True))
    assert curve.read(tmp_path / "cut") == whole and len(whole) == STEPS


def test_a_curve_is_written_no_more_often_than_a_checkpoint(tmp_path, monkeypatch):
    written, saved = [], []
    monkeypatch.setattr(curve, "write", lambda folder, points: written.append(points))
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *a: saved.append(1) or save(*a))
    list(run(tmp_path))
    assert len(written) == len(saved) == 1 and len(written[0]) == STEPS
