"""The studio in a process of its own, and a card where there is none."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

# Read when the libraries are imported: no test asks the network for anything, nor leaves anything
# in the user's cache, and tests that run side by side share the cores.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["SCOREBRUSH_CACHE"] = tempfile.mkdtemp(prefix="scorebrush-tests-")

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 300
"""Seconds the studio may take to answer; on a free machine it needs less than ten."""


def pytest_unconfigure():
    shutil.rmtree(os.environ["SCOREBRUSH_CACHE"], ignore_errors=True)


@dataclass(frozen=True)
class Studio:
    """A running studio."""

    address: str
    process: subprocess.Popen
    runs: Path
    """The folder of its runs."""
    log: Path
    """What it prints."""
    start_seconds: float | None
    """Processor time it took until it answered; None where the system does not say."""


@pytest.fixture(scope="session")
def running_studio(tmp_path_factory):
    """The studio that all tests share."""
    with start_studio(tmp_path_factory.mktemp("studio")) as studio:
        yield studio


@pytest.fixture(scope="session")
def runs_folder(running_studio):
    return running_studio.runs


@pytest.fixture(scope="session")
def studio(running_studio):
    """The address of the studio that all tests share."""
    return running_studio.address


@pytest.fixture
def like_a_card(monkeypatch):
    """The card is other memory of the same machine here, and no teacher was left there."""
    # Not at the top: what is read when the libraries are imported comes first.
    from pipelines.teachers import loading, thrift

    monkeypatch.setattr(thrift, "rungs", lambda device: thrift.LADDER)
    monkeypatch.setattr(loading, "_last", {})


@contextmanager
def start_studio(folder, *arguments, **settings):
    """A studio that keeps everything in `folder`, with these arguments and variables."""
    runs = folder / "runs"
    runs.mkdir()
    port = free_port()
    said = {"SCOREBRUSH_RUNS": str(runs), "GRADIO_SERVER_PORT": str(port)}
    said |= {"GRADIO_TEMP_DIR": str(folder / "cache")}
    log = folder / "studio.log"
    with log.open("w") as printed:
        process = subprocess.Popen(
            [sys.executable, "app.py", *arguments],
            cwd=ROOT,
            env=os.environ | said | settings,
            stdout=printed,
            stderr=printed,
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            until = time.monotonic() + START_LIMIT
            while not _answers(address):
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.2)
            yield Studio(address, process, runs, log, processor_seconds(process))
        finally:
            process.terminate()
            process.wait(30)


def processor_seconds(process):
    """Processor time a running process has taken; None where the system does not say."""
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return None
    user, system = stat.read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False
