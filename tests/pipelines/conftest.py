"""What all tests of whole jobs share."""

import pytest

from pipelines.paint import painted
from pipelines.runs import checkpoint


@pytest.fixture(autouse=True)
def small_turntables(monkeypatch):
    """A painting's turntable takes seconds at its own size, and a test at any."""
    monkeypatch.setattr(painted, "TURNTABLE_SIDE", 96)


@pytest.fixture
def always(monkeypatch):
    """A checkpoint after every step."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
