"""How the page looks: on a narrow window, by day and by night."""

import pytest
from playwright.sync_api import expect

from tests.e2e.acts import open_folds

TABS = {
    "Video": "#edit, #stop, #result, #clip",
    "Paint a mesh": "#paint, #stop-painting, #mesh, #painted",
    "Runs": "#past-runs, #restore",
}
"""The tabs, and what is large on each."""
CONTRAST = 4.5
"""Of text and what is behind it (WCAG 2.1, 1.4.3)."""
ALL = 22
"""More than any contrast is."""
FAINT = """least => {
    const rgba = text => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return [r, g, b, a];
    };
    const light = colour => {
        const [r, g, b] = colour.map(v => v / 255).map(
            v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const over = (above, below) => [0, 1, 2].map(
        k => above[3] * above[k] + (1 - above[3]) * below[k]);
    const behind = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) {
            const colour = rgba(getComputedStyle(e).backgroundColor);
            layers.push(colour);
            if (colour[3] === 1) break;
        }
        return layers.reverse().reduce((below, above) => over(above, below), [255, 255, 255]);
    };
    const says = element => [...element.childNodes].some(
        node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    return [...document.querySelectorAll('body *')].filter(
        e => says(e) && e.checkVisibility({opacityProperty: true, visibilityProperty: true})
            && e.getBoundingClientRect().width > 2 && !e.closest('[disabled], style, script')
    ).map(e => {
        const [back, style] = [behind(e), getComputedStyle(e)];
        const [a, b] = [light(over(rgba(style.color), back)), light(back)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return [contrast, e.textContent.trim(), style.color];
    }).filter(([contrast]) => contrast < least);
}"""
"""Every text that stands out less than `least` from what is behind it."""


CUT = """() => [
    ...document.querySelectorAll('button, input, textarea, canvas, video, label, p')
].filter(
    e => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 1
).filter(e => {
    const {left, right} = e.getBoundingClientRect();
    return left < -1 || right > innerWidth + 1;
}).map(e => e.outerHTML.slice(0, 200))"""
"""What one can press, read or write in, and that sticks out of the window."""


def test_nothing_is_cut_off_on_a_narrow_page(page):
    page.set_viewport_size({"width": 400, "height": 800})
    for name, large in TABS.items():
        page.get_by_role("tab", name=name, exact=True).click()
        page.locator(large).last.wait_for()
        if name != "Runs":
            open_folds(page)
        assert page.evaluate(CUT) == []
        right = page.locator(large).evaluate_all(
            "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
        )
        assert 200 < right <= 400


RINGLESS = """() => [
    ...document.querySelectorAll('input:not([type=file]), textarea, select, summary')
].filter(
    e => e.checkVisibility({visibilityProperty: true}) && !e.disabled
).filter(e => {
    e.focus({focusVisible: true});
    return getComputedStyle(e).outlineStyle !== 'solid';
}).map(e => e.outerHTML.slice(0, 200))"""
"""What one can write in or choose by, and that does not show when the keyboard is there."""


def test_it_shows_where_the_keyboard_is(page):
    open_folds(page)
    assert page.evaluate(RINGLESS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_by_day_and_by_night(page, studio, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(studio, wait_until="commit")
    page.get_by_label("What it shows").wait_for()
    expect(page.locator("body.dark")).to_have_count(int(scheme == "dark"))
    for name, large in TABS.items():
        page.get_by_role("tab", name=name, exact=True).click()
        page.locator(large).last.wait_for()
        if name != "Runs":
            open_folds(page.locator(":visible[role=tabpanel]"))
            expect(page.locator("button:empty:visible")).to_have_count(0)
        assert page.evaluate(FAINT, CONTRAST) == []
        assert len(page.evaluate(FAINT, ALL)) > 5
