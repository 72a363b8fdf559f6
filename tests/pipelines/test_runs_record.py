"""A run in its folder: stopped, failed, killed, out of disk, and resumed to the last bit."""

import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines import command
from pipelines.clip import edit
from pipelines.errors import InputError, RunFailed
from pipelines.events import Begun, Done, Note, Preview, Step, Writing
from pipelines.paint import painted
from pipelines.runs import checkpoint, memory, product, record, run_folder
from pipelines.runs.hold import hold, is_held
from pipelines.runs.record import Order
from pipelines.runs.run_folder import PREVIEW
from pipelines.runs.written import expect_nothing_replaced
from pipelines.teachers import machine
from pipelines.teachers.catalog import ASSETS
from tests.pipelines.tiny_run import RESULT, STEPS, Tiny, run

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Where a run ends that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    list(run(folder))
    return torch.load(folder / RESULT, weights_only=True), checkpoint.load(folder).state


def expect_same_end(folder, whole):
    numbers, state = whole
    assert torch.load(folder / RESULT, weights_only=True).equal(numbers)
    reached = checkpoint.load(folder).state
    assert reached["step"] == state["step"] == STEPS
    assert reached["parameters"][0].equal(state["parameters"][0])
    for key, value in state["optimizer"][0].items():
        assert reached["optimizer"][0][key].equal(value), key


def stop_after(folder, index, **how):
    for event in run(folder, **how):
        if isinstance(event, Step) and event.index == index:
            run_folder.ask_to_stop(folder)
    return event


def test_a_folder_is_a_run_from_the_first_step(tmp_path):
    given = tmp_path / "given.txt"
    given.write_text("input")
    folder = tmp_path / "run"
    events = run(folder, inputs={"clip/given.txt": given})
    # Before anything loads.
    assert next(events) == Begun(folder)
    assert run_folder.read_settings(folder)["steps"] == STEPS
    assert (folder / "inputs" / "clip" / "given.txt").read_text() == "input"
    assert run_folder.read_status(folder).state == "running"
    seen = list(events)
    assert seen[0] == Note("tiny")
    assert [e.index for e in seen if isinstance(e, Step)] == list(range(STEPS))
    previews = [e.index for e in seen if isinstance(e, Preview)]
    assert (previews[0], previews[-1]) == (0, STEPS - 1)
    assert seen[-2] == Writing() and isinstance(seen[-1], Done)
    assert Image.open(folder / run_folder.PREVIEW).size == (34, 16)
    status = run_folder.read_status(folder)
    assert (status.state, status.step, status.said) == ("done", STEPS, None)
    assert json.loads((folder / "metrics.json").read_text()) == seen[-1].metrics
    assert seen[-1].metrics["steps"] == STEPS


@pytest.mark.parametrize("index", [0, 5, STEPS - 2])
def test_a_stopped_run_has_a_full_result_and_goes_on_to_the_same_end(tmp_path, whole, index):
    done = stop_after(tmp_path, index)
    assert isinstance(done, Done) and done.metrics["steps"] == index + 1
    assert run_folder.read_status(tmp_path).state == "stopped"
    assert not torch.load(tmp_path / RESULT, weights_only=True).equal(whole[0])
    spent = checkpoint.load(tmp_path).seconds
    events = list(run(tmp_path, resumes=True))
    assert [e.index for e in events if isinstance(e, Step)] == list(range(index + 1, STEPS))
    assert events[-1].metrics["steps"] == STEPS
    assert events[-1].metrics["seconds"] >= round(spent, 3)
    expect_same_end(tmp_path, whole)


def pressed(folder, when):
    """A run's events, with Ctrl-C at one of them."""
    for event in run(folder):
        yield event
        if when(event):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_stops_the_run_and_says_how_to_go_on(tmp_path, capsys):
    def fourth(event):
        return isinstance(event, Step) and event.index == 3

    assert command.run(pressed(tmp_path, fourth), tmp_path) == 0
    said = capsys.readouterr().err.splitlines()
    assert "stopping after this step; press again to end at once" in said
    go_on = f"go on with: python -m pipelines.resume {tmp_path}"
    assert said[-1] == f"stopped after 4 of {STEPS} steps; {go_on}"
    assert run_folder.read_status(tmp_path).state == "stopped"
    assert not run_folder.stop_asked(tmp_path)


