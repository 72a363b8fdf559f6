"""A browser that looks at the studio."""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    # WebGL without a graphics card, for the view of a mesh.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 120_000
"""Milliseconds a page may take to show something. Generous: the machine may be busy."""
LAST_FRAME = "reading 'postProcessManager'"
"""In what Babylon says where it draws one more frame of a 3D view that gradio has put away."""
TEMPLATE = "Error evaluating template"
"""How gradio begins what it says of a `gr.HTML` that it cannot draw."""
expect.set_options(timeout=WAIT)


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install it to test the page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, studio):
    """The studio's page, opened afresh. Fails the test on an error in the page's own script."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if TEMPLATE in said.text else None)
    # Not "load": that waits for files from other hosts, which the studio does without.
    page.goto(studio, wait_until="commit", timeout=WAIT)
    page.get_by_label("What it shows").wait_for()
    yield page
    page.close()
    assert [error for error in errors if LAST_FRAME not in error] == []
