"""How fast a view is rasterised, beside embree on the same rays.

    python -m tests.bench.rasterise [--json FILE]

Ours and embree alternate in one process, so that a noisy machine slows both; medians per view are
reported. Embree's tree is built beforehand and not counted, nor are its rays. Needs a quiet
machine; nothing here is asserted.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from pipelines.render import rasterise, sphere_views
from tests.bench.turns import alternate
from tests.pipelines.render_surfaces import bumpy_torus, cast, embree, rays

GRIDS = ((70, 36), (140, 72), (280, 144))
"""Around and across: 5,040, 20,160 and 80,640 faces."""
VIEWS = 4


@dataclass(frozen=True)
class Bench:
    """Measure the z-buffer on this machine."""

    json: Path | None = None
    """Where to write the numbers."""
    size: int = 512
    """Pixels along each side of a view."""
    rounds: int = 7
    """How often each is timed."""


def compare(around: int, across: int, size: int, rounds: int) -> dict[str, float]:
    """Median milliseconds per view of both, after one round of warming up."""
    surface = bumpy_torus(around, across)
    cameras = sphere_views(VIEWS, torch.Generator().manual_seed(0))
    scene, (origins, directions) = embree(surface), rays(cameras, size)
    calls = {
        "ours": lambda: rasterise(surface, cameras, size),
        "embree": lambda: cast(scene, origins, directions),
    }
    taken = alternate(calls, rounds)
    return {name: round(1000 * seconds / VIEWS, 2) for name, seconds in taken.items()}


def main() -> None:
    job = tyro.cli(Bench, prog="python -m tests.bench.rasterise", description=__doc__)
    found = {"size": job.size, "threads": torch.get_num_threads(), "milliseconds per view": {}}
    for around, across in GRIDS:
        result = compare(around, across, job.size, job.rounds)
        found["milliseconds per view"][2 * around * across] = result
        print(f"{2 * around * across:6} faces: {result}", flush=True)
    if job.json is not None:
        job.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