@pytest.mark.parametrize("kind", [Writing, Done])
def test_ctrl_c_while_the_result_is_written_stops_nothing(tmp_path, capsys, kind):
    assert command.run(pressed(tmp_path, lambda event: isinstance(event, kind)), tmp_path) == 0
    said = capsys.readouterr().err
    assert "the steps are over, writing the result; press again to end at once" in said
    assert "stopp" not in said and "resume" not in said
    assert run_folder.read_status(tmp_path).state == "done"
    assert not run_folder.stop_asked(tmp_path)


def test_a_wish_to_stop_that_comes_too_late_is_forgotten(tmp_path):
    for event in run(tmp_path):
        # Again and again, as the studio does.
        if isinstance(event, Writing | Done):
            run_folder.ask_to_stop(tmp_path)
    assert run_folder.read_status(tmp_path).state == "done"
    assert not run_folder.stop_asked(tmp_path)


@pytest.mark.parametrize("index", [0, 1, 6])
def test_a_run_that_fails_goes_on_from_its_checkpoint(tmp_path, whole, always, index):
    with pytest.raises(ZeroDivisionError):
        list(run(tmp_path, fails_at=index))
    status = run_folder.read_status(tmp_path)
    assert (status.state, status.step) == ("failed", index)
    assert "ZeroDivisionError" in status.said
    events = list(run(tmp_path, resumes=True))
    assert next(e.index for e in events if isinstance(e, Step)) == index
    expect_same_end(tmp_path, whole)


def test_numbers_that_stop_being_finite_leave_the_last_good_ones_and_the_remedy(tmp_path, always):
    with pytest.raises(RunFailed, match="NaN or infinity: lower --calm"):
        list(run(tmp_path, nan_at=4))
    kept = torch.load(tmp_path / RESULT, weights_only=True)
    assert kept.isfinite().all()
    assert checkpoint.load(tmp_path).state["parameters"][0].equal(kept)
    status = run_folder.read_status(tmp_path)
    assert status.state == "failed" and "lower --calm" in status.said


def test_stopping_on_a_step_that_went_bad_keeps_the_last_good_one(tmp_path, always):
    stop_after(tmp_path, 4, nan_at=4)
    kept = torch.load(tmp_path / RESULT, weights_only=True)
    assert checkpoint.load(tmp_path).state["step"] == 4
    assert checkpoint.load(tmp_path).state["parameters"][0].equal(kept)


def test_a_run_whose_result_could_not_be_written_writes_it_when_resumed(tmp_path, whole):
    def fail(self, settings):
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.pipelines.tiny_run.Tiny.write", fail)
        with pytest.raises(ZeroDivisionError):
            list(run(tmp_path))
    events = list(run(tmp_path, resumes=True))
    assert not [e for e in events if isinstance(e, Step)]
    expect_same_end(tmp_path, whole)


def test_a_reader_that_leaves_makes_the_run_interrupted(tmp_path, whole, always):
    events = run(tmp_path)
    while not (isinstance(event := next(events), Step) and event.index == 3):
        pass
    events.close()
    status = run_folder.read_status(tmp_path)
    assert (status.state, status.step) == ("interrupted", 3)
    list(run(tmp_path, resumes=True))
    expect_same_end(tmp_path, whole)


def test_more_steps_than_it_was_begun_with(tmp_path):
    list(run(tmp_path, steps=4))
    with pytest.raises(InputError, match="all of its 4 steps"):
        list(run(tmp_path, steps=4, resumes=True))
    with pytest.raises(InputError, match="all of its 4 steps"):
        list(run(tmp_path, steps=3, resumes=True))
    events = list(run(tmp_path, steps=6, resumes=True))
    assert [e.index for e in events if isinstance(e, Step)] == [4, 5]
    assert run_folder.read_settings(tmp_path)["steps"] == 6
    assert run_folder.read_settings(tmp_path)["lengthened_at"] == [4]
    stop_after(tmp_path, 7, steps=9, resumes=True)
    list(run(tmp_path, steps=9, resumes=True))
    assert run_folder.read_settings(tmp_path)["lengthened_at"] == [4, 6]


