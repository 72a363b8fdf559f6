"""`make app`, with nothing to install and a studio that only says that it was opened."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_an_environment_that_was_cut_short_is_made_anew(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / "app.py").write_text("print('opened')")
    half = [sys.executable, "-m", "venv", "--without-pip", ".venv"]
    subprocess.run(half, cwd=tmp_path, check=True)
    # Under `make test` this make would take itself for a part of that one, and say so.
    free = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(
        ["make", f"PYTHON={sys.executable}", "app"],
        cwd=tmp_path,
        env=free,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == "opened"
