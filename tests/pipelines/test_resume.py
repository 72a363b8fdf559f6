"""Both jobs, interrupted and resumed: they end where nothing would have interrupted them."""

import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh
from PIL import Image

from pipelines import command, geometry
from pipelines.errors import InputError
from pipelines.events import Note, Step
from pipelines.media import clip_from_frames, read_clip, save_png, write_clip
from pipelines.mesh import PaintMesh
from pipelines.paint.layers import load_layers
from pipelines.region import MoveRegion, move_region
from pipelines.resume import Resume, resume
from pipelines.runs import checkpoint, history, run_folder
from pipelines.teachers.painting import Painting
from pipelines.video import EditVideo
from sds.priors.stable_diffusion import LatentCodec

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def cheap():
    """A checkpoint after every step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "EVERY", 0.0)
        patch.setattr(checkpoint, "SHARE", 1e9)
        yield


def a_clip(folder):
    frames = torch.zeros(4, 48, 64, 3, dtype=torch.uint8)
    frames[..., 1] = 120
    for f in range(4):
        frames[f, 14:34, 10 + 4 * f : 30 + 4 * f] = torch.tensor([220, 20, 20], dtype=torch.uint8)
    write_clip(folder / "clip.mp4", frames, clip_from_frames(frames, 8))
    mask = torch.zeros(48, 64, dtype=torch.uint8)
    mask[8:40, 4:60] = 255
    save_png(folder / "mask.png", mask)
    words = ("a red ball on the grass", "a blue ball on the grass")
    made = EditVideo(folder / "clip.mp4", *words, folder / "whole", mask=folder / "mask.png")
    return replace(made, steps=STEPS, seed=3)


def a_mesh(folder):
    """Two parts with pictures of their own, painted in phases."""
    (folder / "maps").mkdir()
    for name, level in (("wall", 200), ("roof", 90)):
        picture = torch.full((16, 16, 3), level, dtype=torch.uint8)
        save_png(folder / "maps" / f"{name}.png", picture)
    box = trimesh.creation.box((2, 3, 1))
    lines = ["mtllib house.mtl", *(f"v {x} {y} {z}" for x, y, z in box.vertices)]
    for k, (a, b, c) in enumerate(box.faces + 1):
        lines += [f"usemtl {'wall' if k < 6 else 'roof'}", f"f {a} {b} {c}"]
    (folder / "house.obj").write_text("\n".join(lines) + "\n")
    maps = [f"newmtl {name}\nmap_Kd maps/{name}.png" for name in ("wall", "roof")]
    (folder / "house.mtl").write_text("\n".join(maps) + "\n")
    how = Painting(cascade="phases", views=1, detail_from=0.5)
    made = PaintMesh(folder / "house.obj", "house", "red", folder / "whole", edit="roof")
    return replace(made, steps=STEPS, resolution=32, painting=how, seed=2)


JOBS = {"video": a_clip, "mesh": a_mesh}


@pytest.fixture(scope="module", params=JOBS)
def whole(request, tmp_path_factory):
    """A job and its folder, where nothing interrupted it."""
    job = JOBS[request.param](tmp_path_factory.mktemp(request.param))
    list(history.begin(job))
    return job


def stop_after(job, index):
    for event in history.begin(job):
        if isinstance(event, Step) and event.index == index:
            run_folder.ask_to_stop(job.out)


def expect_same_end(whole, folder):
    """The same numbers, and the same frames or textures, to the last bit."""
    there, here = (checkpoint.load(path).state for path in (whole.out, folder))
    assert there["step"] == here["step"] == STEPS
    for one, other in zip(there["parameters"], here["parameters"], strict=True):
        assert one.equal(other)
    for one, other in zip(tensors(there["optimizer"]), tensors(here["optimizer"]), strict=True):
        assert one.equal(other)
    if isinstance(whole, EditVideo):
        assert frames(whole.out).equal(frames(folder))
    else:
        for one, other in zip(load_layers(whole.out), load_layers(folder), strict=True):
            assert all(getattr(one, n).equal(getattr(other, n)) for n in vars(one))
        for path in whole.out.glob("*.png"):
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
        assert (whole.out / "painted.obj").read_bytes() == (folder / "painted.obj").read_bytes()


def frames(folder):
    return read_clip(folder / "result.mp4").frames


def tensors(state):
    return [state[k][name] for k in sorted(state) for name in sorted(state[k])]


def test_a_stopped_run_goes_on_to_the_same_end_without_what_it_was_given(whole, tmp_path):
    job = JOBS["video" if isinstance(whole, EditVideo) else "mesh"](tmp_path)
    job = replace(job, out=tmp_path / "run")
    stop_after(job, 1)
    assert history.one(job.out).status.state == "stopped"
    # The run has its own copies, side files and all.
    for path in tmp_path.iterdir():
        if path.is_file():
            path.unlink()
    events = list(resume(Resume(job.out)))
    assert [e.index for e in events if isinstance(e, Step)] == [2, 3]
    expect_same_end(whole, job.out)
    with pytest.raises(InputError, match="all of its 4 steps"):
        list(resume(Resume(job.out)))


def test_a_run_that_failed_in_the_middle_goes_on_to_the_same_end(whole, tmp_path, monkeypatch):
    job = replace(whole, out=tmp_path / "run")
    target = "pipelines.clip.edit.assd_score"
    if isinstance(whole, PaintMesh):
        target = "sds.csd.distill_cascade"
    module, name = target.rsplit(".", 1)
    honest, calls = getattr(sys.modules[module], name), []

    def failing(*args, **more):
        calls.append(1)
        if len(calls) == 4:
            raise MemoryError
        return honest(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(target, failing)
        with pytest.raises(MemoryError):
            list(history.begin(job))
    status = run_folder.read_status(job.out)
    assert (status.state, status.step) == ("failed", 3)
    list(resume(Resume(job.out)))
    expect_same_end(whole, job.out)


CHEAP = """
from pipelines.runs import checkpoint
checkpoint.EVERY, checkpoint.SHARE = 0.0, 1e9
"""
LINGERING = """
import time
honest = checkpoint.save
def lingering(folder, reached):
    honest(folder, reached)
    # Until it is killed, however late that comes.
    time.sleep(300)
