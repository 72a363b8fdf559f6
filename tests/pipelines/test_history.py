"""Past runs: listing, loading, deleting, packing, and settings out of results."""

import errno
import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh

from pipelines import geometry, mesh, video
from pipelines.errors import InputError, RunFailed
from pipelines.media import clip_from_frames, write_clip
from pipelines.mesh import PaintMesh
from pipelines.runs import history, run_folder
from pipelines.runs.hold import hold
from pipelines.runs.run_folder import Status
from pipelines.video import EditVideo
from ui import runs_list


@pytest.fixture
def base(tmp_path):
    """A folder with two runs, a video's and the later one a mesh's."""
    base = tmp_path / "runs"
    clip = EditVideo(Path("ball.mp4"), "a red ball", "a blue ball", base / "first", seed=5)
    make(clip, video.describe(clip), 100.0, "stopped", step=3)
    cow = PaintMesh(Path("cow.obj"), "cow", "gold", base / "second", edit="horns")
    make(cow, mesh.describe(cow), 200.0, "done", step=300)
    return base


def make(job, said, began, state, step):
    job.out.mkdir(parents=True)
    run_folder.write_json(job.out / run_folder.SETTINGS, said)
    run_folder.write_status(job.out, Status(state, began, step))
    name, path = ("clip", job.clip) if isinstance(job, EditVideo) else ("mesh", job.mesh)
    kept = job.out / run_folder.INPUTS / name / path.name
    kept.parent.mkdir(parents=True)
    kept.write_text("content")


def test_runs_are_listed_newest_first_with_what_was_asked(base):
    second, first = history.past(base)
    assert (second.folder.name, second.words) == ("second", "cow: gold horns")
    assert (first.folder.name, first.words) == ("first", "a red ball → a blue ball")
    assert first.status.step == 3 and first.resumable and not second.resumable
    assert first.job.seed == 5 and first.job.steps is None
    assert first.job.clip.read_text() == "content"
    assert first.job.out == first.folder
    assert first.preview is None
    assert history.past(base / "nowhere") == []


def test_a_run_that_is_deleted_while_it_is_looked_at_is_left_out(base):
    def seen(folder):
        if folder.name == "first":
            shutil.rmtree(folder)
        return True

    assert [run.folder.name for run in history.past(base, seen)] == ["second"]


def test_a_copy_of_a_finished_run_is_a_run_with_its_inputs(base, tmp_path):
    source, mesh_file = tmp_path / "example", tmp_path / "cow.obj"
    mesh_file.write_text("content")
    said = mesh.describe(PaintMesh(mesh_file, "cow", "gold", source, edit="horns"))
    source.mkdir()
    run_folder.write_json(source / run_folder.SETTINGS, said)
    run_folder.write_json(source / run_folder.METRICS, {"steps": 7})
    (source / "texture.png").write_bytes(b"texture")
    history.copy(source, base / "third", {"mesh/cow.obj": mesh_file})
    third = history.past(base)[0]
    assert (third.folder.name, third.status.state, third.status.step) == ("third", "done", 7)
    assert third.job.mesh.read_text() == "content" and third.job.mesh.is_relative_to(third.folder)
    assert (third.folder / "texture.png").read_bytes() == b"texture"
    assert len(list(source.iterdir())) == 3


def test_of_a_copy_that_finds_no_room_nothing_is_left(base, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_folder, "write_status", full)
    with pytest.raises(RunFailed, match="The disk is full"):
        history.copy(base / "first", base / "third", {})
    assert not (base / "third").exists() and len(history.past(base)) == 2


def test_a_copy_takes_no_other_run_s_place(base):
    with pytest.raises(FileExistsError):
        history.copy(base / "first", base / "second", {})
    assert history.one(base / "second").words == "cow: gold horns"


def test_the_command_of_a_run_whose_teacher_is_gone_says_what_that_teacher_brought(base):
    first = history.one(base / "first").job
    asked = (
        f"python -m pipelines.video {first.clip} --source 'a red ball' --target 'a blue ball' "
        f"--out {first.out}"
    )
    assert history.command_line(first) == f"{asked} --seed 5"
    gone = history.command_line(replace(first, teacher="/gone/teacher"))
    assert gone.startswith(f"{asked} --teacher /gone/teacher --seed 5")
    assert f"--high {first.high} --low {first.low}" in gone


BROKEN = {
    "no JSON": "{",
    "a list": "[]",
    "no job": "{}",
    "another job": '{"job": "sound"}',
    "a job that is no name": '{"job": ["video"]}',
    "not complete": '{"job": "video", "source": "a"}',
    "another version": '{"job": "video", "sharpness": 3}',
    "names that are none": '{"job": "video", "clip": 3, "source": "a", "target": "b", "out": "o"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_is_shown_as_broken(base, name):
    (base / "first" / run_folder.SETTINGS).write_text(BROKEN[name])
    (base / "first" / run_folder.STATUS).write_text(BROKEN[name])
    first = next(run for run in history.past(base) if run.folder.name == "first")
    assert first.job is None and first.broken and not first.resumable
    assert first.status.state == "interrupted"
    history.delete(first.folder, base)
    assert len(history.past(base)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "asleep"},
        {"state": ["done"]},
        {"began": 1e300},
        {"began": float("inf")},
        {"began": float("nan")},
        {"step": float("inf")},
        {"said": 3},
    ],
    ids=str,
)
def test_a_status_that_cannot_be_is_of_a_run_interrupted_at_its_start(base, wrong):
    said = {"state": "stopped", "began": 100.0, "step": 3, "said": None} | wrong
    run_folder.write_json(base / "first" / run_folder.STATUS, said)
    first = next(run for run in history.past(base) if run.folder.name == "first")
    assert (first.status.state, first.status.step) == ("interrupted", 0) and first.resumable
    assert runs_list.thumbnail(first)[1].startswith("Interrupted")
    assert "begun" in runs_list.detail_of(first, by_path=True)[0]


