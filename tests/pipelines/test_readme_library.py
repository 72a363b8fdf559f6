"""The README's example for Python as it stands there, but for clip, folder and steps."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_example_runs_from_the_folder_of_the_readme(tmp_path):
    readme = (ROOT / "README.md").read_text()
    section = readme.split("\n## As a library\n")[1].split("\n## ")[0]
    code = section.split("```python\n")[1].split("```")[0]
    ours = {
        "clip.mp4": "assets/examples/ball.mp4",
        'Path("run")': f"Path({str(tmp_path)!r}), steps=1",
    }
    for theirs, mine in ours.items():
        assert code.count(theirs) == 1
        code = code.replace(theirs, mine)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Done(") and (tmp_path / "result.mp4").exists()
