"""The README's pictures of the studio, taken from a studio that shows its examples.

    python -m tests.e2e.screenshots

Nothing is computed but what a page shows at once: results are those that come with the examples,
and past runs are made of them. Takes a minute, and needs chromium.
"""

import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import tyro
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from pipelines import geometry, media
from pipelines.media.stills import write_thumbnail
from pipelines.runs import run_folder
from pipelines.teachers.catalog import ASSETS
from tests.conftest import ROOT, start_studio
from tests.e2e.acts import brush, open_fold, put, shown_to_brush
from tests.e2e.conftest import CHROMIUM, QUIET, WAIT

EXAMPLES, PICTURES = ASSETS / "examples", ASSETS / "readme"
HEIGHT = 860
QUALITY = 82


@dataclass(frozen=True)
class Screenshots:
    """Take the README's pictures of the studio."""

    out: Path = PICTURES
    """Folder they are written to."""
    width: int = 1280
    """Of the window, in pixels."""
    scheme: Literal["light", "dark"] = "light"
    """Which colours the visitor prefers."""


def video(page: Page) -> None:
    """A clip before and after its edit."""
    page.locator("#examples button").first.click()
    expect(page.locator("#status")).to_contain_text("Made earlier")
    _hold_still(page, "#result")


def mesh(page: Page) -> None:
    """A painted mesh, and the same turning, before and after."""
    _tab(page, "Paint a mesh")
    page.locator("#mesh-examples button").first.click()
    expect(page.locator("#painting-status")).to_contain_text("Made earlier")
    _hold_still(page, "#turned")
    _at_rest(page, "#painted canvas")


def mask(page: Page) -> None:
    """A mask that is brushed on a view of a mesh, and seen from four sides."""
    mesh(page)
    open_fold(page.locator("#mesh-tab"), "Mask: ")
    put(page.get_by_label("number input for Around"), 30)
    put(page.get_by_label("number input for Above"), 20)
    shown_to_brush(page, "#mesh-brush", "#brush-view", "30° around, 20° above")
    arc = [(0.32, 0.38), (0.4, 0.33), (0.5, 0.31), (0.6, 0.33), (0.68, 0.38)]
    brush(page, "#mesh-brush", arc)
    page.locator("#show-mesh-mask").click()
    page.locator("#mesh-mask-shown img").wait_for()
    page.locator("#mesh-brush").evaluate("e => e.scrollIntoView({block: 'start'})")


def runs(page: Page) -> None:
    """What was made before, and what can be done with it."""
    _tab(page, "Runs")
    page.locator("#past-runs .thumbnail-lg").first.click()
    page.locator("#run-command").wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#past-runs img')].every(i => i.complete)"
    )


SHOTS: dict[str, Callable[[Page], None]] = {
    "video": video,
    "mesh": mesh,
    "mask": mask,
    "runs": runs,
}


def _tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def _hold_still(page: Page, viewer: str) -> None:
    """The moving pictures at a moment of their own, so that two takes are alike."""
    page.locator(f"{viewer} .viewer-stage").wait_for()
    page.wait_for_function(f"() => document.querySelector('{viewer} video').readyState > 1")
    page.locator(f"{viewer} video").evaluate(
        """video => new Promise((done) => {
            video.pause();
            video.addEventListener("seeked", done, { once: true });
            video.currentTime = 0.55;
        })"""
    )


def _at_rest(page: Page, canvas: str) -> None:
    """Wait until a 3D view shows something and stays as it is."""
    before, late = b"", time.monotonic() + WAIT / 1000
    while time.monotonic() < late:
        seen = page.locator(canvas).screenshot()
        picture = Image.open(io.BytesIO(seen)).convert("RGB")
        w, h = picture.size
        # Labels lie over its corners.
        middle = picture.crop((w // 4, h // 4, 3 * w // 4, 3 * h // 4)).getcolors(2**24)
        if seen == before and len(middle) > 16:
            return
        before = seen
        page.wait_for_timeout(300)
    raise TimeoutError(f"{canvas} stays blank, or never comes to rest")


def past_runs(folder: Path) -> None:
    """Make runs of the examples and their results, as if they had been done yesterday."""
    videos = json.loads((EXAMPLES / "examples.json").read_text())
    meshes = json.loads((EXAMPLES / "meshes.json").read_text())
    made = [*(_edited(one) for one in videos), *(_painted(one) for one in meshes)]
    for index, (name, said, given, frames) in enumerate(made):
        run = folder / f"2026010{index + 1}-120000-example"
        run.mkdir()
        run_folder.begin(run, said, given)
        shutil.copytree(EXAMPLES / name, run, dirs_exist_ok=True)
        write_thumbnail(run / run_folder.PREVIEW, frames)
        began = time.time() - 24 * 3600 - 300 * index
        run_folder.write_status(run, run_folder.Status("done", began, said["steps"]))


def _edited(one: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Path], Any]:
    result = EXAMPLES / one["result"] / "result.mp4"
    given = {f"clip/{one['clip']}": EXAMPLES / one["clip"]}
    frames = media.read_clip(result).frames[[0, 5, 10, 15]]
    return one["result"], media.read_settings(result), given, frames


def _painted(one: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Path], Any]:
    folder = EXAMPLES / one["result"]
    turning = media.read_clip(folder / "turntable.mp4").frames
    frames = turning[:: max(len(turning) // 4, 1)][:4]
    given = {f"mesh/{one['mesh']}": EXAMPLES / one["mesh"]}
    return one["result"], geometry.read_settings(folder / "painted.glb"), given, frames


@contextmanager
def opened(address: str, width: int, scheme: str) -> Iterator[Callable[[], Page]]:
    """What opens the studio's page in a fresh tab of a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)

        def fresh() -> Page:
            size = {"width": width, "height": HEIGHT}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.set_default_timeout(WAIT)
            page.goto(address, wait_until="commit")
            page.get_by_label("What it shows").wait_for()
            return page

        yield fresh
        browser.close()


def main() -> None:
    asked = tyro.cli(Screenshots, prog="python -m tests.e2e.screenshots", description=__doc__)
    if CHROMIUM is None:
        raise SystemExit("error: There is no chromium on this machine: install it.")
    asked.out.mkdir(parents=True, exist_ok=True)
    # Right here, so that the command of a run names no other place.
    scratch = TemporaryDirectory(dir=ROOT, prefix="studio-")
    with scratch as folder, start_studio(Path(folder)) as studio:
        past_runs(studio.runs)
        with opened(studio.address, asked.width, asked.scheme) as fresh:
            for name, act in SHOTS.items():
                page = fresh()
                act(page)
                taken = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
                taken.convert("RGB").save(asked.out / f"{name}.webp", quality=QUALITY, method=6)
                print(asked.out / f"{name}.webp", flush=True)
                page.close()


if __name__ == "__main__":
    main()
