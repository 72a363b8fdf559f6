"""What all tests of whole jobs share."""

import pytest

from pipelines.paint import painted


@pytest.fixture(autouse=True)
def small_turntables(monkeypatch):
    """A painting's turntable takes seconds at its own size, and a test at any."""
    monkeypatch.setattr(painted, "TURNTABLE_SIDE", 96)