def test_what_is_no_run_is_left_out(base):
    (base / "notes.txt").write_text("mine")
    (base / "pictures").mkdir()
    (base / ".deleted-0123abcd").mkdir()
    assert len(history.past(base)) == 2


def test_a_run_that_was_killed_before_its_settings_is_shown_as_broken(base):
    (base / "third").mkdir()
    run_folder.write_status(base / "third", Status("running", 300.0))
    assert history.past(base)[0].broken


def test_a_run_under_way_is_running_and_one_without_a_process_is_interrupted(base):
    first = base / "first"
    run_folder.write_status(first, Status("running", 100.0, 3))
    assert history.one(first).status.state == "interrupted"
    with hold(first):
        assert history.one(first).status.state == "running"
        with pytest.raises(InputError, match="being worked on"):
            history.delete(first, base)
    assert first.exists()


def test_deleting_removes_one_run_and_only_a_run(base, tmp_path):
    # What an earlier deletion could not finish goes with the next.
    (base / ".deleted-0123abcd").mkdir()
    history.delete(base / "first", base)
    assert [run.folder.name for run in history.past(base)] == ["second"]
    assert [path.name for path in base.iterdir()] == ["second"]
    outside = tmp_path / "outside"
    outside.mkdir()
    run_folder.write_json(outside / run_folder.SETTINGS, {})
    (base / "link").symlink_to(outside)
    (base / "pictures").mkdir()
    for folder in (
        outside,
        base,
        base / ".." / "outside",
        base / "link",
        base / "pictures",
        base / "second" / "inputs",
        base / "gone",
    ):
        with pytest.raises(InputError, match="no run of this studio"):
            history.delete(folder, base)
    assert outside.exists() and (base / "second").exists()


def test_the_zip_holds_what_was_given_and_made_and_nothing_private(base):
    folder = base / "first"
    for name in (
        "result.mp4",
        "checkpoint.pt",
        run_folder.OWNER,
        run_folder.STOP,
        ".result.0123abcd.mp4",
    ):
        (folder / name).write_text(name)
    with hold(folder):
        pass
    wanted = {"result.mp4", "settings.json", "inputs/clip/ball.mp4"}
    for _ in range(2):
        with zipfile.ZipFile(history.archive(folder)) as packed:
            assert set(packed.namelist()) == wanted
            assert packed.read("result.mp4") == b"result.mp4"


@pytest.fixture
def results(base, tmp_path):
    """The first run's result.mp4 and the second one's painted.glb."""
    said = {
        name: json.loads((base / name / run_folder.SETTINGS).read_text())
        for name in os.listdir(base)
    }
    frames = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    clip, painted = tmp_path / "result.mp4", tmp_path / "painted.glb"
    write_clip(clip, frames, clip_from_frames(frames, 5), said["first"])
    trimesh.creation.box().export(tmp_path / "box.obj")
    model = geometry.unwrap(geometry.read_mesh(tmp_path / "box.obj"))
    geometry.write_glb(painted, model, [None], said["second"])
    return clip, painted


def test_results_give_their_settings_back(base, results):
    clip, painted = map(history.embedded_job, results)
    assert (clip.source, clip.seed, clip.clip, clip.steps) == (
        "a red ball",
        5,
        Path("ball.mp4"),
        None,
    )
    assert (painted.object, painted.edit, painted.mesh) == ("cow", "horns", Path("cow.obj"))


def test_files_that_no_run_made_are_refused_in_a_sentence(tmp_path):
    frames = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    write_clip(tmp_path / "a.mp4", frames, clip_from_frames(frames, 5))
    write_clip(tmp_path / "b.mp4", frames, clip_from_frames(frames, 5), {"job": "sound"})
    trimesh.creation.box().export(tmp_path / "c.glb")
    (tmp_path / "d.mp4").write_text("no clip")
    (tmp_path / "e.glb").write_text("no mesh")
    (tmp_path / "f.txt").write_text("neither")
    sentences = {
        "a.mp4": "not made here",
        "b.mp4": "no job",
        "c.glb": "not made here",
        "d.mp4": "not a video",
        "e.glb": "no GLB that can be read",
        "f.txt": "no result",
        "gone.mp4": "no file",
    }
    for name, sentence in sentences.items():
        with pytest.raises(InputError, match=sentence):
            history.embedded_job(tmp_path / name)
