"""Which Scorebrush this is: its version, and its commit where it is a git checkout.

Knows nothing about what is done with it.
"""

import subprocess
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def product() -> str:
    """The version, and the commit in brackets; found out once."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = commit()
    return version if found is None else f"{version} ({found})"


def commit() -> str | None:
    """The commit, with "-dirty" where tracked files differ; None outside a checkout."""
    # A folder without its own may lie in somebody else's checkout.
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
