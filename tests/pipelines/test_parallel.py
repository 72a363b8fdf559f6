"""One job by two processes: the same result, one who writes and prints, one word that stops all."""

import os
import subprocess
import sys

import pytest
import torch

from pipelines.runs import run_folder
from tests.conftest import ROOT, free_port
from tests.pipelines import shared_run
from tests.pipelines.shared_run import RESULT


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Two processes as a launcher starts them: their folder, and what each printed."""
    folder = tmp_path_factory.mktemp("together")
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    where |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.pipelines.shared_run", str(folder)],
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
    return folder, said


KINDS = dict(video=shared_run.Video, one_window=shared_run.OneWindow, mesh=shared_run.Mesh)


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


def test_only_the_main_process_prints(together):
    main, other = together[1]
    assert "Shared by 2 processes" in main and f"step {shared_run.STEPS}/" in main
    assert "step" not in other and "Shared" not in other


def test_a_stop_file_stops_both(together):
    status = run_folder.read_status(together[0] / "stopped")
    assert status.state == "stopped" and status.step < 100
