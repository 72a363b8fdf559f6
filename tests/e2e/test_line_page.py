"""Waiting for one's turn, as a visitor with a browser sees it."""

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from pipelines.teachers.catalog import ASSETS
from tests.e2e.conftest import WAIT

CLIP = ASSETS / "examples" / "ball.mp4"
WORDS = dict(source="a red ball on the grass", target="a blue ball on the grass")


@pytest.fixture
def somebody_else(studio):
    """A run that has its turn."""
    client = Client(studio, verbose=False, httpx_kwargs={"timeout": WAIT / 1000})
    asked = dict(clip=handle_file(CLIP), steps=5000, **WORDS)
    job = client.submit(**asked, api_name="/edit_video")
    for _, report in job:
        if report["status"].startswith("Step"):
            break
    yield job
    job.cancel()


def test_place_in_line_is_shown_and_can_be_given_up(page, somebody_else, runs_folder):
    before = set(runs_folder.iterdir())
    page.locator("#clip input[type=file]").set_input_files(CLIP)
    page.locator("#clip video").wait_for()
    page.get_by_label("What it shows").fill(WORDS["source"])
    page.get_by_label("What it should show").fill(WORDS["target"])
    page.locator("#edit").click()
    expect(page.locator("#status")).to_contain_text("In line, 1 ahead of you.")
    expect(page.locator("#edit")).to_be_disabled()

    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("Stopped before it began.")
    expect(page.locator("#edit")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
    assert set(runs_folder.iterdir()) == before
