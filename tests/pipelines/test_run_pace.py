"""Previews and checkpoints keep to their share of a run: costly ones come seldom."""

from types import SimpleNamespace

import pytest

from pipelines.events import Preview, Step
from pipelines.runs import checkpoint, record
from tests.pipelines import tiny_run

STEPS, STEP = 100, 0.5


@pytest.fixture
def clock(monkeypatch):
    """The time of a run whose steps take half a second each and nothing else any."""
    clock = SimpleNamespace(now=1000.0)
    optimise = tiny_run.Tiny.optimise

    def steps(self, since):
        for step in optimise(self, since):
            clock.now += STEP
            yield step

    for room in (record, checkpoint):
        monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(tiny_run.Tiny, "optimise", steps)
    return clock


@pytest.mark.parametrize(("making", "reading"), [(0.0, 0.0), (0.1, 0.0), (4.0, 0.0), (0.0, 4.0)])
def test_costly_previews_come_seldom(tmp_path, monkeypatch, clock, making, reading):
    look = tiny_run.Tiny.preview

    def preview(self, index):
        clock.now += making
        return look(self, index)

    monkeypatch.setattr(tiny_run.Tiny, "preview", preview)
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


@pytest.mark.parametrize(
    ("cost", "saved"),
    # Every five seconds; or not before what the last one took is a fiftieth of the time since.
    [(0.0, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]), (0.5, [10, 60, 100])],
)
def test_costly_checkpoints_come_seldom(tmp_path, monkeypatch, clock, cost, saved):
    def fsync(file):
        clock.now += cost

    monkeypatch.setattr(checkpoint, "os", SimpleNamespace(fsync=fsync))
    folder, seen = tmp_path / "run", []
    for event in tiny_run.run(folder, steps=STEPS):
        reached = checkpoint.load(folder)
        if reached is not None and reached.state["step"] not in seen:
            seen.append(reached.state["step"])
            spent = STEP * seen[-1] + cost * (len(seen) - 1)
            assert reached.seconds == pytest.approx(spent)
        if isinstance(event, Step):
            assert event.seconds == pytest.approx(STEP * (event.index + 1) + cost * len(seen))
    assert seen == saved
