"""The Runs tab's handlers: whose runs are listed, and what is done with one."""

import time
import zipfile
from contextlib import ExitStack, closing
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
import trimesh

from pipelines import geometry, mesh, video, worker
from pipelines.errors import LineFull
from pipelines.events import Note
from pipelines.media import clip_from_frames, write_clip
from pipelines.mesh import PaintMesh
from pipelines.runs import history, run_folder
from pipelines.runs.run_folder import Status
from pipelines.teachers import hub
from pipelines.teachers.catalog import ASSETS
from pipelines.video import EditVideo
from ui import api, mesh_run, runs_actions, runs_list, video_run, visitors
from ui.running import Change
from ui.runs_actions import Actions, Place
from ui.visitors import AT_ONCE, claim, is_local, may_see, owner_by_api, owner_of, share_of


def visitor(session, host="127.0.0.1:7860", client="127.0.0.1", **headers):
    return SimpleNamespace(
        session_hash=session,
        token=f"the token of {session}".ljust(24, "."),
        headers={"host": host, **headers},
        client=SimpleNamespace(host=client),
    )


ANNA, BERT = visitor("anna"), visitor("bert")


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


UNLISTED = f"{ASSETS / 'miniature' / 'motion'}+{ASSETS / 'miniature' / 'image'}"
"""A teacher that only the command line takes."""


def make(base, name, owner=None, state="stopped", kind="video", teacher="miniature"):
    """A run in the base folder; its job."""
    folder = base / name
    if kind == "video":
        clip = folder / "inputs" / "clip" / "ball.mp4"
        words = ("a red ball", "a *blue* ball")
        job, module = EditVideo(clip, *words, folder, teacher, steps=9), video
    else:
        clip = folder / "inputs" / "mesh" / "cow.obj"
        job, module = PaintMesh(clip, "cow", "gold", folder, edit="horns"), mesh
    clip.parent.mkdir(parents=True)
    clip.write_text("content")
    run_folder.write_json(folder / run_folder.SETTINGS, module.describe(job))
    run_folder.write_status(folder, Status(state, 1e9 + len(list(base.iterdir())), 4))
    if owner is not None:
        claim(folder, owner_of(owner.token, owner))
    return job


@pytest.fixture
def actions():
    """Two places whose components are known by their labels."""
    ran = []

    def place(name, kind, inputs_of):
        def run(job, owner, resumes, before):
            ran.append((job, owner, resumes, before))
            yield Change(status="running").values()
            yield Change(status="done").values()

        job = EditVideo(Path("a"), "", "", Path("b")) if kind is EditVideo else None
        job = job or PaintMesh(Path("a"), "", "", Path("b"))
        inputs = {key: gr.Textbox(label=f"{name} {key}") for key in inputs_of(job)}
        inputs["teacher"] = gr.Dropdown(["miniature", "large"], label=f"{name} teacher")
        return Place(
            name=name,
            kind=kind,
            change=Change,
            inputs=inputs,
            outputs={f.name: gr.Textbox(label=f"{name} {f.name}") for f in fields(Change)},
            inputs_of=inputs_of,
            result_of=lambda folder: Change(result=str(folder)),
            run=run,
        )

    with gr.Blocks():
        tabs = gr.Tabs()
        places = (
            place("video", EditVideo, video_run.inputs_of),
            place("mesh", PaintMesh, mesh_run.inputs_of),
        )
        made = Actions(tabs, places, opened=gr.State(None))
    return made, ran


def by_label(*changes):
    """All changes, by the labels of what is changed."""
    merged = {c: value for some in changes for c, value in some.items()}
    return {getattr(c, "label", "tabs"): value for c, value in merged.items()}


def names_of(request):
    return runs_actions.listed(None, request.token, request)[0]


def test_everyone_sees_their_own_runs_the_newest_first(base):
    make(base, "one", ANNA)
    make(base, "two", BERT)
    make(base, "three", ANNA)
    assert names_of(ANNA) == ["three", "one"]
    assert names_of(BERT) == ["two"]
    assert names_of(visitor("carl")) == []


def test_a_list_that_is_cut_short_says_so(base, monkeypatch):
    monkeypatch.setattr(runs_actions, "MOST", 2)
    said = []
    for name in ("one", "two", "three"):
        make(base, name, ANNA)
        names, gallery, *_ = runs_actions.listed(None, ANNA.token, ANNA)
        said.append((names, gallery.label))
    whole = "Past runs, the newest first"
    assert said == [
        (["one"], whole),
        (["two", "one"], whole),
        (["three", "two"], "Past runs: the newest 2 of 3"),
    ]


