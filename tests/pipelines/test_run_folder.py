"""What a run's folder says of memory."""

import resource
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch

from pipelines.runs import run_folder


@pytest.mark.parametrize(("own", "child"), [(3000, 2000), (2000, 3000)])
def test_the_memory_of_a_child_counts_where_it_is_more(monkeypatch, own, child):
    used = {resource.RUSAGE_SELF: own, resource.RUSAGE_CHILDREN: child}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=used[who]))
    assert run_folder.peak_memory_mb() == pytest.approx(3.072)


def test_a_library_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(run_folder, "PACKAGES", ("torch", "no-such-library"))
    found = run_folder.versions()
    assert found["torch"] == version("torch") and "no-such-library" not in found
