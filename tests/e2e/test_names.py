"""Whatever can be pressed, written or moved has a name of its own that a screen reader reads."""

import re
from collections import Counter

import pytest
from playwright.sync_api import expect

from tests.e2e.acts import brush, open_folds, put, shown_to_brush

CONTROLS = {
    "button",
    "checkbox",
    "combobox",
    "link",
    "listbox",
    "menuitem",
    "option",
    "radio",
    "searchbox",
    "slider",
    "spinbutton",
    "switch",
    "tab",
    "textbox",
}


@pytest.fixture
def unnamed(page):
    """The controls on the page that the browser's own tree for screen readers has no name for, or
    the same one for two of a kind."""
    session = page.context.new_cdp_session(page)

    def found():
        tree = session.send("Accessibility.getFullAXTree")["nodes"]
        controls = [
            node for node in tree if not node["ignored"] and node["role"]["value"] in CONTROLS
        ]
        assert len(controls) > 10
        named = [(node["role"]["value"], _name(node)) for node in controls]
        bad = [node for node in controls if not _name(node)]
        twice = [name for name, count in Counter(named).items() if count > 1]
        return [_html(session, node["backendDOMNodeId"]) for node in bad] + twice

    return found


def _name(node):
    return node.get("name", {}).get("value", "").strip()


def _html(session, node):
    return session.send("DOM.getOuterHTML", {"backendNodeId": node})["outerHTML"][:300]


def test_every_control_has_a_name(page, studio, unnamed):
    # Whole, before it is asked about.
    expect(page.locator(".fold > button.label-wrap:visible")).to_have_count(6)
    assert unnamed() == []
    page.locator("#examples button").first.click()
    expect(page.locator("#status")).to_contain_text("Made earlier")
    open_folds(page)
    shown_to_brush(page, "#brush", "#mask-frame", re.compile("Frame"))
    page.locator("#show-mask").scroll_into_view_if_needed()
    assert unnamed() == []
    put(page.get_by_label("Steps", exact=True), 1)
    page.locator("#edit").click()
    expect(page.locator("#status .failed")).to_contain_text("There is no mask")
    page.get_by_label("Everywhere").check()
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    assert unnamed() == []
    expect(page.locator("#status")).to_contain_text("Done in")
    assert unnamed() == []

    page.get_by_role("tab", name="Paint a mesh").click()
    # Gradio puts the examples up before their pictures.
    expect(page.locator("#mesh-examples button:empty")).to_have_count(0)
    assert unnamed() == []
    page.locator("#mesh-examples button").first.click()
    expect(page.locator("#painting-status")).to_contain_text("Made earlier")
    open_folds(page.locator("#mesh-tab"))
    shown_to_brush(page, "#mesh-brush", "#brush-view", "0° around, 0° above")
    brush(page, "#mesh-brush", [(0.45, 0.35), (0.55, 0.35)])
    page.locator("#show-mesh-mask").click()
    page.locator("#mesh-mask-shown img").wait_for()
    assert unnamed() == []

    page.get_by_role("tab", name="Runs").click()
    page.locator("#past-runs .thumbnail-lg").first.click()
    command = page.get_by_label("The same on the command line")
    expect(command).to_have_value(re.compile("python -m"))
    page.locator("#run-delete").click()
    page.locator("#run-delete-not").wait_for()
    assert unnamed() == []
    page.context.grant_permissions(["clipboard-read"], origin=studio)
    page.locator("#run-copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == command.input_value()