checkpoint.save = lingering
"""


def test_a_killed_command_goes_on_to_the_same_end(whole, tmp_path, capsys):
    job = replace(whole, out=tmp_path / "run")
    _, _, module, *line = shlex.split(history.command_line(job))
    begin = f"import sys; from {module} import main; sys.argv[1:] = {line!r}; main()"
    code = f"{CHEAP}{LINGERING}{begin}"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not (job.out / checkpoint.NAME).exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    expect_whole_files(job.out)
    assert history.one(job.out).status.state == "interrupted"
    taken = checkpoint.load(job.out).state["step"]
    assert command.run(resume(Resume(job.out)), job.out) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics["steps"] == STEPS > taken >= 1
    expect_same_end(whole, job.out)


class Death(BaseException):
    """What no code catches: as far as the files go, the end of the process."""


@contextmanager
def dying_at(count):
    """A process that dies just before it gives the file number `count` its final name."""
    honest, left = os.replace, iter(range(count))

    def replace_or_die(part, path):
        if next(left, None) is None:
            raise Death
        honest(part, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_or_die)
        yield


def test_killed_between_any_two_files_of_its_result_a_run_still_ends_the_same(whole, tmp_path):
    base, deaths = tmp_path / "base", 0
    kept = (run_folder.SETTINGS, run_folder.STATUS, checkpoint.NAME, run_folder.PREVIEW)
    shutil.copytree(whole.out / run_folder.INPUTS, base / run_folder.INPUTS)
    for name in kept:
        shutil.copy(whole.out / name, base)
    run_folder.write_status(base, run_folder.Status("running", time.time(), STEPS))
    for count in itertools.count():
        folder = tmp_path / str(count)
        shutil.copytree(base, folder)
        try:
            with dying_at(count):
                list(resume(Resume(folder)))
            break
        except Death:
            deaths += 1
        assert history.one(folder).status.state == "interrupted"
        expect_whole_files(folder)
        list(resume(Resume(folder)))
        expect_same_end(whole, folder)
    # The settings and how far it is, again; a file or more, what was measured, and that it is done.
    assert deaths > 4 and history.one(folder).status.state == "done"


def expect_whole_files(folder):
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith("."):
            continue
        match path.suffix:
            case ".json":
                assert json.loads(path.read_text())
            case ".jpg" | ".png":
                Image.open(path).load()
            case ".pt":
                assert torch.load(path, weights_only=True)
            case ".mp4":
                assert len(read_clip(path))
            case ".glb" | ".obj":
                assert geometry.read_mesh(path).faces
            case _:
                assert path.read_bytes()


def test_a_clip_that_would_be_encoded_otherwise_by_now_is_taken_as_it_was(tmp_path, monkeypatch):
    job = a_clip(tmp_path)
    list(history.begin(job))
    begun = replace(job, out=tmp_path / "run")
    stop_after(begun, 1)
    honest = LatentCodec.encode
    # As in tiles, where memory has become short.
    monkeypatch.setattr(LatentCodec, "encode", lambda codec, frames: honest(codec, frames) + 0.1)
    list(resume(Resume(begun.out)))
    expect_same_end(job, begun.out)


def test_more_steps_go_on_from_the_end(tmp_path):
    job = replace(a_clip(tmp_path), steps=1)
    list(history.begin(job))
    done = list(resume(Resume(job.out, steps=2)))[-1]
    assert done.metrics["steps"] == 2 and done.settings["lengthened_at"] == [1]
    # A repeat of it is a run of two steps.
    assert history.job_of(job.out).steps == 2


def test_bad_folders_are_one_sentence_and_exit_2(tmp_path, capsys):
    assert command.run(resume(Resume(tmp_path)), tmp_path) == 2
    assert "holds no run" in capsys.readouterr().err
    for name in ("gone", "n" * 300):
        folder = tmp_path / name
        assert command.run(resume(Resume(folder)), folder) == 2
        assert "holds no run" in capsys.readouterr().err
        with pytest.raises(InputError, match="holds no painted mesh"):
            move_region(MoveRegion(folder, 0.5))
    (tmp_path / run_folder.SETTINGS).write_text("{}")
    assert command.run(resume(Resume(tmp_path)), tmp_path) == 2
    assert "no job" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [run_folder.SETTINGS]


def test_ctrl_c_names_the_run_only_where_there_is_one(tmp_path, capsys):
    def interrupted():
        yield Note("reading")
        raise KeyboardInterrupt

    assert command.run(interrupted(), tmp_path) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted before the run began"
    (tmp_path / run_folder.SETTINGS).write_text("{}")
    assert command.run(interrupted(), tmp_path) == 130
    assert f"go on with: python -m pipelines.resume {tmp_path}" in capsys.readouterr().err


def test_ctrl_c_keeps_what_there_is(tmp_path):
    job = replace(a_clip(tmp_path), steps=500, out=tmp_path / "run")
    line = [sys.executable, *shlex.split(history.command_line(job))[1:]]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while not (job.out / run_folder.PREVIEW).exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=300)
    assert process.returncode == 0
    taken = json.loads(printed.splitlines()[-1])["steps"]
    assert 0 < taken < 500
    go_on = f"stopped after {taken} of 500 steps; go on with: python -m pipelines.resume {job.out}"
    assert said.decode().splitlines()[-1] == go_on
    assert history.one(job.out).status.state == "stopped"
