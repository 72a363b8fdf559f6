"""What a hand does on the page."""

import re

from playwright.sync_api import expect


def open_fold(room, name):
    """Open a folded part of a form; its fields are there when this returns."""
    fold = room.get_by_role("button", name=name).first
    fold.click()
    expect(fold).to_have_class(re.compile("open"))


def put(field, value):
    """Write into a field, once it has the value that it begins with: before, that would win."""
    expect(field).not_to_have_value("")
    field.fill(str(value))
    field.blur()
    expect(field).to_have_value(str(value))


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