def test_a_run_is_never_lost_to_another(tmp_path):
    list(run(tmp_path, steps=2))
    before = contents(tmp_path)
    with pytest.raises(InputError, match="holds a run already"):
        list(run(tmp_path, steps=3))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("results", "mine"),
    [
        (painted.RESULTS, "texture.png"),
        (painted.RESULTS, "painted_0.png"),
        (edit.RESULTS, "result.mp4"),
        ((), PREVIEW),
        ((), "stop"),
        ((), "status.json"),
    ],
)
def test_a_run_never_replaces_a_file_that_was_there(tmp_path, results, mine):
    folder = tmp_path / "meshes"
    folder.mkdir()
    (folder / mine).write_bytes(b"mine")
    order = Order(folder, {"steps": STEPS}, {}, results, False)
    with pytest.raises(InputError, match=f"{mine} is there already.* Choose another folder"):
        list(record.run(order, Tiny))
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(mine, b"mine")]
    # What has another name is no reason.
    (folder / mine).rename(folder / f"my-{mine}")
    list(run(folder))
    assert (folder / f"my-{mine}").read_bytes() == b"mine"


def test_nor_does_it_where_it_copies_its_inputs(tmp_path):
    given = tmp_path / "given.txt"
    given.write_text("input")
    folder, name = tmp_path / "run", "clip/given.txt"
    mine = folder / "inputs" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    order = Order(folder, {"steps": STEPS}, {name: given}, (), False)
    with pytest.raises(InputError, match=r"inputs/clip/given\.txt is there already"):
        list(record.run(order, lambda: Tiny(folder, STEPS)))
    assert contents(folder) == {Path("inputs") / name: b"mine"}


def test_what_a_run_left_that_had_no_settings_yet_is_its_own(tmp_path):
    list(run(tmp_path, steps=1))
    (tmp_path / run_folder.SETTINGS).unlink()
    for name in (RESULT, PREVIEW, checkpoint.NAME, "curve.json", "metrics.json"):
        (tmp_path / name).unlink(missing_ok=True)
    run_folder.ask_to_stop(tmp_path)
    assert list(run(tmp_path))[-1].metrics["steps"] == STEPS


@pytest.mark.parametrize(
    ("results", "example"), [(edit.RESULTS, "ball"), (painted.RESULTS, "mushroom")]
)
def test_every_file_of_a_result_is_one_that_a_run_would_replace(results, example):
    made = {path.name for path in (ASSETS / "examples" / example).iterdir()}
    for name in made - {run_folder.SETTINGS}:
        with pytest.raises(InputError, match="would replace it"):
            expect_nothing_replaced(Path("run"), frozenset({name}), results, ())


def test_one_job_works_in_a_folder_at_a_time(tmp_path):
    events = run(tmp_path)
    next(events)
    run_folder.ask_to_stop(tmp_path)
    with pytest.raises(InputError, match="being worked on"):
        list(run(tmp_path, resumes=True))
    # The wish to stop was not for the second, and is not forgotten.
    assert list(events)[-1].metrics["steps"] == 1
    assert run_folder.read_status(tmp_path).state == "stopped"
    assert list(run(tmp_path, resumes=True))[-1].metrics["steps"] == STEPS


def refused(folder, resumes=False):
    """Run a job whose input turns out to be no use when everything is loaded."""

    def prepare():
        # As the studio does when a run begins.
        (folder / run_folder.OWNER).write_text("anna")
        yield Note("loading")
        raise InputError("The teacher cannot be used.")

    given = folder.parent / "given.txt"
    given.write_text("input")
    settings = {"job": "tiny", "steps": STEPS, "versions": run_folder.versions()}
    order = Order(folder, settings, {"clip/given.txt": given}, (), resumes)
    with pytest.raises(InputError, match="cannot be used"):
        list(record.run(order, prepare))


