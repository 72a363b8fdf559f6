"""What all tests of whole jobs share."""

import pytest

from pipelines.paint import painted
from pipelines.runs import checkpoint


@pytest.fixture(scope="module", autouse=True)
def small_turntables():
    """A painting's turntable takes seconds as it is, and a test one of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painted, "TURNTABLE_SIDE", 96)
        patch.setattr(painted, "TURNTABLE_FRAMES", 4)
        yield


@pytest.fixture
def always(monkeypatch):
    """A checkpoint after every step."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
