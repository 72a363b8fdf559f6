"""How long visitors' runs are kept."""

import threading
import time

import pytest

import app
from pipelines.errors import InputError
from pipelines.runs import run_folder
from pipelines.runs.hold import hold
from pipelines.runs.run_folder import Status
from ui import keeping
from ui.keeping import DAY, days_kept, forget
from ui.visitors import claim

NOW = time.time()


@pytest.fixture
def run(tmp_path):
    def make(name, days_ago, owner="anna"):
        folder = tmp_path / name
        folder.mkdir()
        run_folder.begin(folder, {"job": "video"}, {})
        run_folder.write_status(folder, Status("done", NOW - days_ago * DAY, 1))
        if owner:
            claim(folder, owner)
        return folder

    return make


def test_old_runs_of_visitors_go_and_nothing_else(run, tmp_path):
    old, young, ours = run("old", 31), run("young", 29), run("ours", 400, owner=None)
    (tmp_path / "notes").mkdir()
    forget(tmp_path, 30, NOW)
    assert not old.exists()
    assert {path.name for path in tmp_path.iterdir()} == {young.name, ours.name, "notes"}


def test_a_run_that_somebody_works_in_stays_until_the_next_time(run, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.runs.hold._PATIENCE", 0)
    busy, old = run("busy", 32), run("old", 31)
    with hold(busy):
        forget(tmp_path, 30, NOW)
    assert busy.exists() and not old.exists()
    forget(tmp_path, 30, NOW)
    assert not busy.exists()


def test_after_a_surprise_the_next_look_comes_all_the_same(tmp_path, monkeypatch, capsys):
    looks, looked_again = [], threading.Event()

    def surprised(base, days, now):
        looks.append((base, days))
        if len(looks) > 1:
            looked_again.set()
        raise OSError("the disk is gone")

    monkeypatch.setattr(keeping, "forget", surprised)
    monkeypatch.setattr(keeping, "BETWEEN", 0.01)
    keeping.keep_house(tmp_path, 30)
    assert looked_again.wait(10) and looks[0] == (tmp_path, 30)
    assert "OSError: the disk is gone" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "days"), [(None, None), ("", None), ("30", 30), ("0.5", 0.5)])
def test_the_environment_says_how_many_days(said, days, monkeypatch):
    monkeypatch.delenv("SCOREBRUSH_KEEP_DAYS", raising=False)
    if said is not None:
        monkeypatch.setenv("SCOREBRUSH_KEEP_DAYS", said)
    assert days_kept() == days


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "a month"])
def test_other_words_are_refused_before_the_page_opens(said, monkeypatch, capsys):
    monkeypatch.setenv("SCOREBRUSH_KEEP_DAYS", said)
    with pytest.raises(InputError, match="Give a number of days above 0"):
        days_kept()
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.setattr(app, "launch", lambda studio: pytest.fail("the page was opened"))
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: SCOREBRUSH_KEEP_DAYS is {said!r}.")
