"""What the live preview costs a run: the same run with previews and without, in turns.

    python -m tests.bench.preview [--json FILE]

With: previews are made when a run makes them, and brought to the form that the page shows. Without:
none are. The ratio of the median seconds of all steps is the result; below 1.05 is what is wanted.
Needs a quiet machine; nothing here is asserted.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
import tyro

from pipelines import allocator
from pipelines.events import Done, Event, Preview
from pipelines.mesh import Paint, PaintMesh, paint_mesh
from pipelines.teachers.catalog import ASSETS
from pipelines.teachers.loading import load_video_teacher
from pipelines.video import Edit, EditVideo, edit_video
from sds.references import References
from ui.preview import previewed

EXAMPLES = ASSETS / "examples"
SOURCE, TARGET = "a red ball rolling left on the grass", "a blue ball rolling left on the grass"
NOTHING = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)


@dataclass(frozen=True)
class Bench:
    """Measure what previews cost on this machine."""

    json: Path | None = None
    """Where to write the numbers."""
    rounds: int = 3
    """Runs timed of each kind."""
    steps: int | None = None
    """Steps of each run, instead of the usual number."""


def edit(out: Path, steps: int | None) -> Iterator[Event]:
    # What the reference branch answered before would make this run faster than a first one.
    load_video_teacher("miniature").last = ("", References())
    clip = EXAMPLES / "ball.mp4"
    return edit_video(EditVideo(clip, SOURCE, TARGET, out, teacher="miniature", steps=steps))


def paint(out: Path, steps: int | None) -> Iterator[Event]:
    # The texture is made after the steps, which are all that is timed.
    how = {"teacher": "miniature", "steps": steps, "resolution": 256}
    said = ("mushroom", "red dotted", out, "cap")
    return paint_mesh(PaintMesh(EXAMPLES / "mushroom.obj", *said, **how))


@contextmanager
def without_previews() -> Iterator[None]:
    """What is shown costs nothing."""

    def nothing(self: object, index: int) -> Preview:
        return Preview(index, NOTHING)

    with patch.object(Edit, "preview", nothing), patch.object(Paint, "preview", nothing):
        yield


def seconds(run: Callable[[Path, int | None], Iterator[Event]], steps: int | None) -> float:
    """Seconds that all steps of a run take, what is shown between them included."""
    with TemporaryDirectory() as folder:
        for event in run(Path(folder) / "run", steps):
            if isinstance(event, Preview) and event.frames is not NOTHING:
                previewed(event, columns=2)
            elif isinstance(event, Done):
                return event.metrics["seconds"]
    raise RuntimeError("the run ended without a result")


def compare(
    run: Callable[[Path, int | None], Iterator[Event]], rounds: int, steps: int | None
) -> dict[str, float]:
    """Median seconds of both kinds and their ratio, after a short run of warming up."""
    seconds(run, 5)
    taken: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(rounds):
        taken["with"].append(seconds(run, steps))
        with without_previews():
            taken["without"].append(seconds(run, steps))
    found = {name: median(values) for name, values in taken.items()}
    return found | {"ratio": round(found["with"] / found["without"], 3)}


def main() -> None:
    job = tyro.cli(Bench, prog="python -m tests.bench.preview", description=__doc__)
    allocator.configure()
    found = {"threads": torch.get_num_threads(), "seconds": {}}
    for name, run in (("video", edit), ("mesh", paint)):
        found["seconds"][name] = compare(run, job.rounds, job.steps)
        print(f"{name}: {found['seconds'][name]}", flush=True)
    if job.json is not None:
        job.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
