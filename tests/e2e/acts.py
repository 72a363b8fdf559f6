"""What a hand does on the page."""

import re

from playwright.sync_api import expect

TRIES = 10


def open_fold(room, name):
    """Open a folded part of a form; its fields are there when this returns."""
    fold = room.get_by_role("button", name=name).first
    fold.click()
    expect(fold).to_have_class(re.compile("open"))


def open_folds(room):
    """Open all six of a tab."""
    folds = room.locator(".fold > button.label-wrap:visible")
    expect(folds).to_have_count(6)
    for fold in folds.all():
        fold.click()
        expect(fold).to_have_class(re.compile("open"))


def fill_edit(page, clip, source, target, steps):
    """Upload a clip, and fill in what an edit of it is asked."""
    page.locator("#clip input[type=file]").set_input_files(clip)
    page.locator("#clip video").wait_for()
    page.get_by_label("What it shows").fill(source)
    page.get_by_label("What it should show").fill(target)
    open_fold(page, "More settings")
    put(page.get_by_label("Steps", exact=True), steps)


def put(field, value):
    """Write into a field, and see that it stays.

    Gradio gives the fields of a fold that opens their values once more, some frames after they are
    there; a hand is slower than that, a test is not.
    """
    for _ in range(TRIES):
        _frames(field.page)
        field.fill(str(value))
        field.blur()
        _frames(field.page)
        if field.input_value() == str(value):
            return
    raise AssertionError(f"the field does not keep {value}")


def _frames(page):
    """Let the page draw a few frames."""
    page.evaluate(
        """async () => {
            for (let k = 0; k < 5; k++) await new Promise(requestAnimationFrame);
        }"""
    )


def shown_to_brush(page, box, button, says):
    """Press the button, and wait until the box shows that, with nothing brushed on it."""
    page.locator(button).click()
    expect(page.locator(f"{box} .brush-says")).to_have_text(says)
    expect(page.locator(f"{box} .brush-undo")).to_be_disabled()


def brush(page, box, points):
    """One stroke over places (x, y) from 0 to 1 on the box's picture."""
    canvas = page.locator(f"{box} canvas")
    # Waits until nothing moves and the canvas takes the mouse.
    canvas.hover()
    size = canvas.bounding_box()
    for index, (x, y) in enumerate(points):
        page.mouse.move(size["x"] + x * size["width"], size["y"] + y * size["height"], steps=4)
        if not index:
            page.mouse.down()
    page.mouse.up()
    expect(page.locator(f"{box} .brush-undo")).to_be_enabled()
