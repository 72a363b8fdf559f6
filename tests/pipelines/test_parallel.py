"""One job by two processes: the same result, one who writes and prints, one word that stops all."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import trimesh

from pipelines import command, mesh, video
from pipelines.errors import InputError, RunFailed
from pipelines.events import Note
from pipelines.media import clip_from_frames, write_clip
from pipelines.runs import checkpoint, run_folder
from sds import parallel
from tests import tiny_teachers as tiny
from tests.conftest import ROOT, free_port
from tests.pipelines import shared_run
from tests.pipelines.shared_run import RESULT


def launched(*words):
    """`python -m` with these words, twice, as a launcher does: what each of the two printed."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    where |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=os.environ | where | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = []
    try:
        for process in processes:
            said.append("".join(process.communicate(timeout=600)))
            assert process.returncode == 0, said[-1]
    finally:
        for process in processes:
            process.kill()
    return said


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of two processes' runs, and what each printed."""
    folder = tmp_path_factory.mktemp("together")
    return folder, launched("tests.pipelines.shared_run", str(folder))


KINDS = dict(
    video=shared_run.Video,
    one_window=shared_run.OneWindow,
    mesh=shared_run.Mesh,
    one_view=shared_run.OneView,
)


@pytest.mark.parametrize("name", KINDS)
def test_two_processes_end_where_one_does(together, tmp_path, name):
    kind = KINDS[name]
    begun = kind(tmp_path, 0).numbers().clone()
    list(shared_run.run(kind, tmp_path / "alone"))
    alone = torch.load(tmp_path / "alone" / RESULT, weights_only=True)
    shared = torch.load(together[0] / name / RESULT, weights_only=True)
    # By their norms: Adam turns what is all rounding, where no gradient should be, into steps.
    assert (shared - alone).norm() < 1e-4 * (alone - begun).norm()
    assert (alone - begun).abs().max() > 0.05


def test_what_lies_in_another_order_is_summed_by_nccl_too(monkeypatch):
    """Latents do, as `LatentCodec` encodes them; gloo takes them as they are."""

    def all_reduce(tensor):
        if not tensor.is_contiguous():
            raise ValueError("Tensors must be contiguous")
        tensor.mul_(2)

    monkeypatch.setattr(parallel, "count", lambda: 2)
    monkeypatch.setattr(parallel.dist, "all_reduce", all_reduce)
    frames = torch.rand(4, 3, 2, 2)
    latents = frames.clone().transpose(0, 1).unsqueeze(0)
    assert parallel.sum_(latents) is latents
    assert latents.equal(2 * frames.transpose(0, 1).unsqueeze(0))


def test_only_the_main_process_prints(together):
    main, other = together[1]
    assert "Shared by 2 processes" in main and f"step {shared_run.STEPS}/" in main
    assert "step" not in other and "Shared" not in other


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [(InputError("no clip"), 2, "error"), (RunFailed("full"), 1, "failed")],
)
def test_any_process_that_fails_says_so(monkeypatch, capsys, tmp_path, error, code, word):
    def events():
        yield Note("ready")
        raise error

    monkeypatch.setattr(parallel, "rank", lambda: 1)
    assert command.run(events(), tmp_path) == code
    assert capsys.readouterr().err == f"process 1: {word}: {error}\n"


def test_a_stop_file_stops_both(together):
    status = run_folder.read_status(together[0] / "stopped")
    assert status.state == "stopped" and status.step < 100


def test_two_processes_go_on_where_they_stopped(together):
    main, _ = together[1]
    # The first step of this run and of each other, and no second time after the stop.
    assert main.count(f"step 1/{shared_run.STEPS}") == len(KINDS) + 1, main
    whole, resumed = (
        torch.load(together[0] / name / RESULT, weights_only=True) for name in ("mesh", "resumed")
    )
    torch.testing.assert_close(resumed, whole)


def numbers(run):
    """Where a run ended."""
    return torch.cat([p.flatten() for p in checkpoint.load(run).state["parameters"]])


def expect_the_same(folder, module, kind, run, usual, words):
    """The command by two processes, and its job by this one: also with another seed."""
    printed = launched(module, *words, "--out", str(folder / "together"))
    assert "Shared by 2 processes" in printed[0] and "Shared" not in printed[1]
    job = command.parse(kind, module, usual, None, [*words, "--out", str(folder / "alone")])
    list(run(job))
    list(run(replace(job, seed=1, out=folder / "other")))
    together, alone, other = (numbers(folder / name) for name in ("together", "alone", "other"))
    assert (together - alone).norm() < 0.1 * (other - alone).norm()


def test_the_video_command_by_two_processes(tmp_path):
    frames = torch.zeros(12, 40, 56, 3, dtype=torch.uint8)
    frames[:, 10:26, 6:22] = torch.tensor([220, 20, 20], dtype=torch.uint8)
    write_clip(tmp_path / "clip.mp4", frames, clip_from_frames(frames, 12))
    names = tiny.save(tiny.stable_diffusion(), tmp_path / "sd"), tmp_path / "motion"
    teacher = f"{names[0]}+{tiny.save(tiny.motion_adapter(), names[1])}"
    words = [str(tmp_path / "clip.mp4"), "--source", "a red ball", "--target", "a blue ball"]
    words += ["--teacher", teacher, "--steps", "2", "--side", "32"]
    job = video.EditVideo, video.edit_video, video.usual
    expect_the_same(tmp_path, "pipelines.video", *job, words)


def test_the_mesh_command_by_two_processes(tmp_path):
    trimesh.creation.box((1, 2, 1)).export(tmp_path / "box.obj")
    stages = {"one": tiny.if_stage_1(), "two": tiny.if_stage_2()}
    teacher = "+".join(tiny.save(pipe, tmp_path / name) for name, pipe in stages.items())
    words = [str(tmp_path / "box.obj"), "--object", "box", "--edit", "lid", "--style", "red"]
    words += ["--teacher", teacher, "--steps", "2", "--resolution", "32", "--views", "3"]
    words += ["--detail-from", "0.5"]
    job = mesh.PaintMesh, mesh.paint_mesh, mesh.usual
    expect_the_same(tmp_path, "pipelines.mesh", *job, words)
