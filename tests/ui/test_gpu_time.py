"""What is reserved on ZeroGPU."""

import json

import pytest

from pipelines import worker
from pipelines.mesh import PaintMesh
from pipelines.video import EditVideo
from ui.gpu_time import FIRST, LEAST, ROOM, gpu_seconds


@pytest.fixture
def edit(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "ZERO_GPU", True)
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path))
    return EditVideo(tmp_path / "clip.mp4", "a ball", "a cube", tmp_path / "run", steps=100)


def finished(base, pace):
    """An edit of ten steps that has been finished, `pace` seconds a step and 4 around them."""
    folder = base / "20260101-000000-0123456789ab"
    folder.mkdir()
    metrics = dict(
        steps=10,
        seconds=10 * pace,
        seconds_per_step=pace,
        seconds_in_all=10 * pace + 4,
        peak_memory_mb=1.0,
        frames=8,
        working_size=[64, 64],
    )
    (folder / "settings.json").write_text(json.dumps({"job": "video", "teacher": "miniature"}))
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_first_run_gets_a_guess_and_later_ones_what_they_need(edit, tmp_path):
    assert gpu_seconds(edit) == FIRST
    finished(tmp_path, pace=2.0)
    assert gpu_seconds(edit) == ROOM * 204
    mesh = PaintMesh(tmp_path / "mesh.obj", "cow", "gold", tmp_path / "run", everywhere=True)
    assert gpu_seconds(mesh) == FIRST


def test_short_runs_get_time_for_their_process_too(edit, tmp_path):
    finished(tmp_path, pace=0.01)
    assert gpu_seconds(edit) == LEAST


def test_elsewhere_nothing_is_reserved(edit, monkeypatch):
    monkeypatch.setattr(worker, "ZERO_GPU", False)
    assert gpu_seconds(edit) == 0
