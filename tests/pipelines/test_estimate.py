"""Estimates from earlier runs."""

import json

import pytest

from pipelines.estimate import LATEST, Estimate, at_most, estimate


def finished(
    base, name, frames=8, steps=10, teacher="miniature", pace=0.5, job="video", asked=None, **other
):
    folder = base / name
    folder.mkdir()
    settings = {"job": job, "teacher": teacher, "painting": {"views": frames}} | (asked or {})
    metrics = {
        "seconds": steps * pace,
        "seconds_per_step": pace,
        "seconds_in_all": steps * pace + 3,
        "steps": steps,
        "peak_memory_mb": 900.0,
        "frames": frames,
        "working_size": [128, 128],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "metrics.json").write_text(json.dumps(metrics | other))


SIZE = 8 * 128 * 128


def test_without_runs_there_is_none(tmp_path):
    assert estimate(tmp_path / "nowhere", "video", "miniature", 40, SIZE) is None
    (tmp_path / "20260101-000000-aa").mkdir()
    (tmp_path / "20260101-000001-bb").mkdir()
    (tmp_path / "20260101-000001-bb" / "settings.json").write_text("{")
    finished(tmp_path, "20260101-000002-cc", teacher="large")
    finished(tmp_path, "20260101-000003-dd", job="mesh")
    finished(tmp_path, "20260101-000004-ee", steps=1)
    assert estimate(tmp_path, "video", "miniature", 40, SIZE) is None


def test_the_same_again_takes_as_long(tmp_path):
    finished(tmp_path, "20260101-000000-aa")
    assert estimate(tmp_path, "video", "miniature", 10, SIZE) == Estimate(8.0, 900.0)
    assert estimate(tmp_path, "video", "miniature", 40, SIZE).seconds == 23.0


def test_the_nearest_in_size_is_scaled(tmp_path):
    finished(tmp_path, "20260101-000000-aa", frames=8, pace=0.5)
    finished(tmp_path, "20260101-000001-bb", frames=64, pace=9.0)
    assert estimate(tmp_path, "video", "miniature", 10, 2 * SIZE).seconds == pytest.approx(16)
    assert estimate(tmp_path, "video", "miniature", 10, 8 * SIZE).seconds == pytest.approx(93)


def test_of_equals_the_latest_counts(tmp_path):
    finished(tmp_path, "20260101-000000-aa", pace=5.0)
    finished(tmp_path, "20260102-000000-bb", pace=0.5)
    assert estimate(tmp_path, "video", "miniature", 10, SIZE).seconds == 8.0


def test_a_mesh_grows_with_its_views(tmp_path):
    finished(tmp_path, "20260101-000000-aa", job="mesh", frames=4)
    assert estimate(tmp_path, "mesh", "miniature", 10, 8).seconds == pytest.approx(16)


def test_at_most_is_what_the_slowest_took(tmp_path):
    assert at_most(tmp_path, "video", "miniature", 40) is None
    finished(tmp_path, "20260101-000000-aa", pace=5.0)
    finished(tmp_path, "20260102-000000-bb", pace=0.5)
    finished(tmp_path, "20260103-000000-cc", pace=9.0, teacher="large")
    finished(tmp_path, "20260104-000000-dd", pace=9.0, job="mesh")
    assert at_most(tmp_path, "video", "miniature", 40) == 203.0


def test_compiled_runs_tell_of_compiled_ones(tmp_path):
    finished(tmp_path, "20260101-000000-aa")
    finished(tmp_path, "20260102-000000-bb", pace=0.2, steps=60, asked={"compile": True})
    # Of so few steps, most is the compiling.
    finished(tmp_path, "20260102-000001-bc", pace=60.0, steps=3, asked={"compile": True})
    finished(tmp_path, "20260103-000000-cc", pace=0.3, asked={"compile": False})
    last = ("video", "miniature", 10, SIZE)
    assert [estimate(tmp_path, *last, compile=c).seconds for c in (True, False)] == [5.0, 6.0]
    assert [at_most(tmp_path, *last[:3], compile=c) for c in (True, False)] == [603.0, 8.0]


def test_only_the_latest_runs_are_asked(tmp_path):
    finished(tmp_path, "20260101-000000-aa", pace=9.0)
    for k in range(LATEST):
        finished(tmp_path, f"20260102-0000{k:02}-bb", frames=64)
        # What tells nothing does not count among them.
        (tmp_path / f"20260103-0000{k:02}-cc").mkdir()
    assert estimate(tmp_path, "video", "miniature", 10, 8 * SIZE).seconds == 8.0
    assert estimate(tmp_path, "video", "miniature", 10, SIZE).seconds == 1.0