def test_runs_without_an_owner_are_shown_on_this_machine_only(base):
    make(base, "one")
    far = [
        visitor("x", host="studio.example"),
        visitor("x", client="10.0.0.7"),
        visitor("x", **{"x-forwarded-for": "10.0.0.7"}),
        # Behind a proxy that says nothing of itself.
        visitor("x", origin="https://studio.example"),
        visitor("x", referer="https://studio.example/?tab=runs"),
        visitor("x", origin="null"),
        visitor("x", origin="http://[::1"),
        visitor("x", host=""),
    ]
    near = [visitor("x"), visitor("x", host="localhost"), visitor("x", "[::1]:7860", "::1")]
    own = "http://127.0.0.1:7860"
    near.append(visitor("x", origin=own, referer=f"{own}/"))
    assert [names_of(request) for request in far] == [[]] * 8
    assert [names_of(request) for request in near] == [["one"]] * 4
    assert all(is_local(request) for request in near)
    # So a program on this machine makes runs that its page shows; from elsewhere they are its own.
    assert {owner_by_api(request) for request in near} == {None}
    assert {owner_by_api(request) for request in far} == {owner_of(None, far[0])}
    # A run whose owner cannot be read is nobody's.
    (base / "one" / run_folder.OWNER).mkdir()
    assert names_of(near[0]) == []


def test_nothing_is_read_of_runs_that_are_not_shown(base, monkeypatch):
    make(base, "one", ANNA)
    make(base, "two", BERT)
    read, honest = [], history.one
    monkeypatch.setattr(history, "one", lambda folder: read.append(folder.name) or honest(folder))
    assert names_of(ANNA) == read == ["one"]


def test_from_elsewhere_one_visitor_has_a_few_runs_at_once(base, actions):
    made, ran = actions
    make(base, "one", ANNA)
    far = visitor("anna", host="studio.example")
    with ExitStack() as runs:
        for _ in range(AT_ONCE):
            runs.enter_context(share_of(ANNA.token, far))
            runs.enter_context(share_of(None, far))
        again = (far, "one", ANNA.token, None, None)
        tries = [
            lambda: list(video_run.edit(far, ANNA.token, None)),
            lambda: list(mesh_run.paint(far, ANNA.token, None)),
            lambda: list(made.resume(*again)),
            lambda: list(made.repeat(*again)),
            lambda: list(api.edit_video(far, "clip.mp4", "a", "b", teacher="miniature")),
        ]
        for attempt in tries:
            with pytest.raises((gr.Error, LineFull), match="3 of your runs wait or work already"):
                attempt()
        assert not ran
        # Nobody else is held back, nor is whoever sits at this machine.
        with share_of(BERT.token, far):
            assert list(made.repeat(ANNA, *again[1:])) and ran
    assert list(made.repeat(*again)) and not visitors._runs


def test_the_folder_does_not_give_the_owner_away(base):
    make(base, "one", ANNA)
    assert "anna" not in (base / "one" / run_folder.OWNER).read_text()
    assert all(
        may_see(base / "one", owner_of(who.token, who), ANNA) == (who is ANNA)
        for who in (ANNA, BERT)
    )


@pytest.mark.parametrize("name", ["two", "../runs/two", "", None, ".", "..", "gone"])
def test_nobody_touches_what_is_not_theirs(base, actions, name):
    make(base, "one", ANNA)
    make(base, "two", BERT)
    made, _ = actions
    tries = [
        lambda: runs_actions.delete(name, ANNA.token, ANNA),
        lambda: runs_actions.pack(name, ANNA.token, ANNA),
        lambda: made.reopen(ANNA, name, ANNA.token, None, None),
        lambda: next(made.resume(ANNA, name, ANNA.token, None, None)),
        lambda: next(made.repeat(ANNA, name, ANNA.token, None, None)),
    ]
    if name is not None:
        tries.append(lambda: next(made.show(ANNA, name, ANNA.token)))
    for attempt in tries:
        with pytest.raises(gr.Error, match="not there any more"):
            attempt()
    assert (base / "two" / run_folder.SETTINGS).exists()


def test_a_run_is_reopened_in_its_tab_with_all_its_settings(base, actions):
    made, _ = actions
    job = make(base, "one", ANNA)
    asked = made.reopen(ANNA, "one", ANNA.token, None, None)
    came, _ = made.show(ANNA, asked[made.opened], ANNA.token)
    assert set(asked) | set(came) <= set(made.outputs)
    assert made.tabs in asked and "video result" not in by_label(asked)
    shown = by_label(asked, came)
    assert shown["video source"] == "a red ball" and shown["video steps"] == 9
    assert shown["video clip"] == str(job.clip)
    assert shown["video result"] == shown["video run"] == str(job.out)
    make(base, "two", ANNA, kind="mesh")
    assert by_label(made.reopen(ANNA, "two", ANNA.token, None, None))["mesh object"] == "cow"