def test_a_run_whose_input_is_no_use_leaves_the_folder_as_it_was(tmp_path):
    folder = tmp_path / "run"
    refused(folder)
    assert not folder.exists()
    folder.mkdir()
    refused(folder)
    assert list(folder.iterdir()) == []
    for name in ("notes.txt", "inputs/clip/mine.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    refused(folder)
    assert not run_folder.is_run(folder)
    assert {Path("notes.txt"), Path("inputs/clip/mine.txt")} <= contents(folder).keys()
    assert list(run(folder))[-1].metrics["steps"] == STEPS


def test_what_was_read_before_a_run_counts_too(tmp_path):
    folder, settings = tmp_path / "run", {"steps": 1}

    def prepare():
        yield Note("loading")
        return Tiny(folder, 1)

    order = Order(folder, settings, {}, (), False, began=time.monotonic() - 100)
    metrics = list(record.run(order, prepare))[-1].metrics
    assert 100 <= metrics["seconds_in_all"] < 150 and metrics["seconds"] < 50


@pytest.mark.parametrize("taken", [0, 3])
def test_a_run_that_is_resumed_is_never_forgotten(tmp_path, whole, taken):
    folder = tmp_path / "run"
    if taken:
        stop_after(folder, taken - 1)
    else:
        events = run(folder)
        next(events)
        events.close()
    before = contents(folder)
    refused(folder, resumes=True)
    assert before.keys() - {Path(run_folder.STOP)} <= contents(folder).keys()
    status = run_folder.read_status(folder)
    assert (status.state, status.said) == ("failed", "The teacher cannot be used.")
    list(run(folder, resumes=True))
    expect_same_end(folder, whole)


def test_where_there_is_no_run_nothing_is_resumed_or_written(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        list(run(tmp_path, resumes=True))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_said(tmp_path):
    stop_after(tmp_path, 3)
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="damaged"):
        list(run(tmp_path, resumes=True))


def test_another_version_is_said(tmp_path):
    stop_after(tmp_path, 3)
    settings = run_folder.read_settings(tmp_path)
    settings["versions"]["torch"] = "1.0"
    run_folder.write_json(tmp_path / run_folder.SETTINGS, settings)
    assert any("Begun with torch 1.0" in note for note in notes_of(run(tmp_path, resumes=True)))


def notes_of(events):
    return [event.text for event in events if isinstance(event, Note)]


def test_another_scorebrush_or_other_weights_are_said(tmp_path):
    stop_after(tmp_path, 3)
    settings = run_folder.read_settings(tmp_path)
    now = product.product()
    assert settings["versions"]["scorebrush"] == now
    settings["versions"] |= {"scorebrush": "0.0.9", "weights": {"video": "0123456789ab"}}
    run_folder.write_json(tmp_path / run_folder.SETTINGS, settings)
    notes = notes_of(run(tmp_path, resumes=True))
    assert f"Begun with scorebrush 0.0.9, resumed with {now}: its end may differ." in notes
    assert any("other weights" in note for note in notes)


def test_another_device_or_dtype_is_said(tmp_path, monkeypatch):
    stop_after(tmp_path, 3)
    here = machine.computes()
    there = {"device": "NVIDIA H100", "dtype": "float16"}
    assert here.items() <= run_folder.read_settings(tmp_path)["versions"].items()
    monkeypatch.setattr(run_folder, "computes", lambda: there)
    notes = notes_of(run(tmp_path, resumes=True))
    device, dtype = here["device"], here["dtype"]
    assert f"Begun on {device}, resumed on NVIDIA H100: its end may differ." in notes
    assert f"Begun in {dtype}, resumed in float16: its end may differ." in notes


def test_what_computes_is_the_card_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert machine.computes() == {"device": "Tesla T4", "dtype": "float16"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert machine.computes() == {"device": "the CPU", "dtype": "bfloat16"}


def test_a_run_does_not_count_the_memory_of_the_one_before(tmp_path, monkeypatch):
    """On a card that counts the most it held until it is told to begin anew."""
    most = [9e9]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: most.__setitem__(0, 2e9))
    monkeypatch.setattr(memory, "peak_memory_mb", lambda: most[0] / 1e6)
    assert list(run(tmp_path))[-1].metrics["peak_memory_mb"] == 2000


def test_an_older_run_that_says_less_of_itself_goes_on_without_a_word(tmp_path):
    stop_after(tmp_path, 3)
    settings = run_folder.read_settings(tmp_path)
    for name in ("scorebrush", "device", "dtype"):
        del settings["versions"][name]
    run_folder.write_json(tmp_path / run_folder.SETTINGS, settings)
    assert notes_of(run(tmp_path, resumes=True)) == ["tiny"]


def test_the_product_says_its_version_and_its_commit(monkeypatch, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = product.product()
    assert said.split()[0] == project["version"]
    if (ROOT / ".git").exists():
        head = ["git", "rev-parse", "HEAD"]
        head = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert head.strip() in said
    # Somebody else's checkout around it says nothing about it.
    monkeypatch.setattr(product, "ROOT", tmp_path)
    assert product.commit() is None


def test_checkpoints_are_seldom_where_they_are_dear():
    assert not checkpoint.is_due(4.9, 0.0)
    assert checkpoint.is_due(5.1, 0.0) and checkpoint.is_due(5.1, 0.1)
    assert not checkpoint.is_due(40, 1.0) and checkpoint.is_due(51, 1.0)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# The disk fills up.


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, whole, always, monkeypatch):
    stop_after(tmp_path, 3)
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunFailed, match=r"disk is full.*resume the run"):
            list(run(tmp_path, resumes=True))
    after = contents(tmp_path)
    for name in (RESULT, checkpoint.NAME, "metrics.json"):
        assert after[Path(name)] == before[Path(name)], name
    assert "disk is full" in run_folder.read_status(tmp_path).said
    list(run(tmp_path, resumes=True))
    expect_same_end(tmp_path, whole)


