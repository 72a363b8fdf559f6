"""What a tab says when a run cannot begin or goes wrong."""

import ast
import json
import re
import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from app import page
from pipelines.bounds import option
from pipelines.clip.checks import OF_MASK, OF_SMOOTHING
from pipelines.errors import InputError, LineFull, RunFailed
from pipelines.events import Begun, Done, Left, Note, Step, Waiting, Writing
from pipelines.mesh import PaintMesh
from pipelines.runs import curve, run_folder
from pipelines.runs.curve import Point
from pipelines.teachers.catalog import ASSETS, mesh_teacher
from pipelines.teachers.teacher import check_prompt
from pipelines.video import EditVideo
from ui import following, mesh_result, mesh_run, video_result, video_run
from ui.following import follow
from ui.running import (
    Change,
    begun,
    expect_idle,
    in_line,
    ready,
    said,
    seed_of,
    stop,
    values_of,
    written,
)
from ui.visitors import owned
from ui.wording import FIELDS, on_the_page

ROOT = Path(__file__).resolve().parent.parent.parent
STATUS, RUN, START = 0, 1, 2
"""Where they stand among a change's values."""


def broken(error):
    yield Change()
    raise error


def told(error):
    """What the page is told before the error, and the error it is shown."""
    values = values_of(lambda: broken(error), Change, None)
    next(values)
    last = next(values)
    with pytest.raises(Exception) as raised:
        next(values)
    return last, raised.value


@pytest.mark.parametrize(
    "error",
    [
        InputError("There is no clip."),
        RunFailed("The disk is full."),
        LineFull("40 runs are waiting already."),
        # ZeroGPU says so itself when somebody's time is up.
        gr.Error("You have exceeded your quota."),
    ],
)
def test_what_the_user_should_read_is_shown_and_the_page_is_ready_again(error):
    last, shown = told(error)
    words = str(error).strip("'")
    assert words in last[STATUS].value and last[STATUS].props["kind"] == "failed"
    assert last[START].interactive is True
    assert isinstance(shown, gr.Error) and words in shown.message
    # The line says it.
    assert not shown.print_exception and not shown.visible


def test_defect_is_called_one_and_goes_to_the_log():
    error = ZeroDivisionError("inner workings")
    last, shown = told(error)
    assert "defect of the program" in last[STATUS].value
    assert "inner" not in last[STATUS].value
    assert shown is error


def test_words_of_an_error_are_not_markup():
    _, shown = told(InputError("<b>clip</b> & co"))
    assert shown.message == "&lt;b&gt;clip&lt;/b&gt; &amp; co"


def test_line_says_who_is_ahead_and_can_be_left():
    folder = Path("runs/one")
    assert said(Waiting(2)) == "In line, 2 ahead of you."
    assert said(Waiting(0)) == "Nobody is ahead of you."
    waiting = in_line(Waiting(2), folder)
    assert waiting["run"] == str(folder) and waiting["stop_button"].interactive is True
    left = in_line(Left(), folder)
    assert left["start_button"].interactive is True and left["run"] is None


def test_the_button_that_was_pressed_says_so_until_the_run_has_ended(tmp_path):
    # A step may take minutes.
    pressed = stop(str(tmp_path))
    assert pressed.interactive is False and pressed.value == "Stopping"
    assert ready()["stop_button"].value == begun(tmp_path)["stop_button"].value == "Stop"


def test_a_run_is_claimed_as_it_begins_though_nobody_looks(tmp_path):
    folder = tmp_path / "run"

    def events():
        yield Note("before")
        folder.mkdir()
        yield Begun(folder)
        closed.append("not closed")
        yield Note("after")

    closed = []
    seen = owned(events, "anna")
    assert next(seen) == Note("before") and not folder.exists()
    assert next(seen) == Begun(folder)
    assert (folder / run_folder.OWNER).read_text() == "anna"
    seen.close()
    assert closed == []
    (folder / run_folder.OWNER).unlink()
    folder.rmdir()
    list(owned(events, None))
    assert not (folder / run_folder.OWNER).exists()


