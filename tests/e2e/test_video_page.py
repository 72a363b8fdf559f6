"""The video tab in a real browser: upload, edit, watch, stop, download, and what goes wrong."""

import json
import re
import shlex
import time
from dataclasses import replace

import pytest
import torch
from playwright.sync_api import expect
from torch.nn.functional import max_pool2d

from pipelines.media import clip_from_frames, read_clip, read_mask, save_png, write_clip
from pipelines.media.masks import OPACITY
from pipelines.runs import run_folder
from tests.e2e.acts import brush, fill_edit, open_fold, put, shown_to_brush
from tests.e2e.conftest import WAIT
from tests.pipelines.test_media import audio_packets, make_file

SOURCE, TARGET = "a red ball rolling left on the grass", "a blue ball rolling left on the grass"
COUNT, HEIGHT, WIDTH, RATE = 6, 64, 96, 6
STEPS = 30
"""Enough to be seen on the way."""
LUMA = torch.tensor([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory):
    """A red disc moving left over a darker green, with sound."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    frames = torch.zeros(COUNT, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    frames[..., 1] = 60
    for index, frame in enumerate(frames):
        frame[(x - 60 + 4 * index) ** 2 + (y - 36) ** 2 < 200] = torch.tensor(
            [220, 30, 30], dtype=torch.uint8
        )
    folder = tmp_path_factory.mktemp("clip")
    sound = make_file(folder / "sound.m4a", audio="aac")
    clip = replace(clip_from_frames(frames, RATE), source=sound, has_audio=True)
    write_clip(folder / "disc.mp4", frames, clip)
    return folder / "disc.mp4"


def fill(page, clip, steps, target=TARGET):
    fill_edit(page, clip, SOURCE, target, steps)


def download(page, name, folder):
    with page.expect_download(timeout=WAIT) as started:
        page.get_by_role("button", name=name).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def expect_ready(page):
    expect(page.locator("#edit")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def test_edit_is_shown_as_it_grows_and_downloads_whole(page, small_clip, runs_folder, tmp_path):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=STEPS)
    page.locator("#edit").click()
    expect(page.locator("#edit")).to_be_disabled()
    page.locator("#preview img").wait_for()
    assert page.locator("#preview img").get_attribute("src").startswith("data:image/jpeg")
    # By the time that it is asked the steps may be over.
    said = page.locator("#status").inner_text()
    step = rf"Step \d+ of {STEPS}, \d+ (s|min) left"
    assert re.search(rf"{step}|Writing the result|Done in", said), said

    expect(page.locator("#status")).to_contain_text("Done in")
    expect_ready(page)
    page.locator("#result .viewer-stage").wait_for()
    expect(page.locator("#preview")).to_be_hidden()
    expect(page.locator("#metrics")).to_contain_text(f"{STEPS} steps")
    expect(page.locator("#status")).to_contain_text(re.compile(r"How far it has come.*: 0\.\d+"))
    # What a run takes is known by now.
    expect(page.locator("#forecast")).to_contain_text(
        re.compile(r"6 frames\. About \d+ s and \d\.\d GB of memory\.\s*$")
    )

    # What cannot be run leaves what is there.
    page.get_by_label("What it should show").fill("a zebra")
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text('does not know "zebra"')
    expect_ready(page)
    result = download(page, "Clip (MP4)", tmp_path)
    clip = read_clip(result)
    assert (len(clip), clip.size, clip.rate) == (COUNT, (HEIGHT, WIDTH), RATE)
    assert audio_packets(result) == audio_packets(small_clip) != []
    settings = json.loads(download(page, "Settings (JSON)", tmp_path).read_text())
    asked = {name: settings[name] for name in ("source", "target", "steps", "preset", "mask")}
    assert asked == {
        "source": SOURCE,
        "target": TARGET,
        "steps": STEPS,
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
    expect(page.locator("#status")).to_contain_text("Stopped after")
    expect_ready(page)
    clip = read_clip(download(page, "Clip (MP4)", tmp_path))
    assert (len(clip), clip.size) == (COUNT, (HEIGHT, WIDTH))


def test_on_a_narrow_page_a_run_comes_into_sight_as_it_begins(page, small_clip):
    page.set_viewport_size({"width": 390, "height": 844})
    fill(page, small_clip, steps=500)
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#status")).not_to_be_in_viewport()
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    expect(page.locator("#status")).to_contain_text(re.compile(r"Step \d+"))
    expect(page.locator("#status")).to_be_in_viewport(ratio=0.5)
    # Whoever looks elsewhere meanwhile is left there.
    page.evaluate("scrollTo(0, 0)")
    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("Stopped after")
    assert page.evaluate("scrollY") == 0


def test_leaving_the_page_stops_the_edit_and_keeps_it(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=5000)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    (folder,) = set(runs_folder.iterdir()) - before
    page.goto("about:blank")
    until = time.monotonic() + WAIT / 1000
    while (status := run_folder.read_status(folder)).state != "stopped":
        assert time.monotonic() < until
        time.sleep(0.1)
    # The step that ran when the page was left, and few others; more where the machine is busy.
    assert json.loads((folder / "metrics.json").read_text())["steps"] == status.step < 1000


def test_an_example_does_not_take_the_page_from_a_run(page, small_clip):
    fill(page, small_clip, steps=500)
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    page.locator("#examples button").first.click()
    page.get_by_text("A run is under way in its tab.").wait_for()
    expect(page.get_by_label("What it should show")).to_have_value(TARGET)
    # A list that is open takes Escape for itself.
    open_fold(page, "Teacher: ")
    page.get_by_label("Teacher", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_contain_text(re.compile(r"Step \d+"))
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("Stopped after")


def test_a_clip_that_is_none_says_so(page, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no clip at all" * 100)
    page.locator("#clip input[type=file]").set_input_files(path)
    page.get_by_label("What it shows").fill(SOURCE)
    page.get_by_label("What it should show").fill(TARGET)
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("clip.mp4")
    expect_ready(page)


def test_the_words_the_teacher_knows_are_beside_the_prompts(page):
    words = page.locator("#known-words summary")
    expect(words).to_contain_text("It knows these words only: a, an, background, ball, bird,")
    line = words.bounding_box()["height"]
    assert line < 40
    words.click()
    assert words.bounding_box()["height"] > 2 * line
    # One that reads plain English has no such list.
    open_fold(page, "Teacher: ")
    page.get_by_label("Teacher", exact=True).click()
    page.get_by_role("option", name="wan-1.3b").click()
    expect(words).to_have_count(0)
    page.get_by_role("tab", name="Paint a mesh").click()
    expect(page.locator("#known-mesh-words summary")).to_contain_text("mushroom")


def test_words_nobody_taught_are_named(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=3, target="a zebra rolling left on the grass")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.keyboard.press("Control+Enter")
    sentence = 'does not know "zebra" in "What it should show"'
    expect(page.locator("#status")).to_contain_text(sentence)
    # Once, and in sight. A message of gradio's would come a little later, and go again.
    page.wait_for_timeout(1000)
    assert page.get_by_text(sentence).count() == 1
    expect(page.locator("#status .failed")).to_be_in_viewport(ratio=1)
    expect_ready(page)
    assert set(runs_folder.iterdir()) == before


def test_edit_without_a_clip_asks_for_one(page):
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("There is no clip.")
    expect_ready(page)


def test_example_opens_with_its_result(page):
    page.locator("#examples button").first.click()
    page.locator("#clip video").wait_for()
    expect(page.get_by_label("What it shows")).to_have_value(SOURCE)
    expect(page.get_by_label("What it should show")).to_have_value(TARGET)
    expect(page.locator("#status")).to_contain_text("Made earlier")
    wait_for_picture(page)
    expect(page.locator("#forecast")).to_contain_text("16 frames.")


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
    # It goes so little that before and after are the same picture, at every moment.
    fill(page, small_clip, steps=1)
    put(page.get_by_label("number input for Strength"), 0.1)
    open_fold(page, "Part of the clip")
    put(page.get_by_label("Start", exact=True), 0.3)
    put(page.get_by_label("End", exact=True), 0.9)
    expect(page.locator("#forecast")).to_contain_text("4 frames.")
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in")
    wait_for_picture(page)
    (folder,) = set(runs_folder.iterdir()) - before
    assert len(read_clip(folder / "result.mp4")) == 4
    frames = read_clip(folder / "comparison.mp4").frames[:, :, :WIDTH].float() @ LUMA
    seen, until = set(), time.monotonic() + WAIT / 1000
    while len(seen) < 2:
        assert time.monotonic() < until, "the pictures do not move"
        # Half of it is before and half is after, with a bar between; of one frame, if in step.
        shown = colours(page, drawn(page, [50])[0]) @ LUMA
        away = (frames - shown).abs()
        away[:, :, WIDTH // 2 - 2 : WIDTH // 2 + 2] = 0
        wrong = (away > 20).float().mean((1, 2))
        assert wrong.min() < 0.002, wrong
        seen.add(int(wrong.argmin()))
    # It is as wide as there is room, and nothing is beside it that belongs to it.
    for size in ({"width": 1280, "height": 900}, {"width": 390, "height": 844}):
        page.set_viewport_size(size)
        box = page.locator("#result canvas").bounding_box()
        assert abs(box["width"] / box["height"] - WIDTH / HEIGHT) < 0.01
    # The keyboard reaches what the mouse does.
    bar = page.get_by_role("slider", name="How much of before is shown")
    bar.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert float(bar.input_value()) == 1
    page.get_by_role("button", name="Pause", exact=True).press("Enter")
    assert page.evaluate("document.querySelector('#result video').paused")


def painted(page):
    """Pixels of the brush's picture that are brushed."""
    return page.locator("#brush canvas").evaluate(
        """canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
            .filter((value, k) => k % 4 === 3 && value > 127).length"""
    )


PAUSE = """(video, second) => new Promise((done) => {
    video.pause();
    video.addEventListener("seeked", done, { once: true });
    video.currentTime = second;
})"""


def test_a_brushed_mask_lets_only_its_inside_change(page, small_clip, runs_folder):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=2)
    page.get_by_label("New seed each run").check()
    open_fold(page, "Mask: ")
    page.locator("#clip video").evaluate(PAUSE, 0.4)
    shown_to_brush(page, "#brush", "#mask-frame", "Frame 2")
    expect(page.get_by_label("Frame", exact=True)).to_have_value("2")
    # Another number is another frame, with nothing brushed on it.
    brush(page, "#brush", [(0.1, 0.1), (0.3, 0.1)])
    put(page.get_by_label("Frame", exact=True), 4)
    expect(page.locator("#brush .brush-says")).to_have_text("Frame 4")
    expect(page.locator("#brush .brush-undo")).to_be_disabled()
    shown_to_brush(page, "#brush", "#mask-frame", "Frame 2")
    expect(page.get_by_label("Frame", exact=True)).to_have_value("2")
    expect(page.get_by_label("Inside the mask only")).to_be_checked()
    brush(page, "#brush", [(0.45, 0.5), (0.6, 0.6), (0.5, 0.6), (0.55, 0.5)])
    # Read back, a canvas may be drawn by other means, whose edges differ a little.
    wanted = pytest.approx(painted(page), rel=0.1)
    assert painted(page) > 50
    # More than was wanted, taken back; nearly all of it erased, brought back; once too often.
    brush(page, "#brush", [(0.1, 0.1), (0.3, 0.1)])
    assert painted(page) > 1.3 * wanted.expected
    page.get_by_role("button", name="Undo").click()
    assert painted(page) == wanted
    page.get_by_role("button", name="Redo").click()
    assert painted(page) > 1.3 * wanted.expected
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Erase").click()
    brush(page, "#brush", [(0.4, 0.5), (0.6, 0.55), (0.6, 0.6), (0.5, 0.6)])
    assert painted(page) < wanted.expected / 2
    expect(page.locator("#brush .brush-redo")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    assert painted(page) == wanted
    page.locator("#show-mask").click()
    page.locator("#mask-shown video").wait_for()
    # It shows what was asked for, and goes when something else is.
    for pixels in (2, 0):
        put(page.get_by_label("Grow", exact=True), pixels)
        expect(page.locator("#mask-shown")).to_be_hidden()
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in")
    expect(page.locator("#metrics")).to_contain_text("unchanged outside the mask")

    (folder,) = set(runs_folder.iterdir()) - before
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["mask_frame"] == 2 and settings["seed"] != 0
    expect(page.get_by_label("Seed", exact=True)).to_have_value(str(settings["seed"]))
    clip, result = read_clip(small_clip), read_clip(folder / "result.mp4")
    mask = read_mask(folder / "inputs" / "mask" / "mask.png", clip)
    assert 0.005 < mask.mean() < 0.3
    # Of the frame it was brushed on, what is compressed again differs a little everywhere.
    away = (result.frames[2].float() - clip.frames[2].float()).abs().mean(-1)
    near = max_pool2d(mask[None], 9, stride=1, padding=4)[0] > 0
    assert away[~near].max() < 40 and away[~near].mean() < 3
    assert away[mask > 0.5].mean() > 4 * away[~near].mean()
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


def tint(page, folder):
    """Press "Show the mask on the clip": how red its first frame then is, from 0 to 1 of the tint.

    Of the clip's left quarter, where the disc never is and the clip has no red.
    """
    video = page.locator("#mask-shown video")
    before = video.get_attribute("src") if video.is_visible() else "none"
    page.locator("#show-mask").click()
    expect(video).to_have_attribute("src", re.compile(f"^(?!{re.escape(before)}$)."))
    path = folder / "mask.mp4"
    path.write_bytes(page.request.get(video.get_attribute("src")).body())
    frame = read_clip(path).frames[0]
    left = frame[:, : frame.shape[1] // 4, 0].float()
    return left / (OPACITY * 255)


def test_a_mask_s_edges_move_what_may_change(page, small_clip, runs_folder, tmp_path):
    before = set(runs_folder.iterdir())
    fill(page, small_clip, steps=2)
    open_fold(page, "Mask: ")
    square = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    square[20:36, 0:12] = 255
    save_png(tmp_path / "square.png", square)
    page.locator("#mask-file input[type=file]").set_input_files(tmp_path / "square.png")
    expect(page.get_by_label("Inside the mask only")).to_be_checked()
    grow, feather = (page.get_by_label(name, exact=True) for name in ("Grow", "Feather"))
    put(grow, 0)
    put(feather, 0)
    plain = tint(page, tmp_path)
    assert (plain > 0.5).float().mean() == pytest.approx(16 * 12 / (HEIGHT * WIDTH / 4), abs=0.03)
    put(grow, 8)
    grown = tint(page, tmp_path)
    assert (grown > 0.5).float().mean() > 2 * (plain > 0.5).float().mean()
    put(feather, 4)
    soft = tint(page, tmp_path)
    between = [((mask > 0.2) & (mask < 0.8)).float().mean() for mask in (grown, soft)]
    assert between[1] > 2 * between[0]
    page.get_by_label("Invert", exact=True).check()
    put(grow, -2)
    put(feather, 0)
    turned = tint(page, tmp_path)
    # Shrunk is what was painted, and so what stays.
    assert (turned > 0.5).float().mean() == pytest.approx(
        1 - 12 * 10 / (HEIGHT * WIDTH / 4), abs=0.04
    )

    open_fold(page, "Command line")
    page.locator("#clip-command-write").click()
    box = page.locator("#clip-command textarea")
    expect(box).to_have_value(re.compile(r"^python -m pipelines\.video "))
    said = shlex.split(box.input_value())
    assert {"--mask-grow=-2", "--mask-invert"} <= set(said)
    assert said[said.index("--mask-feather") + 1] == "0"
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("Done in")
    expect(page.locator("#metrics")).to_contain_text("unchanged outside the mask")
    (folder,) = set(runs_folder.iterdir()) - before
    settings = json.loads((folder / "settings.json").read_text())
    edges = {name: settings[f"mask_{name}"] for name in ("grow", "feather", "invert")}
    assert edges == {"grow": -2, "feather": 0, "invert": True}


def test_the_keyboard_runs_and_stops(page, small_clip):
    fill(page, small_clip, steps=500)
    page.get_by_label("What it should show").focus()
    page.keyboard.press("Control+Enter")
    page.locator("#preview img").wait_for()
    # Whoever types, or looks at one of gradio's panels, may mean something else by it.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Use via API").click()
    page.locator(".backdrop").wait_for()
    page.keyboard.press("Escape")
    page.locator(".backdrop").click(position={"x": 1, "y": 1})
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#preview").get_by_label("Where it is smoothed").check()
    # It stays where the next preview comes.
    expect(page.locator("#status")).to_contain_text(re.compile(r"Step \d\d"))
    expect(page.locator("#preview .laid-smoothed")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_contain_text("Stopped after")
    expect_ready(page)


def test_who_presses_by_the_keyboard_goes_on_with_the_other_button(page, small_clip):
    fill(page, small_clip, steps=500)
    page.locator("#edit").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#edit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_be_focused()
    expect(page.locator("#status [role=progressbar]")).to_have_attribute(
        "aria-valuenow", re.compile(r"^0\.[2-9]|^[1-9]")
    )
    # Step after step nothing is read out.
    expect(page.locator("#status [role=status]")).to_have_attribute("aria-live", "off")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Stopped after")
    expect(page.locator("#status [role=status]")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#edit")).to_be_focused()


def test_a_clip_is_cut_in_its_fold_only(page, small_clip):
    fill(page, small_clip, steps=1)
    page.locator("#clip video").wait_for()
    assert page.locator('#clip [aria-label="Trim video to selection"]').count() == 1
    expect(page.locator('#clip [aria-label="Trim video to selection"]')).to_be_hidden()


def test_the_settings_are_a_command_line_until_they_change(page, small_clip):
    fill(page, small_clip, steps=3)
    open_fold(page, "Command line")
    box = page.locator("#clip-command textarea")
    page.locator("#clip-command-write").click()
    expect(box).to_have_value(re.compile(r"^python -m pipelines\.video .*disc\.mp4"))
    said = shlex.split(box.input_value())
    asked = {name: said[said.index(f"--{name}") + 1] for name in ("source", "target", "steps")}
    assert asked == {"source": SOURCE, "target": TARGET, "steps": "3"}
    page.get_by_label("What it should show").fill(SOURCE)
    expect(box).to_have_value("")
