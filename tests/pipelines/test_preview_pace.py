"""Previews keep to their share of a run: costly ones come seldom."""

from types import SimpleNamespace

import pytest

from pipelines.events import Preview
from pipelines.runs import record
from tests.pipelines import tiny_run

STEPS, STEP = 100, 0.5


@pytest.mark.parametrize(("making", "reading"), [(0.0, 0.0), (0.1, 0.0), (4.0, 0.0), (0.0, 4.0)])
def test_costly_previews_come_seldom(tmp_path, monkeypatch, making, reading):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: clock.now))
    look, optimise = tiny_run.Tiny.preview, tiny_run.Tiny.optimise

    def preview(self, index):
        clock.now += making
        return look(self, index)

    def steps(self, since):
        for step in optimise(self, since):
            clock.now += STEP
            yield step

    monkeypatch.setattr(tiny_run.Tiny, "preview", preview)
    monkeypatch.setattr(tiny_run.Tiny, "optimise", steps)
    shown = []
    for event in tiny_run.run(tmp_path / "run", steps=STEPS):
        if isinstance(event, Preview):
            shown.append(event.index)
            clock.now += reading
    cost = making + reading
    # The first and the last are always there, and the second tells what one costs.
    assert shown[0] == 0 and shown[-1] == STEPS - 1
    assert cost * (len(shown) - 3) <= 0.05 * STEPS * STEP
    # Cheap ones come every second and a bit: with every third step of half a second.
    assert (len(shown) > STEPS / 4) == (cost == 0.0)
