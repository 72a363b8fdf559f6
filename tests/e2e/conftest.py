"""The studio in a process of its own, and a browser looking at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
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
START_LIMIT = 120
"""Seconds the studio may take to answer; on a free machine it needs less than ten."""
WAIT = 120_000
"""Milliseconds a page may take to show something. Generous: the machine may be busy."""


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def studio(runs_folder):
    """The address of a running studio."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"SCOREBRUSH_RUNS": str(runs_folder), "GRADIO_SERVER_PORT": str(port)}
    log = (runs_folder.parent / "studio.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        until = time.monotonic() + START_LIMIT
        while not _answers(address):
            log.seek(0)
            assert process.poll() is None and time.monotonic() < until, log.read()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False


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
    # Not "load": that waits for files from other hosts, which the studio does without.
    page.goto(studio, wait_until="commit", timeout=WAIT)
    page.get_by_label("What it shows").wait_for()
    yield page
    page.close()
    assert errors == []