def test_a_tab_follows_its_run_from_the_line_to_the_end(tmp_path, monkeypatch):
    def events(job, owner, resumes):
        yield Waiting(1)
        yield Begun(tmp_path)
        yield Note("first")
        yield Step(2, 4, 3.0, 0.3, 0.5)
        yield Note("between")
        yield Writing()
        yield Note("second")
        yield Done(tmp_path, {}, {})

    def changes(resumes):
        def done(event, notes):
            return notes

        return list(follow(job, None, resumes, Change, done, cleared))

    cleared = Change(metrics="")

    monkeypatch.setattr(following, "in_turn", events)
    job = SimpleNamespace(out=tmp_path)
    curve.write(tmp_path, (Point(0, 0.1, 0.9), Point(1, 0.2, 0.7), Point(2, 9.0, 9.0)))
    *shown, notes = changes(True)
    # What was there before stays until there is something new.
    assert shown.pop(3) is cleared
    line, begun, first, step, between, writing, second = (change.status for change in shown)
    assert line.value == "In line, 1 ahead of you." and shown[1].run == str(tmp_path)
    # Not what the line said, for as long as the teachers take.
    assert begun.value == "Loading" and begun.props["percent"] == "0.0"
    # Who pressed Stop is not asked to press it again.
    assert all(change.stop_button == gr.skip() for change in shown[1:])
    assert step.value == "Step 3 of 4, 1 s left" and step.props["percent"] == "75.0"
    # What was kept, and the step that is taken again.
    assert step.props["change_now"] == "0.3" and step.props["change"].count(",") == 3
    assert writing.value == "Writing the result" and "change" not in writing.props
    bars = [status.props["percent"] for status in (first, between, writing, second)]
    assert bars == ["0.0", "75.0", "100.0", "100.0"]
    assert notes == ["first", "between", "second"]


TABS = {
    "video": (video_run, lambda folder: EditVideo(folder / "a.mp4", "ball", "cube", folder)),
    "mesh": (mesh_run, lambda folder: PaintMesh(folder / "a.obj", "cow", "gold", folder)),
}


def told_until_it_fails(tab, folder, monkeypatch, error, *events):
    """What a tab that shows a run is told of another in `folder`, which says `events` and fails.

    By their names, the last values.
    """

    def goes_wrong(job, owner, resumes):
        yield from events
        raise error

    monkeypatch.setattr(following, "in_turn", goes_wrong)
    module, job_in = TABS[tab]
    names = [f.name for f in fields(module.Shown)]
    shown = {"run": "shown"}
    with pytest.raises((gr.Error, MemoryError)):
        for values in module.run(job_in(folder), None, False, "shown"):
            told = zip(names, values, strict=True)
            shown |= {name: value for name, value in told if value != gr.skip()}
    return shown


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("error", [InputError("No clip."), RunFailed("Full."), MemoryError()])
def test_what_fails_before_its_first_step_leaves_an_earlier_result(
    tmp_path, monkeypatch, tab, error
):
    (tmp_path / run_folder.SETTINGS).write_text("{}")
    before = Begun(tmp_path), Note("loading")
    shown = told_until_it_fails(tab, tmp_path, monkeypatch, error, *before)
    assert shown["run"] == "shown" and "result" not in shown and "metrics" not in shown
    assert shown["start_button"].interactive is True


@pytest.mark.parametrize("tab", TABS)
def test_what_fails_later_is_the_tab_s_run_with_what_was_kept(tmp_path, monkeypatch, tab):
    events = Begun(tmp_path), Step(0, 4, 1.0, 0.1, 0.1)
    shown = told_until_it_fails(tab, tmp_path, monkeypatch, RunFailed("Full."), *events)
    assert shown["run"] == str(tmp_path) and shown["result"].value is None
    (tmp_path / TABS[tab][0].RESULT).write_bytes(b"result")
    # Of a run that goes on the result of before is there from the beginning.
    for since in (events, events[:1]):
        shown = told_until_it_fails(tab, tmp_path, monkeypatch, RunFailed("Full."), *since)
        assert shown["run"] == str(tmp_path) and shown["result"].visible is True
        assert shown["metrics"] == "" and shown["start_button"].interactive is True


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("taken, words", [(15, "Stopped after 15 of 60 steps."), (60, "Done in")])
def test_the_bar_of_a_stopped_run_is_as_full_as_it_came(tmp_path, monkeypatch, tab, taken, words):
    module, job_in = TABS[tab]
    (tmp_path / module.RESULT).write_bytes(b"result")
    measured = {"steps": taken, "seconds": 1.0, "seconds_in_all": 1.0, "seconds_per_step": 0.1}
    measured |= {"peak_memory_mb": 9.0, "painted_share": 0.1}
    done = Done(tmp_path, {"steps": 60, "seed": 0, "mask": None}, measured)
    monkeypatch.setattr(following, "in_turn", lambda job, owner, resumes: (e for e in [done]))
    told = [values[STATUS] for values in module.run(job_in(tmp_path), None, False, None)]
    status = [status for status in told if status != gr.skip()][-1]
    assert status.value.startswith(words)
    assert float(status.props["percent"]) == pytest.approx(100 * taken / 60)
    # Nothing comes after it, so it is read out.
    assert status.props["live"] == "polite"


def test_a_run_that_leaves_the_line_gives_the_tab_back():
    def begin():
        yield Change(run=None)

    (values,) = values_of(begin, Change, "the run that is shown")
    assert values[RUN] == "the run that is shown"


def test_a_result_that_is_being_changed_keeps_its_tab(tmp_path):
    with written(tmp_path), pytest.raises(InputError, match="being changed"):
        expect_idle(str(tmp_path))
    expect_idle(str(tmp_path))


