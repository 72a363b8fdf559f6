"""The Runs tab in a real browser: nothing is lost by a reload, and results bring settings back."""

import base64
import json
import re
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import trimesh
from playwright.sync_api import expect

from pipelines import geometry, mesh, video
from pipelines.media import clip_from_frames, write_clip
from pipelines.mesh import PaintMesh
from pipelines.runs import curve, run_folder
from pipelines.teachers.catalog import ASSETS
from pipelines.video import EditVideo, edit_video
from sds.assd import Method
from tests.e2e.acts import fill_edit, open_fold
from tests.e2e.conftest import WAIT

SOURCE, TARGET = "a red ball on the grass", "a blue ball on the grass"
STEPS = 30


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    frames = torch.full((4, 48, 64, 3), 90, dtype=torch.uint8)
    frames[:, 10:30, 10:30] = torch.tensor([220, 30, 30], dtype=torch.uint8)
    path = tmp_path_factory.mktemp("clip") / "square.mp4"
    write_clip(path, frames, clip_from_frames(frames, 6))
    return path


def open_tab(page, name):
    page.get_by_role("tab", name=name).click()


def wait_until(condition):
    until = time.monotonic() + WAIT / 1000
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def expect_curves(page, folder):
    """The page draws what the run keeps of how it went."""
    kept = curve.read(folder)
    drawn = page.locator("#status .curve:not(.absent)")
    expect(drawn).to_have_count(2)
    for line, name in zip(drawn.all(), ("change", "loss"), strict=True):
        expect(line.locator("figcaption")).to_contain_text(f": {getattr(kept[-1], name):.3g}")
        points = line.locator("polyline").get_attribute("points").split()
        assert len(points) == len(kept)
    return len(kept)