def test_a_disk_too_full_for_the_inputs_leaves_nothing_behind(tmp_path, monkeypatch):
    (tmp_path / "given").write_text("input")
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(RunFailed, match="start the run again"):
        list(run(tmp_path / "run", inputs={"clip/given": tmp_path / "given"}))
    assert contents(tmp_path / "run").keys() <= {Path(".lock")}


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own of 256 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small disk to fill up")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk, always, whole):
    folder = small_disk / "run"
    stop_after(folder, 3)
    before = contents(folder)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"\0" * 4096)
    with pytest.raises(RunFailed, match="disk is full"):
        list(run(folder, resumes=True))
    after = contents(folder)
    for name in (RESULT, checkpoint.NAME, "settings.json", "metrics.json"):
        assert after[Path(name)] == before[Path(name)], name
    filler.unlink()
    list(run(folder, resumes=True))
    expect_same_end(folder, whole)


# The process is killed.


def start(folder, how, seconds):
    words = [sys.executable, "-m", "tests.pipelines.tiny_run", str(folder), how, str(seconds)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def expect_whole_files(folder):
    """Every file under its final name opens, and says what a whole one says."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith("."):
            continue
        match path.suffix:
            case ".json":
                assert json.loads(path.read_text())
            case ".jpg":
                Image.open(path).load()
            case ".pt":
                assert torch.load(path, weights_only=True) is not None
            case _:
                assert path.read_bytes()


def test_killed_at_any_moment_it_goes_on_to_the_same_end(tmp_path, whole):
    """Again and again, each time a little further, until it is done."""
    folder, moments = tmp_path / "run", random.Random(0)
    for attempt in range(5):
        how = "resume" if run_folder.is_run(folder) else "begin"
        process = start(folder, how, 0.02)
        if attempt < 4:
            process.stdout.readline()
            time.sleep(moments.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        expect_whole_files(folder)
        reached = checkpoint.load(folder)
        if attempt < 4:
            assert process.returncode == -signal.SIGKILL
            status = run_folder.read_status(folder)
            assert status.state == "interrupted"
            # The checkpoint is written first, then how far it is.
            assert reached is None or reached.state["step"] in (status.step, status.step + 1)
    assert process.returncode == 0
    unfinished = [p for p in folder.rglob(".*") if p.name != ".lock"]
    assert unfinished == []
    expect_same_end(folder, whole)


def test_what_a_killed_process_left_unfinished_is_swept(tmp_path):
    stop_after(tmp_path, 3)
    stale = [tmp_path / ".scorebrush-0123abcd.mp4", tmp_path / ".scorebrush-89abcdef"]
    mine = [tmp_path / ".notes", tmp_path / ".a.mp4", tmp_path / ".bashrc.20240131"]
    for path in stale + mine:
        path.write_text("half")
    list(run(tmp_path, resumes=True))
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in mine)


def test_holding_is_for_one_and_ends_with_its_holder(tmp_path):
    with hold(tmp_path), pytest.raises(InputError, match="being worked on"), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_where_a_file_system_has_no_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def no_locks(descriptor, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with hold(tmp_path), hold(tmp_path):
        assert not is_held(tmp_path)
    assert list(run(tmp_path))[-1].metrics["steps"] == STEPS