def test_a_tab_that_is_at_work_is_left_alone(base, actions):
    made, _ = actions
    make(base, "one", ANNA)
    job = make(base, "two", ANNA)
    again = (ANNA, "one", ANNA.token, str(job.out), None)
    with closing(worker.stream(partial(notes, job.out), job.out)) as events:
        # From the moment it is asked for, before its folder is there.
        assert next(events) == Note("on")
        with pytest.raises(gr.Error, match="under way"):
            made.reopen(*again)
        # Nor does another tab take a run that is not over: it could not stop it.
        with pytest.raises(gr.Error, match="still at work"):
            made.reopen(ANNA, "two", ANNA.token, None, None)
    happens(lambda: not worker.is_at_work(job.out))
    assert made.reopen(*again)


def notes(folder):
    while not run_folder.stop_asked(folder):
        yield Note("on")


def happens(condition):
    """Wait for a condition."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_page_that_the_studio_forgot_keeps_its_runs(base):
    """What a server remembers of a page is gone when it restarts; the browser's token is not."""
    make(base, "one", ANNA)
    before, after = visitor("a session"), visitor("another session")
    assert runs_actions.listed(None, ANNA.token, before)[0] == ["one"]
    assert runs_actions.listed(None, ANNA.token, after)[0] == ["one"]
    assert runs_actions.listed(None, None, after)[0] == []


def test_a_setting_beyond_a_slider_gets_a_slider_with_room():
    slider = gr.Slider(0.1, 3)
    assert runs_actions._within(slider, 2.5) == 2.5
    wide = runs_actions._within(slider, 5)
    assert (wide.minimum, wide.maximum, wide.value) == (0.1, 5, 5)
    assert runs_actions._within(gr.Textbox(), 5) == 5


def test_a_run_of_a_teacher_that_is_not_in_the_list_is_reopened_on_this_machine(base, actions):
    made, _ = actions
    make(base, "one", ANNA, teacher=UNLISTED)
    asked = by_label(made.reopen(ANNA, "one", ANNA.token, None, None))["video teacher"]
    assert asked.value == UNLISTED
    assert [name for _, name in asked.choices] == ["miniature", "large", UNLISTED]


def test_from_elsewhere_no_other_teacher_is_brought_nor_looked_up(
    base, actions, tmp_path, monkeypatch
):
    made, _ = actions
    make(base, "one", ANNA, teacher=UNLISTED)
    far = visitor("anna", host="studio.example")
    asked = (far, "one", ANNA.token, None, None)
    for handler in (
        lambda: made.reopen(*asked),
        lambda: next(made.resume(*asked)),
        lambda: next(made.repeat(*asked)),
    ):
        with pytest.raises(gr.Error, match="is not offered here: only miniature, large"):
            handler()
    trimesh.creation.box().export(tmp_path / "box.obj")
    model = geometry.unwrap(geometry.read_mesh(tmp_path / "box.obj"))
    job = PaintMesh(Path("box.obj"), "cow", "gold", Path("run"), edit="horns", unlike="red")
    said = mesh.describe(job) | {"teacher": "some/model+another/one"}
    geometry.write_glb(tmp_path / "painted.glb", model, [None], said)

    def fetched(source):
        raise AssertionError(f"the hub was asked for {source}")

    monkeypatch.setattr(hub, "read_index", fetched)
    with pytest.raises(gr.Error, match=r"some/model.*is not offered here"):
        made.restore(far, str(tmp_path / "painted.glb"), ANNA.token, None, None)


def test_resuming_goes_on_with_the_same_run_and_repeating_makes_another(base, actions):
    made, ran = actions
    job = make(base, "one", ANNA)
    statuses = [
        by_label(c).get("video status") for c in made.resume(ANNA, "one", ANNA.token, None, None)
    ]
    assert statuses[1:] == ["running", "done"]
    list(made.repeat(ANNA, "one", ANNA.token, "shown", None))
    (first, nobody, resumes, none), (second, owner, anew, before) = ran
    # Where nothing comes of it, the tab goes back to the run that it shows.
    assert none is None and before == "shown"
    assert first == video.settled(job) and resumes and nobody is None
    assert not anew and owner == owner_of(ANNA.token, ANNA)
    assert second.out.parent == base and not second.out.exists()
    assert history.again(second, job.out) == video.settled(job)


