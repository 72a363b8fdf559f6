"""What a run's folder says of what made it."""

from importlib.metadata import version

from pipelines.runs import run_folder


def test_a_library_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(run_folder, "PACKAGES", ("torch", "no-such-library"))
    found = run_folder.versions()
    assert found["torch"] == version("torch") and "no-such-library" not in found
