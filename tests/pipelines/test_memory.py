"""How much memory a run took, and not the one before it."""

import mmap
import resource
import sys
from types import SimpleNamespace

import pytest
import torch

from pipelines.runs import memory

UNIT = 1024 / 1e6


@pytest.fixture
def used(monkeypatch):
    """What the system counts, by whose it is."""
    counted = {resource.RUSAGE_SELF: 3000, resource.RUSAGE_CHILDREN: 2000}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory, "_earlier", 0)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=counted[who]))
    return counted


def test_the_memory_of_a_child_counts_where_it_is_more(used):
    assert memory.peak_memory_mb() == 3000 * UNIT
    used[resource.RUSAGE_CHILDREN] = 4000
    assert memory.peak_memory_mb() == 4000 * UNIT


def test_a_child_of_a_run_before_does_not_count(used):
    used[resource.RUSAGE_CHILDREN] = 4000
    memory.forget_peak_memory()
    assert memory.peak_memory_mb() == 3000 * UNIT
    used[resource.RUSAGE_CHILDREN] = 5000
    assert memory.peak_memory_mb() == 5000 * UNIT


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's peak stays")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there the card's memory is counted")
def test_what_was_let_go_before_does_not_count():
    memory.forget_peak_memory()
    least, size = memory.peak_memory_mb(), 400 * 2**20
    # Not by torch: what it lets go, the allocator may keep for later.
    with mmap.mmap(-1, size) as held:
        held.write(bytes(size))
    assert memory.peak_memory_mb() > least + 300
    memory.forget_peak_memory()
    assert memory.peak_memory_mb() < least + 200