def test_a_dropped_result_gives_its_settings_back(base, actions, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Info", said.append)
    made, _ = actions
    job = make(base, "one", ANNA)
    frames = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    result = tmp_path / "result.mp4"
    write_clip(result, frames, clip_from_frames(frames, 5), video.describe(job))
    asked = made.restore(ANNA, str(result), ANNA.token, None, None)
    mine = by_label(asked, *made.show(ANNA, asked[made.opened], ANNA.token))
    assert mine["video clip"] == str(job.clip) and mine["video run"] == str(job.out)
    asked = made.restore(BERT, str(result), BERT.token, None, None)
    theirs = by_label(asked, *made.show(BERT, asked[made.opened], BERT.token))
    assert theirs["video source"] == "a red ball" and theirs["video clip"] is None
    assert "video run" not in theirs
    assert "upload them again" not in said[0] and "upload them again" in said[1]
    with pytest.raises(gr.Error, match="not made here"):
        write_clip(result, frames, clip_from_frames(frames, 5))
        made.restore(ANNA, str(result), ANNA.token, None, None)


def test_a_dropped_result_opens_no_file_of_the_studio_s_machine(
    base, actions, tmp_path, monkeypatch
):
    """What it names lies where the studio was started, or elsewhere on its machine."""
    monkeypatch.setattr(gr, "Info", lambda said: None)
    monkeypatch.chdir(tmp_path)
    made, _ = actions
    trimesh.creation.box().export("box.obj")
    Path("mask.png").write_bytes(b"secret")
    job = PaintMesh(Path("box.obj"), "cow", "gold", Path(), edit="horns", mask=Path("mask.png"))
    model = geometry.unwrap(geometry.read_mesh("box.obj"))
    geometry.write_glb(Path("painted.glb"), model, [None], mesh.describe(job))
    shown = by_label(made.restore(ANNA, "painted.glb", ANNA.token, None, None))
    assert shown["mesh object"] == "cow"
    assert shown["mesh mesh"] is None and shown["mesh mask"] is None


def test_what_is_listed_says_what_it_is(base):
    job = make(base, "one", ANNA, state="failed")
    run = history.one(job.out)
    picture, caption = runs_list.thumbnail(run)
    assert picture is runs_list._NO_PICTURE
    assert caption == "Failed: a red ball → a *blue* ball"
    (job.out / run_folder.PREVIEW).write_bytes(b"picture")
    assert runs_list.thumbnail(history.one(job.out))[0] == str(job.out / run_folder.PREVIEW)
    about, *buttons, command, copy = runs_list.detail_of(run, by_path=False)
    assert r"\*blue\*" in about and "Failed, 4 of 9 steps kept" in about
    assert [button.visible for button in buttons] == [True] * 5 + [False] * 2
    assert copy.visible and command.value == (
        "python -m pipelines.video ball.mp4 --source 'a red ball' --target 'a *blue* ball' "
        "--out one-again --steps 9"
    )
    assert str(job.clip) in runs_list.detail_of(run, by_path=True)[-2].value


def test_a_broken_run_can_only_be_packed_and_deleted(base):
    make(base, "one", ANNA)
    (base / "one" / run_folder.SETTINGS).write_text("{")
    about, *buttons, command, copy = runs_actions.listed("one", ANNA.token, ANNA)[3:]
    assert about.startswith("**one**  \nBroken, begun")
    assert [button.visible for button in buttons] == [False] * 3 + [True] * 2 + [False] * 2
    assert not command.visible and not copy.visible


def test_a_broken_run_says_why_it_is_not_opened(base, actions):
    made, ran = actions
    make(base, "one", ANNA)
    (base / "one" / run_folder.SETTINGS).write_text("{")
    asked = (ANNA, "one", ANNA.token, None, None)
    for handler in (
        lambda: made.reopen(*asked),
        lambda: next(made.show(ANNA, "one", ANNA.token)),
        lambda: next(made.resume(*asked)),
        lambda: next(made.repeat(*asked)),
    ):
        with pytest.raises(gr.Error, match="settings of one cannot be read: the file is damaged"):
            handler()
    assert ran == []


def test_a_browser_keeps_its_token_and_gets_one_where_it_has_none():
    assert visitors._meet(ANNA.token) == ANNA.token
    given = {visitors._meet(token) for token in (None, "", "short", 3)}
    assert len(given) == 4
    assert all(visitors._meet(token) == token for token in given)


def test_packing_and_deleting(base):
    make(base, "one", ANNA)
    with zipfile.ZipFile(runs_actions.pack("one", ANNA.token, ANNA)) as packed:
        assert set(packed.namelist()) == {"settings.json", "inputs/clip/ball.mp4"}
    names, _, chosen, *_ = runs_actions.delete("one", ANNA.token, ANNA)
    assert names == [] and chosen is None and not (base / "one").exists()


def test_picking_names_the_run_that_was_clicked_on(base):
    make(base, "one", ANNA)
    make(base, "two", ANNA)
    clicked = SimpleNamespace(index=1)
    chosen, about, *_ = runs_actions.picked(["two", "one"], ANNA.token, ANNA, clicked)
    assert chosen == "one" and "a red ball" in about
