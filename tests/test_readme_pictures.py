"""The pictures that the README shows are there, and quick to fetch."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHOWN = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
MOST = 300_000
"""Bytes of a picture."""


def test_the_studio_is_shown():
    assert {Path(name).stem for name in SHOWN} >= {"video", "mesh", "mask", "runs"}


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_is_there_and_small(name):
    assert 1000 < (ROOT / name).stat().st_size < MOST
