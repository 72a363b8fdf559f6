"""Both jobs on a ZeroGPU of our own: another process, pickled values, a stop file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.teachers.catalog import ASSETS

ROOT = Path(__file__).resolve().parent.parent.parent
STAND_IN = Path(__file__).resolve().parent / "zero_gpu"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a process that believes itself on ZeroGPU found out."""
    if not hasattr(os, "fork"):
        pytest.skip("ZeroGPU forks, and this system cannot")
    places = [tmp_path_factory.mktemp("zero"), ASSETS / "examples" / "ball.mp4"]
    places.append(ASSETS / "examples" / "mushroom.obj")
    return json.loads(run(STAND_IN / "jobs.py", *places).splitlines()[-1])


def run(*arguments):
    """What a Python process that believes itself on ZeroGPU prints."""
    # One thread: OpenMP's do not survive a fork. On ZeroGPU the parent computes nothing.
    said = {"SPACES_ZERO_GPU": "true", "OMP_NUM_THREADS": "1"}
    said["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, STAND_IN)))
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | said,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_jobs_run_in_a_process_of_their_own_and_their_pictures_arrive(found):
    assert found["zero"] and found["another_process"] and found["picture"]


def test_teachers_are_prepared_at_once_by_the_main_thread(found):
    assert found["prepared"] == [True]


def test_stop_file_reaches_the_other_process(found):
    assert found["first"] == 0
    assert found["ended"]


def test_what_the_user_should_read_arrives_and_a_defect_is_not_swallowed(found):
    assert found["refused"] == "InputError: 0 steps paint nothing. Give at least 1."
    assert found["broken"] == "RuntimeError: ZeroGPU worker error: ZeroDivisionError"


def test_an_edit_pickles_and_writes_its_files(found):
    assert found["edited"]


def test_each_job_reserves_its_own_time(found):
    assert found["reserved"] == [8, 60, 60, 60, 60]


def test_studio_brings_zero_gpu_in_before_torch():
    """The stand-in refuses to be imported after it."""
    assert run("-c", "import app, spaces; print(app.worker.ZERO_GPU)").split()[-1] == "True"
