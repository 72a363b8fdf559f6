"""How soon the studio is there, and how soon after the button an edit begins to show.

    python -m tests.bench.page [--rounds 3] [--json FILE]

Each round starts `python app.py` in a process of its own, opens its page in Chromium, and edits the
clip of an example twice: at once, while the teacher may still be loading in the background, and
again with everything at hand. The medians are the result; 10 s until the page answers and 5 s until
the first preview are what is wanted. Needs a quiet machine; nothing here is asserted.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.teachers.catalog import ASSETS
from tests.conftest import start_studio
from tests.e2e.conftest import CHROMIUM, QUIET, WAIT

CLIP = ASSETS / "examples" / "ball.mp4"
SOURCE = "a red ball rolling left on the grass"
TARGETS = "a blue ball rolling left on the grass", "a green ball rolling left on the grass"
PAUSE = 500
"""Milliseconds before the button is pressed again, as a person would take at least."""


@dataclass(frozen=True)
class Bench:
    """Measure how long a user waits for the page, and for something to see."""

    json: Path | None = None
    """Where to write the numbers."""
    rounds: int = 3
    """Studios started."""


def first_preview(page: Page, target: str) -> float:
    """Seconds from the press of the button to the first picture."""
    page.get_by_label("What it should show").fill(target)
    began = time.perf_counter()
    page.locator("#edit").click()
    page.locator("#preview img").wait_for()
    found = time.perf_counter() - began
    expect(page.locator("#status")).to_contain_text("Done in", timeout=WAIT)
    expect(page.locator("#edit")).to_be_enabled(timeout=WAIT)
    # A press in the instant before gradio's own end of the event is one it does not take.
    page.wait_for_timeout(PAUSE)
    return found


def one_round(browser: Browser) -> dict[str, float]:
    """Seconds, by what was waited for."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with start_studio(Path(folder)) as studio:
            found = {"python app.py until the page answers": time.perf_counter() - began}
            page = browser.new_page()
            page.set_default_timeout(WAIT)
            page.goto(studio.address, wait_until="commit")
            page.locator("#clip input[type=file]").set_input_files(CLIP)
            page.locator("#clip video").wait_for()
            page.get_by_label("What it shows").fill(SOURCE)
            names = ("button to first preview, just started", "the same, a second edit")
            for name, target in zip(names, TARGETS, strict=True):
                found[name] = first_preview(page, target)
            page.close()
    return found


def main() -> None:
    job = tyro.cli(Bench, prog="python -m tests.bench.page", description=__doc__)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        rounds = [one_round(browser) for _ in range(job.rounds)]
        browser.close()
    result = {name: median(each[name] for each in rounds) for name in rounds[0]}
    for name, seconds in result.items():
        print(f"{seconds:6.2f} s  {name}")
    if job.json is not None:
        job.json.write_text(json.dumps({"median": result, "rounds": rounds}, indent=2))


if __name__ == "__main__":
    main()
