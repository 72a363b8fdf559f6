"""Many people and one machine: nobody's run is lost or mixed up, and who leaves makes room."""

import asyncio
import json
import os
import re
import shutil
import time
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
import torch

from pipelines.media import clip_from_frames, read_clip, read_settings, write_clip
from pipelines.teachers.catalog import ASSETS
from tests.conftest import ROOT
from tests.ui.visitors import answers, happens, last, upload, visitor

MANY = 30
PAINTER = 7
"""The number of the visitor who paints a mesh, while the others edit clips."""
MESH = ASSETS / "examples" / "mushroom.obj"
PAINTED = dict(object="mushroom", edit="cap", style="red", seed=PAINTER, steps=1, resolution=64)
RATE = 6
WAIT = 300
"""Seconds after which what should have happened has not. Generous: the machine may be busy."""


def colour(number):
    """A colour that differs from those of all others below 36 by 70 in some channel."""
    return torch.tensor(
        [40 + 80 * (number % 3), 40 + 70 * (number // 3 % 4), 60 + 80 * (number // 12)]
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A short clip of one colour for each number."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(MANY):
        frames = colour(number).to(torch.uint8).expand(2, 32, 32, 3).contiguous()
        write_clip(folder / f"{number}.mp4", frames, clip_from_frames(frames, RATE))
    return folder


def asked(number):
    """A request of its own for each number: what changes, from which seed, and hardly."""
    source, target = "a red ball on the grass", "a blue ball on the grass"
    if number % 2:
        source, target = target, source
    return dict(source=source, target=target, seed=number, steps=1, strength=0.01)


async def one_run(studio, clips, number):
    """What a visitor is told, the last report, and the file that comes of it."""
    async with visitor(studio) as http:
        if number == PAINTER:
            mesh = await upload(http, MESH)
            said = await last(http, "paint_mesh", mesh=mesh, **PAINTED)
        else:
            clip = await upload(http, clips / f"{number}.mp4")
            said = await last(http, "edit_video", clip=clip, **asked(number))
        file, report = said[-1][0], said[-1][-1]
        result = await http.get(file["url"])
        result.raise_for_status()
        return [outputs[-1]["status"] for outputs in said], report, result.content


def check_edit(number, report, path):
    """The report and the file are those of this number's request."""
    for settings in (report["settings"], read_settings(path)):
        assert {name: settings[name] for name in asked(number)} == asked(number)
        assert settings["clip"] == f"{number}.mp4"
    mean = read_clip(path).frames.float().mean(dim=(0, 1, 2))
    assert (mean - colour(number)).abs().max() < 30


async def all_runs(studio, clips, numbers):
    return await asyncio.gather(*(one_run(studio, clips, number) for number in numbers))


def memory_mb(process):
    """What the process holds in RAM now."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("reads /proc, which this system does not have")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status.read_text()).group(1)) / 1024


def test_thirty_at_once_each_get_their_own_result(running_studio, clips, tmp_path):
    studio = running_studio.address
    before = set(running_studio.runs.iterdir())
    runs = happens(all_runs(studio, clips, range(MANY)))

    assert len(set(running_studio.runs.iterdir()) - before) == MANY
    places = []
    for number, (statuses, report, content) in enumerate(runs):
        assert statuses[-1] == "Done"
        if number == PAINTER:
            assert {name: report["settings"][name] for name in PAINTED} == PAINTED
            assert content[:4] == b"glTF"
        else:
            (tmp_path / "result.mp4").write_bytes(content)
            check_edit(number, report, tmp_path / "result.mp4")
        ahead = [int(found) for s in statuses for found in re.findall(r"(\d+) ahead", s)]
        assert ahead == sorted(ahead, reverse=True)
        places += ahead[:1]
    # All but who came first were told their place, and somebody stood far back.
    assert len(places) >= MANY - 2 and max(places) > MANY // 2


def test_memory_returns_to_where_it_was(running_studio, clips):
    """By less than what a single run needs while it runs, after half of the visitors again.

    The first round loads all that is loaded once.
    """
    studio, process = running_studio.address, running_studio.process
    happens(all_runs(studio, clips, range(PAINTER + 1)))
    before = memory_mb(process)
    happens(all_runs(studio, clips, range(MANY // 2)))
    assert memory_mb(process) - before < 100


async def until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


def test_who_leaves_makes_room_and_stops_the_work(running_studio, clips):
    """The first runs and leaves, the second waits and leaves, the third gets a result."""
    studio = running_studio.address

    async def begun(http, number, steps):
        clip = await upload(http, clips / f"{number}.mp4")
        return answers(http, "edit_video", clip=clip, **{**asked(number), "steps": steps})

    async def says(said, words):
        async for _, report in said:
            if words in report["status"]:
                return report["status"]

    async def scene():
        async with visitor(studio) as one, visitor(studio) as two, visitor(studio) as three:
            first = await begun(one, 1, 5000)
            await says(first, "Step 2 of 5000")
            (folder,) = set(running_studio.runs.iterdir()) - before
            second, third = await begun(two, 2, 5000), await begun(three, 3, 1)
            await says(second, "1 ahead of you")
            async with aclosing(third):
                await says(third, "2 ahead of you")
                left = time.monotonic()
                await second.aclose()
                await says(third, "1 ahead of you")
                moved_up = time.monotonic() - left
                await first.aclose()
                assert await says(third, "Done")
            return folder, moved_up

    before = set(running_studio.runs.iterdir())
    folder, moved_up = happens(scene())
    assert moved_up < 30
    assert json.loads((folder / "metrics.json").read_text())["steps"] < 200
    # The one who never had a turn left nothing behind.
    assert len(set(running_studio.runs.iterdir()) - before) == 2


def test_one_visitors_error_is_theirs_alone(running_studio, clips):
    studio = running_studio.address

    async def wrong():
        async with visitor(studio) as http:
            clip = await upload(http, clips / "0.mp4")
            await last(http, "edit_video", clip=clip, **{**asked(0), "target": "a zebra"})

    async def scene():
        return await asyncio.gather(
            wrong(), one_run(studio, clips, 1), wrong(), return_exceptions=True
        )

    first, whole, second = happens(scene())
    assert isinstance(first, RuntimeError) and "zebra" in str(first)
    assert isinstance(second, RuntimeError)
    assert whole[1]["settings"]["seed"] == 1


def test_a_result_is_downloaded_and_no_file_of_a_run_is_fetched_by_its_path(running_studio, clips):
    before = set(running_studio.runs.iterdir())
    _, _, content = happens(one_run(running_studio.address, clips, 0))
    (run,) = set(running_studio.runs.iterdir()) - before
    result = run / "result.mp4"
    assert content == result.read_bytes()
    # As the command line names runs.
    clip = running_studio.runs / "cow" / "inputs" / "clip" / "clip.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(content)
    for path in (clip, result, f"{run}/../cow/inputs/clip/clip.mp4", os.path.relpath(clip, ROOT)):
        for address in ("file=", "file/"):
            answer = httpx.get(f"{running_studio.address}gradio_api/{address}{path}")
            # A client may take `..` out of an address itself: that is another file then, and none.
            assert answer.status_code in (403, 404), (address, path)
            assert answer.status_code == 403 or ".." in str(path), (address, path)
    shutil.rmtree(running_studio.runs / "cow")


def test_runs_cannot_be_listed_or_reached_around(running_studio):
    folder = running_studio.runs / "20260103-000000-0123456789ab"
    folder.mkdir()
    for path in (
        running_studio.runs,
        folder,
        f"{folder}/",
        f"{folder}/../../../../../../etc/passwd",
        "/etc/passwd",
        running_studio.log,
    ):
        answer = httpx.get(f"{running_studio.address}gradio_api/file={path}")
        assert answer.status_code in (403, 404), path
        assert b"root:" not in answer.content
    # Thirty visitors in one second, and still each run has a folder of its own.
    assert all(
        re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{12}", f.name) for f in running_studio.runs.iterdir()
    )
