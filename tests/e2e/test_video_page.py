"""The video tab in a real browser: upload, edit, watch, stop, download, and what goes wrong."""

import json
import re
import time

import pytest
import torch
from playwright.sync_api import expect

from pipelines.media import clip_from_frames, read_clip, write_clip
from tests.e2e.conftest import WAIT

SOURCE, TARGET = "a red ball rolling left on the grass", "a blue ball rolling left on the grass"
COUNT, HEIGHT, WIDTH, RATE = 6, 64, 96, 6


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory):
    """A red disc moving left over green."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    frames = torch.zeros(COUNT, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    frames[..., 1] = 140
    for index, frame in enumerate(frames):
        frame[(x - 60 + 4 * index) ** 2 + (y - 36) ** 2 < 200] = torch.tensor(
            [220, 30, 30], dtype=torch.uint8
        )
    path = tmp_path_factory.mktemp("clip") / "disc.mp4"
    write_clip(path, frames, clip_from_frames(frames, RATE))
    return path


def fill(page, clip, steps, target=TARGET):
    page.locator("#clip input[type=file]").set_input_files(clip)
    page.locator("#clip video").wait_for()
    page.get_by_label("What it shows").fill(SOURCE)
    page.get_by_label("What it should show").fill(target)
    page.get_by_role("button", name="More settings").click()
    page.get_by_label("Steps", exact=True).fill(str(steps))


def download(page, name, folder):
    with page.expect_download(timeout=WAIT) as started:
        page.get_by_role("button", name=name).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def expect_ready(page):
    expect(page.locator("#edit")).to_be_enabled(timeout=WAIT)
    expect(page.locator("#stop")).to_be_disabled()


def test_edit_is_shown_as_it_grows_and_downloads_whole(page, small_clip, runs_folder, tmp_path):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=3)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    assert page.locator("#preview img").get_attribute("src").endswith((".jpg", ".jpeg"))
    assert re.search(r"Step [1-3] of 3", page.locator("#status").inner_text())
    expect(page.locator("#edit")).to_be_disabled()

    expect(page.locator("#status")).to_contain_text("Done in", timeout=WAIT)
    expect_ready(page)
    page.locator("#result video").wait_for()
    expect(page.locator("#preview")).to_be_hidden()
    expect(page.locator("#metrics")).to_contain_text("3 steps")

    clip = read_clip(download(page, "Download clip", tmp_path))
    assert (len(clip), clip.size, clip.rate) == (COUNT, (HEIGHT, WIDTH), RATE)
    settings = json.loads(download(page, "Download settings", tmp_path).read_text())
    asked = {name: settings[name] for name in ("source", "target", "steps", "preset", "mask")}
    assert asked == {
        "source": SOURCE,
        "target": TARGET,
        "steps": 3,
        "preset": "standard",
        "mask": None,
    }
    (folder,) = set(runs_folder.iterdir()) - before
    assert {"result.mp4", "settings.json", "metrics.json"} < {
        file.name for file in folder.iterdir()
    }


def test_stopped_edit_still_gives_a_result(page, small_clip, tmp_path):
    fill(page, small_clip, steps=500)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("Stopped after", timeout=WAIT)
    expect_ready(page)
    clip = read_clip(download(page, "Download clip", tmp_path))
    assert (len(clip), clip.size) == (COUNT, (HEIGHT, WIDTH))


def test_leaving_the_page_stops_the_edit_and_keeps_it(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=500)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    (folder,) = set(runs_folder.iterdir()) - before
    page.goto("about:blank")
    until = time.monotonic() + WAIT / 1000
    while not (folder / "metrics.json").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    assert json.loads((folder / "metrics.json").read_text())["steps"] < 500
    assert (folder / "stop").exists()


def test_words_nobody_taught_are_named(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=3, target="a zebra rolling left on the grass")
    page.locator("#edit").click()
    sentence = 'does not know "zebra" in the target prompt'
    expect(page.locator("#status")).to_contain_text(sentence, timeout=WAIT)
    # Twice: where the progress stands, and as a message wherever the page is scrolled to.
    expect(page.get_by_text(sentence)).to_have_count(2)
    expect_ready(page)
    assert set(runs_folder.iterdir()) == before


def test_edit_without_a_clip_asks_for_one(page):
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("There is no clip.", timeout=WAIT)
    expect_ready(page)


def test_example_fills_the_clip_and_both_prompts(page):
    page.locator("#examples button").first.click()
    page.locator("#clip video").wait_for()
    expect(page.get_by_label("What it shows")).to_have_value(SOURCE, timeout=WAIT)
    expect(page.get_by_label("What it should show")).to_have_value(TARGET)


def test_nothing_is_cut_off_on_a_narrow_page(page):
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    right = page.locator("#edit, #stop, #result, #clip").evaluate_all(
        "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    )
    assert 200 < right <= 400
