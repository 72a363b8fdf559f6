"""The video tab in a real browser: upload, edit, watch, stop, download, and what goes wrong."""

import json
import re
import time

import pytest
import torch
from playwright.sync_api import expect

from pipelines.media import clip_from_frames, read_clip, read_mask, write_clip
from tests.e2e.conftest import WAIT

SOURCE, TARGET = "a red ball rolling left on the grass", "a blue ball rolling left on the grass"
COUNT, HEIGHT, WIDTH, RATE = 6, 64, 96, 6
LUMA = torch.tensor([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory):
    """A red disc moving left over a darker green."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    frames = torch.zeros(COUNT, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    frames[..., 1] = 60
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
    assert page.locator("#preview img").get_attribute("src").startswith("data:image/jpeg")
    assert re.search(r"Step [1-3] of 3", page.locator("#status").inner_text())
    expect(page.locator("#edit")).to_be_disabled()

    expect(page.locator("#status")).to_contain_text("Done in", timeout=WAIT)
    expect_ready(page)
    page.locator("#result .viewer-stage").wait_for()
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


def test_example_opens_with_its_result(page):
    page.locator("#examples button").first.click()
    page.locator("#clip video").wait_for()
    expect(page.get_by_label("What it shows")).to_have_value(SOURCE, timeout=WAIT)
    expect(page.get_by_label("What it should show")).to_have_value(TARGET)
    expect(page.locator("#status")).to_contain_text("Made earlier")
    wait_for_picture(page)
    expect(page.locator("#forecast")).to_contain_text("16 frames.", timeout=WAIT)


def wait_for_picture(page):
    """Until before and after are drawn."""
    page.wait_for_function(
        "() => document.querySelector('#result video').readyState > 1 "
        "&& document.querySelector('#result canvas').width > 1"
    )


def drawn(page, split):
    """The canvas with this share of before, as a flat list of its red, green, blue and alpha."""
    return page.evaluate(
        """split => {
            const bar = document.querySelector('#result .viewer-split');
            const canvas = document.querySelector('#result canvas');
            const pixels = () => {
                bar.dispatchEvent(new Event('input'));
                const [w, h] = [canvas.width, canvas.height];
                return Array.from(canvas.getContext('2d').getImageData(0, 0, w, h).data);
            };
            return split.map(value => { bar.value = value; return pixels(); });
        }""",
        split,
    )


def colours(page, pixels):
    width = page.evaluate("document.querySelector('#result canvas').width")
    return torch.tensor(pixels).view(-1, width, 4)[..., :3].float()


def test_before_and_after_stay_in_step_while_they_play(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    # Nothing is asked, so before and after are the same picture, at every moment.
    fill(page, small_clip, steps=1, target=SOURCE)
    open_fold(page, "Part of the clip")
    page.get_by_label("Start", exact=True).fill("0.3")
    page.get_by_label("End", exact=True).fill("0.9")
    page.get_by_label("End", exact=True).blur()
    expect(page.locator("#forecast")).to_contain_text("4 frames.", timeout=WAIT)
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in", timeout=WAIT)
    wait_for_picture(page)
    (folder,) = set(runs_folder.iterdir()) - before
    assert len(read_clip(folder / "result.mp4")) == 4
    frames = read_clip(folder / "comparison.mp4").frames[:, :, :WIDTH].float() @ LUMA
    seen = set()
    for _ in range(16):
        # Half of it is before and half is after, with a bar between; of one frame, if in step.
        shown = colours(page, drawn(page, [50])[0]) @ LUMA
        away = (frames - shown).abs()
        away[:, :, WIDTH // 2 - 2 : WIDTH // 2 + 2] = 0
        wrong = (away > 20).float().mean((1, 2))
        assert wrong.min() < 0.002, wrong
        seen.add(int(wrong.argmin()))
        page.wait_for_timeout(70)
    assert len(seen) > 1, "the pictures do not move"
    # The keyboard reaches what the mouse does.
    bar = page.get_by_role("slider", name="How much of before is shown")
    bar.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert float(bar.input_value()) == 1
    page.get_by_role("button", name="Pause", exact=True).press("Enter")
    assert page.evaluate("document.querySelector('#result video').paused")


def open_fold(page, name):
    page.get_by_role("button", name=name).click()
    # The fields of a section that has just been opened take a moment to have their own values.
    page.wait_for_timeout(1500)


def brush(page, canvas, points):
    """One stroke over places (x, y) from 0 to 1 on the editor's picture."""
    picture = page.locator(canvas).first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    for index, (x, y) in enumerate(points):
        place = box["x"] + x * box["width"], box["y"] + y * box["height"]
        page.mouse.move(*place, steps=4)
        if not index:
            page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(1000)


def test_a_brushed_mask_lets_only_its_inside_change(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=2)
    page.get_by_label("New seed each run").check()
    open_fold(page, "Mask: ")
    page.locator("#clip video").evaluate("video => { video.pause(); video.currentTime = 0.4; }")
    page.wait_for_timeout(1000)
    page.locator("#mask-frame").click()
    page.locator("#brush canvas").first.wait_for()
    expect(page.get_by_label("Frame", exact=True)).to_have_value("2", timeout=WAIT)
    expect(page.get_by_label("Inside the mask only")).to_be_checked()
    page.wait_for_timeout(3000)
    brush(page, "#brush canvas", [(0.45, 0.5), (0.6, 0.6), (0.5, 0.6), (0.55, 0.5)])
    page.locator("#show-mask").click()
    page.locator("#mask-shown video").wait_for()
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in", timeout=WAIT)
    expect(page.locator("#metrics")).to_contain_text("unchanged outside the mask")

    (folder,) = set(runs_folder.iterdir()) - before
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["mask_frame"] == 2 and settings["seed"] != 0
    expect(page.get_by_label("Seed", exact=True)).to_have_value(str(settings["seed"]))
    clip = read_clip(small_clip)
    mask = read_mask(folder / "inputs" / "mask" / "mask.png", clip)
    assert 0.005 < mask.mean() < 0.3
    x = torch.arange(WIDTH).expand(HEIGHT, WIDTH)
    assert 0.35 * WIDTH < float((mask * x).sum() / mask.sum()) < 0.7 * WIDTH

    wait_for_picture(page)
    plain = colours(page, drawn(page, [0])[0])
    page.locator("#result").get_by_label("The mask").check()
    tinted = colours(page, drawn(page, [0])[0])
    changed = (tinted - plain).abs().sum(-1) > 60
    assert 0.005 < changed.float().mean() < 0.4
    # Far from the stroke nothing is laid over the picture.
    assert not changed[:, 4 : WIDTH // 6].any()


def test_the_keyboard_runs_and_stops(page, small_clip):
    fill(page, small_clip, steps=500)
    page.get_by_label("What it should show").focus()
    page.keyboard.press("Control+Enter")
    page.locator("#preview img").wait_for()
    page.locator("#preview").get_by_label("What is smoothed").check()
    # It stays where the next preview comes.
    expect(page.locator("#status")).to_contain_text(re.compile(r"Step \d\d"), timeout=WAIT)
    expect(page.locator("#preview .laid-smoothed")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_contain_text("Stopped after", timeout=WAIT)
    expect_ready(page)


UNNAMED = """() => {
    const named = e => [
        e.ariaLabel, e.title, e.textContent, e.alt, e.placeholder,
        ...Array.from(e.labels || [], label => label.textContent),
        ...(e.getAttribute('aria-labelledby') || '').split(' ').map(
            id => id && document.getElementById(id)?.textContent),
        e.type === 'file' && e.closest('button')?.ariaLabel,
    ].some(text => text && text.trim());
    const all = document.querySelectorAll('input, textarea, select, button, [role=slider]');
    const bad = Array.from(all).filter(e => e.offsetParent && !named(e));
    return bad.map(e => e.outerHTML.slice(0, 200));
}"""


def test_every_control_has_a_name(page):
    for name in ("More settings", "Part of the clip", "Mask: ", "Method: ", "Teacher: "):
        page.get_by_role("button", name=name).first.click()
    page.locator("#examples button").first.click()
    wait_for_picture(page)
    page.wait_for_timeout(1500)
    assert page.evaluate(UNNAMED) == []
    page.get_by_role("tab", name="Paint a mesh").click()
    page.locator("#paint").wait_for()
    for name in ("More settings", "Mask: ", "Texture and faces", "Method: ", "Teacher: "):
        page.locator("#mesh-tab").get_by_role("button", name=name).first.click()
    page.wait_for_timeout(1500)
    assert page.evaluate(UNNAMED) == []


def test_nothing_is_cut_off_on_a_narrow_page(page):
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    right = page.locator("#edit, #stop, #result, #clip").evaluate_all(
        "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    )
    assert 200 < right <= 400
