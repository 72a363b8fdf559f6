"""The mesh tab in a real browser: pick, paint, watch, move the region, download, go wrong."""

import json
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from pipelines.geometry import read_mesh
from pipelines.paint import brushing
from pipelines.paint.painted import random_points
from pipelines.paint.task import sample_atlases
from pipelines.paint.uv_mask import read_masks
from pipelines.runs import history
from tests.e2e.acts import brush, open_fold, put, shown_to_brush
from tests.e2e.conftest import WAIT


@pytest.fixture
def tab(page):
    """The page with the mesh tab open."""
    page.get_by_role("tab", name="Paint a mesh").click()
    page.locator("#paint").wait_for()
    return page


def pick(tab, steps):
    tab.locator("#mesh-examples button").first.click()
    expect(tab.get_by_label("Object")).to_have_value("mushroom")
    settings = tab.locator("#mesh-tab")
    open_fold(settings, "More settings")
    put(settings.get_by_label("Steps", exact=True), steps)
    open_fold(settings, "Texture and faces")
    put(settings.get_by_label("Texture side"), 128)


def expect_ready(tab):
    expect(tab.locator("#paint")).to_be_enabled()
    expect(tab.locator("#stop-painting")).to_be_disabled()


def seen(tab, path):
    """The 3D canvas as a picture, (h, w, 3)."""
    tab.locator("#painted canvas").screenshot(path=path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def download(tab, button, folder):
    with tab.expect_download(timeout=WAIT) as started:
        tab.locator(button).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def set_region(tab, value):
    put(tab.locator("#region input[type=number]"), value)


def wait_for_mesh(tab, path, until=lambda picture: True):
    """The viewer's picture, once it shows something, holds still and is as it should be."""
    tab.locator("#painted canvas").wait_for()
    before, late = None, time.monotonic() + WAIT / 1000
    while time.monotonic() < late:
        picture = seen(tab, path)
        h, w = picture.shape[:2]
        # Labels lie over its corners.
        middle = picture[h // 4 : -(h // 4), w // 4 : -(w // 4)]
        blank = middle.reshape(-1, 3).std(axis=0).max() <= 5
        if not blank and np.array_equal(picture, before) and until(picture):
            return picture
        before = picture
        tab.wait_for_timeout(200)
    raise AssertionError("the canvas stays blank, or never comes to rest")


def test_painting_is_shown_as_it_grows_and_its_region_moves(tab, runs_folder, tmp_path):
    before = set(runs_folder.iterdir())
    pick(tab, steps=2)
    tab.locator("#paint").click()
    tab.locator("#painting img").wait_for()
    # Two steps are soon over: by the time that it is asked they may be.
    said = tab.locator("#painting-status").inner_text()
    assert re.search(r"Step [12] of 2|Writing the result", said), said
    expect(tab.locator("#painting-status")).to_contain_text("Done in")
    expect_ready(tab)
    expect(tab.locator("#painting")).to_be_hidden()
    (folder,) = set(runs_folder.iterdir()) - before

    model = read_mesh(download(tab, "#download-glb", tmp_path))
    assert model.faces == read_mesh("assets/examples/mushroom.obj").faces
    with zipfile.ZipFile(download(tab, "#download-zip", tmp_path)) as archive:
        names = set(archive.namelist())
    assert {"painted.obj", "painted.mtl", "painted_0.png", "texture.png", "painted.glb"} <= names
    assert download(tab, "#download-turntable", tmp_path).stat().st_size > 1000
    assert tab.locator("#layers img").count() >= 2

    wait_for_mesh(tab, tmp_path / "before.png")
    texture = (folder / "texture.png").read_bytes()
    # Two steps leave the localization close to a half: far above that nothing is shown of them.
    set_region(tab, 0.9)
    expect(tab.locator("#painting-status")).to_contain_text("Done: 0 %")
    expect_ready(tab)
    assert (folder / "texture.png").read_bytes() != texture
    assert json.loads((folder / "settings.json").read_text())["threshold"] == 0.9
    with zipfile.ZipFile(download(tab, "#download-zip", tmp_path)) as archive:
        assert archive.read("texture.png") == (folder / "texture.png").read_bytes()
    # By its keys, and again while it moves: it ends where the slider stands.
    slider = tab.locator("#region input[type=range]")
    slider.press("ArrowLeft")
    expect(tab.locator("#painting-status")).to_contain_text("Moving the region")
    slider.press("ArrowLeft")
    expect(slider).to_have_value("0.8")
    late = time.monotonic() + WAIT / 1000
    while json.loads((folder / "settings.json").read_text())["threshold"] != 0.8:
        assert time.monotonic() < late
        tab.wait_for_timeout(100)
    expect_ready(tab)


def test_the_view_stays_when_the_region_moves(tab, tmp_path):
    pick(tab, steps=1)
    tab.locator("#paint").click()
    expect(tab.locator("#painting-status")).to_contain_text("Done in")
    expect_ready(tab)
    near = _covered(wait_for_mesh(tab, tmp_path / "near.png"))
    # Far away, so that the mesh covers much less of the canvas.
    tab.locator("#painted canvas").hover()
    tab.mouse.wheel(0, 3000)
    far = wait_for_mesh(tab, tmp_path / "far.png", lambda seen: _covered(seen) < 0.7 * near)
    with tab.expect_response(re.compile(r"painted\.glb"), timeout=WAIT):
        set_region(tab, 0.9)
    expect(tab.locator("#painting-status")).to_contain_text("Done:")
    expect_ready(tab)
    after = _covered(wait_for_mesh(tab, tmp_path / "after.png"))
    assert after == pytest.approx(_covered(far), rel=0.15)


def _covered(picture):
    """Share of the canvas that is not its corner's colour."""
    return float((np.abs(picture - picture[2, 2]).max(-1) > 12).mean())


def test_stopped_painting_still_gives_a_result(tab, tmp_path):
    pick(tab, steps=500)
    tab.locator("#paint").click()
    tab.locator("#painting img").wait_for()
    tab.locator("#stop-painting").click()
    expect(tab.locator("#painting-status")).to_contain_text("Stopped after")
    expect_ready(tab)
    assert read_mesh(download(tab, "#download-glb", tmp_path)).faces > 0


def test_an_uploaded_mesh_is_seen_before_it_is_painted(tab, tmp_path):
    file = tab.locator("#mesh input[type=file]")
    file.set_input_files("assets/examples/mushroom.obj")
    plain = wait_for_mesh(tab, tmp_path / "plain.png")
    # As it is: no colours.
    assert plain.max(-1).mean() - plain.min(-1).mean() < 10
    expect_ready(tab)
    tab.get_by_role("button", name="Mesh: clear").click()
    expect(tab.locator("#painted canvas")).to_have_count(0)


def test_a_file_that_is_no_mesh_is_refused_in_a_sentence(tab, tmp_path, runs_folder):
    before = set(runs_folder.iterdir())
    bad = tmp_path / "empty.obj"
    bad.write_text("not a mesh\n")
    tab.locator("#mesh input[type=file]").set_input_files(bad)
    expect(tab.locator("#mesh")).to_contain_text("empty")
    status = tab.locator("#painting-status .failed")
    expect(status).to_contain_text("empty.obj")
    # Something else is wrong at first, so that the file's own sentence is seen to come again.
    tab.locator("#paint").click()
    expect(status).to_contain_text('"Object" is empty')
    tab.get_by_label("Object").fill("mushroom")
    tab.get_by_label("Part to paint").fill("cap")
    tab.get_by_label("Style").fill("red dotted")
    tab.locator("#paint").click()
    expect(status).to_contain_text("empty.obj")
    expect_ready(tab)
    assert set(runs_folder.iterdir()) == before


def test_painting_without_a_mesh_asks_for_one(tab):
    tab.locator("#paint").click()
    expect(tab.locator("#painting-status")).to_contain_text("There is no mesh.")
    expect_ready(tab)


def test_a_command_line_asks_for_a_mesh_too(tab):
    open_fold(tab, "Command line")
    tab.locator("#mesh-command-write").click()
    expect(tab.locator(".toast-body")).to_contain_text("There is no mesh")
    expect(tab.locator("#mesh-command textarea")).to_have_value("")


def test_painting_everything_needs_no_part(tab):
    open_fold(tab.locator("#mesh-tab"), "More settings")
    tab.get_by_label("Paint everything").check()
    expect(tab.get_by_label("Part to paint")).to_be_disabled()


def test_an_example_opens_with_what_was_painted(tab, runs_folder, tmp_path):
    tab.locator("#mesh-examples button").first.click()
    expect(tab.locator("#painting-status")).to_contain_text("Made earlier")
    wait_for_mesh(tab, tmp_path / "example.png")
    tab.wait_for_function(
        "() => document.querySelector('#turned video').readyState > 1 "
        "&& document.querySelector('#turned canvas').width > 1"
    )
    expect(tab.locator("#turned").get_by_label("The region")).to_be_visible()
    # Its region moves as a run's does, of which it becomes one; the example itself stays.
    kept = Path("assets/examples/mushroom/metrics.json").read_bytes()
    before = set(runs_folder.iterdir())
    set_region(tab, 0.3)
    expect(tab.locator("#painting-status")).to_contain_text("Done: ")
    wait_for_mesh(tab, tmp_path / "moved.png")
    (run,) = set(runs_folder.iterdir()) - before
    past = history.one(run)
    assert past.status.state == "done" and past.job.threshold == 0.3 and past.job.mesh.is_file()
    painted = tab.locator("#painting-status").inner_text()
    set_region(tab, 0.7)
    expect(tab.locator("#painting-status")).not_to_contain_text(painted)
    expect(tab.locator("#painting-status")).to_contain_text("Done: ")
    assert history.one(run).job.threshold == 0.7 and set(runs_folder.iterdir()) - before == {run}
    assert Path("assets/examples/mushroom/metrics.json").read_bytes() == kept


def test_before_there_is_a_result_the_region_is_the_next_runs(tab):
    set_region(tab, 0.3)
    tab.get_by_text("Paint first; then it moves what was painted.").wait_for()
    expect(tab.locator("#region input[type=number]")).to_have_value("0.3")


def test_views_that_are_brushed_add_up_to_the_region(tab, runs_folder):
    before = set(runs_folder.iterdir())
    pick(tab, steps=1)
    fold = tab.locator("#mesh-tab")
    open_fold(fold, "Mask: ")
    shown_to_brush(tab, "#mesh-brush", "#brush-view", "0° around, 0° above")
    expect(fold.get_by_label("There, but only inside the mask")).to_be_checked()
    fold.get_by_label("Exactly the mask").check()
    brush(tab, "#mesh-brush", [(0.45, 0.35), (0.55, 0.35), (0.5, 0.3)])
    put(fold.get_by_label("number input for Around"), 90)
    shown_to_brush(tab, "#mesh-brush", "#brush-view", "90° around, 0° above")
    # What was brushed so far is kept in the file of the mask.
    file = re.compile(r"mask\s*\.png")
    expect(tab.locator("#mesh-mask-file")).to_contain_text(file)
    brush(tab, "#mesh-brush", [(0.45, 0.35), (0.55, 0.35), (0.5, 0.3)])
    tab.locator("#show-mesh-mask").click()
    tab.locator("#mesh-mask-shown img").wait_for()
    tab.locator("#paint").click()
    expect(tab.locator("#painting-status")).to_contain_text("Done in")
    expect_ready(tab)

    (folder,) = set(runs_folder.iterdir()) - before
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["mask_replaces"] and settings["mask_view"] is None
    mask = folder / "inputs" / "mask" / "mask.png"
    canvas = brushing.open_canvas(Path("assets/examples/mushroom.obj"), None, 128)
    masks = read_masks(mask, canvas.surface, None, canvas.sizes)
    points = random_points(canvas.surface, 20_000, torch.Generator().manual_seed(0))
    inside = points.position[sample_atlases(masks, points)[:, 0] > 0.5]
    # Both strokes are there: one in front (z), one on the right (x); none behind or on the left.
    assert (inside[:, 2] > 0.2).any() and (inside[:, 0] > 0.2).any()
    assert not ((inside[:, 2] < -0.2) & (inside[:, 0] < 0.2)).any()
    painted = json.loads((folder / "metrics.json").read_text())["painted_share"]
    assert 0 < painted < 0.3
    assert painted == pytest.approx(len(inside) / len(points.position), abs=0.03)

    fold.get_by_label("take away from it").check()
    tab.locator("#clear-mesh-mask").click()
    expect(fold.get_by_label("Where the words say")).to_be_checked()
    expect(fold.get_by_label("add to the mask")).to_be_checked()