@pytest.mark.parametrize("seed", [-5, 10**20])
def test_a_seed_no_generator_takes_is_refused_before_the_page_hears_of_it(seed):
    with pytest.raises(InputError, match="must be a whole number from 0"):
        seed_of(seed, random=False)


@pytest.mark.parametrize(
    "tab, file, button",
    [(video_result, "result.mp4", "result_file"), (mesh_result, "painted.glb", "glb_file")],
    ids=["video", "mesh"],
)
@pytest.mark.parametrize("damaged", [None, "{", "[]"])
def test_a_result_whose_measures_were_never_written_is_shown(tmp_path, tab, file, button, damaged):
    (tmp_path / file).write_bytes(b"result")
    if damaged is not None:
        (tmp_path / run_folder.METRICS).write_text(damaged)
    shown = tab.result_of(tmp_path)
    assert getattr(shown, button).visible is True and shown.metrics == ""


@pytest.mark.parametrize(
    ("tab", "example"), [(video_result, "ball"), (mesh_result, "mushroom")], ids=["video", "mesh"]
)
def test_a_result_says_how_it_was_made(tmp_path, tab, example):
    folder = tmp_path / "run"
    shutil.copytree(ASSETS / "examples" / example, folder)
    measured = json.loads((folder / run_folder.METRICS).read_text())
    said = tab.result_of(folder).metrics
    pace = f"{measured['seconds_per_step']:.2f} s a step"
    assert said.startswith(f"{measured['steps']} steps, {pace}")
    assert said.endswith("seed 0")
    assert tab.result_of(folder, metrics="as before").metrics == "as before"


def test_a_disk_that_has_no_room_for_the_zip_takes_nothing_else(tmp_path, monkeypatch):
    def full(folder):
        raise RunFailed("The disk is full.")

    said = []
    monkeypatch.setattr(gr, "Warning", said.append)
    monkeypatch.setattr(mesh_result, "archive", full)
    (tmp_path / "painted.glb").write_bytes(b"result")
    shown = mesh_result.result_of(tmp_path)
    assert shown.zip_file.visible is False and shown.glb_file.visible is True
    assert said == ["The disk is full."]


def test_sentences_name_the_page_s_fields():
    said = on_the_page("Lower --side (now 512), or --max-faces 50000. <b>--unheard</b>")
    assert said == (
        'Lower "Working size" (now 512), or "Simplify to faces" 50000. &lt;b&gt;--unheard&lt;/b&gt;'
    )


def test_a_sentence_about_a_prompt_names_its_field():
    teacher = mesh_teacher("miniature")
    asked = {"object": "Object", "edit": "Part to paint", "style": "Style", "unlike": "Unlike"}
    asked |= {"source": "What it shows", "target": "What it should show"}
    for prompt, field in asked.items():
        for words, told in (
            ("  ", f'"{field}" is empty.'),
            ("zebra", f'know "zebra" in "{field}".'),
        ):
            with pytest.raises(InputError) as raised:
                check_prompt(teacher, words, prompt)
            assert told in on_the_page(str(raised.value))


UNSAID = {"mask", "mask-replaces"}
"""Options of sentences that the page gives no cause for."""
BY_NAME = ("check_amounts", "check_shares")
"""What names the options of the settings that it is told."""


def words_in(tree):
    """The words that a source has, but for its docstrings."""
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documented:
            yield node.value


def options_in(path):
    """The options that the sentences of a source may name."""
    tree = ast.parse(path.read_text())
    for words in words_in(tree):
        # What has no space is no sentence, but told to another program.
        if isinstance(words, str) and " " in words:
            yield from re.findall(r"--([a-z][a-z0-9-]*)", words)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in BY_NAME:
            yield from (option(name)[2:] for name in ast.literal_eval(node.args[1]))


def test_every_option_a_sentence_names_has_its_field():
    sources = [path for room in ("pipelines", "ui") for path in (ROOT / room).rglob("*.py")]
    named = {name for path in sources for name in options_in(path)}
    named |= {option(name)[2:] for name in (*OF_MASK, *OF_SMOOTHING)}
    assert {"side", "detail-from", "mask-grow"} <= named
    assert named - UNSAID <= set(FIELDS) and not UNSAID & set(FIELDS)


def test_every_field_a_sentence_names_is_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path))
    labels = {getattr(block, "label", None) for block in page().blocks.values()}
    assert set(FIELDS.values()) <= labels


def test_what_takes_a_while_says_so_where_it_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path))
    for function in page().fns.values():
        if function.fn is not None and function.show_progress != "hidden":
            places = function.show_progress_on or function.outputs
            # A button shows no progress, seen or not.
            told = [place for place in places if not isinstance(place, gr.Button)]
            assert any(place.visible is True for place in told), function.name
