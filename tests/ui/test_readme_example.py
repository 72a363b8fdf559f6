"""The README's example for programs, as it stands there, but for the address and the steps."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = Path(__file__).resolve().parent / "readme_example.py"


def test_example_runs_and_prints_what_came_of_it(studio):
    code = EXAMPLE.read_text()
    assert code.count('preset="quick"') == 2
    code = code.replace("http://127.0.0.1:7860", studio).replace('preset="quick"', "steps=1")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert any("result.mp4 {'seconds':" in line for line in said)
    assert said[-1].startswith("Done ") and "painted.glb" in said[-1]


def test_readme_shows_this_example():
    assert EXAMPLE.read_text() in (ROOT / "README.md").read_text()