def test_a_reload_in_the_middle_loses_nothing(page, tiny_clip, runs_folder, tmp_path):
    before = set(runs_folder.iterdir())
    fill_edit(page, tiny_clip, SOURCE, TARGET, STEPS)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    expect(page.locator("#status")).to_contain_text(re.compile(r"Step ([2-9]|\d\d)"))
    (folder,) = set(runs_folder.iterdir()) - before

    page.reload(wait_until="commit")
    page.get_by_label("What it shows").wait_for()
    expect(page.get_by_label("What it shows")).to_have_value("")
    expect(page.locator("#left")).to_have_text(
        re.compile(rf"was stopped when its page was left, at step \d+ of {STEPS}\. It is in Runs\.")
    )
    wait_until(lambda: run_folder.read_status(folder).state == "stopped")
    taken = run_folder.read_status(folder).step
    assert 0 < taken < STEPS

    # Reopened, with its settings and what came of it so far.
    open_tab(page, "Runs")
    expect(page.locator("#past-runs")).to_contain_text(f"Stopped: {SOURCE} → {TARGET}")
    page.locator("#past-runs .thumbnail-lg").first.click()
    expect(page.locator("#about-run")).to_contain_text(f"Stopped, {taken} of {STEPS} steps kept")
    said = f"inputs/clip/square.mp4 --source '{SOURCE}'"
    expect(page.locator("#run-command textarea")).to_have_value(re.compile(said))
    # On a slow machine too, which is told everything while it still turns to the other tab.
    machine = page.context.new_cdp_session(page)
    machine.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.locator("#run-open").click()
    expect(page.get_by_label("What it shows")).to_have_value(SOURCE)
    expect(page.get_by_label("What it should show")).to_have_value(TARGET)
    page.locator("#clip video").wait_for()
    page.locator("#result video").wait_for(state="attached")
    machine.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    expect(page.locator("#edit")).to_be_enabled()
    assert expect_curves(page, folder) == taken
    expect(page.locator("#status [role=progressbar]")).to_have_attribute(
        "aria-valuenow", f"{100 * taken / STEPS:.1f}"
    )

    # Resumed, to its end, which is in sight on a narrow page too.
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    open_tab(page, "Runs")
    page.evaluate("scrollTo(0, 0)")
    page.locator("#run-resume").click()
    expect(page.locator("#status")).to_be_in_viewport(ratio=0.5)
    page.set_viewport_size(size)
    # Its curves go on from where they were.
    expect(page.locator("#status")).to_contain_text(re.compile(r"Step \d+ of"))
    points = page.locator("#status polyline").first.get_attribute("points")
    assert len(points.split()) > taken
    # A list that is open goes along, and what was picked in it stays picked.
    open_tab(page, "Runs")
    # All of its steps are taken: on a machine that is busy this is a matter of minutes.
    expect(page.locator("#about-run")).to_contain_text(f"Done in {STEPS} steps", timeout=5 * WAIT)
    expect(page.locator("#past-runs")).to_contain_text(f"Done: {SOURCE} → {TARGET}")
    open_tab(page, "Video")
    expect(page.locator("#status")).to_contain_text("Done in")
    expect(page.locator("#metrics")).to_contain_text(f"{STEPS} steps")
    assert run_folder.read_status(folder).state == "done"
    assert json.loads((folder / "metrics.json").read_text())["steps"] == STEPS
    assert expect_curves(page, folder) == STEPS
    assert set(runs_folder.iterdir()) - before == {folder}

    # Downloaded whole, and deleted when asked twice.
    open_tab(page, "Runs")
    expect(page.locator("#about-run")).to_contain_text(f"Done in {STEPS} steps")
    expect(page.locator("#run-resume")).to_be_hidden()
    with page.expect_download(timeout=WAIT) as started:
        page.locator("#run-pack").click()
    started.value.save_as(tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as packed:
        assert {"result.mp4", "settings.json", "inputs/clip/square.mp4"} <= set(packed.namelist())
    page.locator("#run-delete").click()
    page.locator("#run-delete-not").click()
    page.locator("#run-delete").click()
    page.locator("#run-delete-sure").click()
    expect(page.locator("#about-run")).to_contain_text("Pick a run")
    assert not folder.exists()


def test_a_new_tab_says_what_became_of_the_run_of_a_closed_one(browser, studio, tiny_clip):
    visitor = browser.new_context()

    def another():
        new = visitor.new_page()
        new.goto(studio, wait_until="commit", timeout=WAIT)
        new.get_by_label("What it shows").wait_for()
        return new

    closed = another()
    fill_edit(closed, tiny_clip, SOURCE, TARGET, 5000)
    closed.locator("#edit").click()
    closed.locator("#preview img").wait_for()
    expect(closed.locator("#status")).to_contain_text(re.compile(r"Step \d+ of"))
    closed.close(run_before_unload=True)
    expect(another().locator("#left")).to_have_text(
        re.compile(r"^\s*Your run was stopped when its page was left, at step \d+ of 5000\.")
    )
    visitor.close()


def in_the_way_of(path):
    """Put a folder where a run writes a file, again and again; whether it is there now."""
    path.unlink(missing_ok=True)
    with suppress(FileExistsError):
        path.mkdir()
    return path.is_dir()


def test_a_list_that_is_open_says_that_a_run_failed(page, tiny_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill_edit(page, tiny_clip, SOURCE, TARGET, 5000)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    (folder,) = set(runs_folder.iterdir()) - before
    open_tab(page, "Runs")
    running, failed = (f"{state}: {SOURCE} → {TARGET}" for state in ("Running", "Failed"))
    expect(page.locator("#past-runs")).to_contain_text(running)
    page.locator("#past-runs .thumbnail-lg").first.click()
    wait_until(lambda: in_the_way_of(folder / run_folder.PREVIEW))
    expect(page.locator("#past-runs")).to_contain_text(failed)
    expect(page.locator("#past-runs")).not_to_contain_text(running)
    # It can be gone on with at once.
    expect(page.locator("#about-run")).to_contain_text("A defect of the program")
    expect(page.locator("#run-resume")).to_be_visible()


def drop(page, path, on):
    """Drop a file on an element of the page, as a hand would."""
    content = base64.b64encode(Path(path).read_bytes()).decode()
    given = page.evaluate_handle(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const given = new DataTransfer();
            given.items.add(new File([bytes], name));
            return given;
        }""",
        [content, path.name],
    )
    page.dispatch_event(on, "dragover", {"dataTransfer": given})
    page.dispatch_event(on, "drop", {"dataTransfer": given})


def test_a_dropped_result_gives_its_settings_back(page, tmp_path):
    frames = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    job = EditVideo(Path("lost.mp4"), SOURCE, TARGET, Path("run"), steps=7, seed=11)
    said = video.describe(EditVideo(**{**vars(job), "method": Method(joint=0.25)}))
    write_clip(tmp_path / "result.mp4", frames, clip_from_frames(frames, 5), said)
    drop(page, tmp_path / "result.mp4", "#introduction")
    expect(page.get_by_label("What it shows")).to_have_value(SOURCE)
    expect(page.get_by_label("What it should show")).to_have_value(TARGET)
    expect(page.get_by_text("upload them again")).to_be_visible()
    open_fold(page, "More settings")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("7")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("11")

    trimesh.creation.box().export(tmp_path / "box.obj")
    model = geometry.unwrap(geometry.read_mesh(tmp_path / "box.obj"))
    asked = PaintMesh(Path("box.obj"), "house", "red dotted", Path("run"), edit="roof")
    geometry.write_glb(tmp_path / "painted.glb", model, [None], mesh.describe(asked))
    drop(page, tmp_path / "painted.glb", "#introduction")
    expect(page.get_by_label("Object")).to_have_value("house")
    expect(page.get_by_label("Part to paint")).to_have_value("roof")
    expect(page.get_by_label("Style")).to_have_value("red dotted")

    write_clip(tmp_path / "other.mp4", frames, clip_from_frames(frames, 5))
    drop(page, tmp_path / "other.mp4", "#introduction")
    expect(page.get_by_text("it was not made here")).to_be_visible()

    # The box for them is ready for the next one, though this one is no result.
    open_tab(page, "Runs")
    (tmp_path / "broken.mp4").write_bytes(b"no clip" * 100)
    page.locator("#restore input[type=file]").set_input_files(tmp_path / "broken.mp4")
    expect(page.get_by_text("broken.mp4 is not a video that can be opened")).to_be_visible()
    expect(page.locator("#restore")).not_to_contain_text("broken")


def test_a_visitor_sees_no_one_elses_runs(page, browser, studio, tiny_clip, runs_folder):
    """Two browsers on one studio, each with a run of its own."""
    fill_edit(page, tiny_clip, SOURCE, TARGET, 1)
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in")
    open_tab(page, "Runs")
    expect(page.locator("#past-runs img").first).to_be_visible()
    # Runs that programs on this machine asked for are everyone's here; one run is this visitor's.
    shown = page.locator("#past-runs img").count()
    other = browser.new_page()
    other.goto(studio, wait_until="commit", timeout=WAIT)
    other.get_by_label("What it shows").wait_for()
    open_tab(other, "Runs")
    expect(other.locator("#about-run")).to_contain_text("Pick a run")
    expect(other.locator("#past-runs img")).to_have_count(shown - 1)
    other.close()


def test_a_run_beyond_the_page_s_sliders_and_list_is_reopened_and_run_again(
    page, tiny_clip, runs_folder
):
    method = Method(mask_k=-30.0, guidance_target=40.0)
    folder = runs_folder / "20260102-000000-0123456789ab"
    built_in = ASSETS / "miniature"
    job = EditVideo(
        tiny_clip,
        SOURCE,
        TARGET,
        folder,
        # By its folders: what only the command line takes.
        teacher=f"{built_in / 'motion'}+{built_in / 'image'}",
        steps=1,
        side=64,
        strength=20.0,
        method=method,
    )
    list(edit_video(job))
    before = set(runs_folder.iterdir())
    open_tab(page, "Runs")
    page.locator("#past-runs .thumbnail-lg").first.click()
    expect(page.locator("#run-command textarea")).to_have_value(re.compile(folder.name))
    page.locator("#run-open").click()
    expect(page.get_by_label("What it shows")).to_have_value(SOURCE)
    expect(page.locator("#edit")).to_be_enabled()
    page.locator("#result video").wait_for(state="attached")
    open_fold(page, "Teacher: ")
    expect(page.get_by_label("Teacher", exact=True)).to_have_value(job.teacher)
    expect(page.get_by_text("Your own choice: a ")).to_be_visible()
    open_fold(page, "Command line")
    page.locator("#clip-command-write").click()
    expect(page.locator("#clip-command textarea")).to_have_value(re.compile(re.escape(job.teacher)))
    expect(page.locator("#forecast")).to_contain_text("4 frames.")
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in")
    (again,) = set(runs_folder.iterdir()) - before
    first, second = (run_folder.read_settings(run) for run in (folder, again))
    assert second == first | {"out": again.name}


def test_a_painting_that_is_opened_says_what_its_curves_show(page, runs_folder):
    """In a tab that was not open before."""
    folder = runs_folder / "20260104-000000-0123456789ab"
    shape = ASSETS / "examples" / "mushroom.obj"
    asked = PaintMesh(shape, "mushroom", "red", folder, edit="cap", steps=2, resolution=64)
    list(mesh.paint_mesh(asked))
    # What can be done with it lies below the list here.
    page.set_viewport_size({"width": 390, "height": 500})
    open_tab(page, "Runs")
    expect(page.locator("#left")).to_be_hidden()
    page.locator("#past-runs .thumbnail-lg").first.click()
    expect(page.locator("#run-command textarea")).to_have_value(re.compile(folder.name))
    expect(page.locator("#run-open")).to_be_in_viewport(ratio=1)
    page.locator("#run-open").click()
    said = page.locator("#painting-status .curve:not(.absent) figcaption")
    expect(said).to_have_text(
        [
            re.compile(r"How far it has come from gray: \d"),
            re.compile(r"teachers still ask for: \d"),
        ]
    )
