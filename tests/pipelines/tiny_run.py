"""A job of no teachers and few numbers, run through `record` like any other; also as a process.

python -m tests.pipelines.tiny_run FOLDER begin|resume [seconds of a step]
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from pipelines.events import Note, Preview
from pipelines.media.files import replacing
from pipelines.runs import checkpoint, record, run_folder
from pipelines.runs.record import Order
from sds.optimize import optimize, step_generator

STEPS = 12
RESULT = "numbers.pt"


@dataclass
class Tiny:
    """Pulls numbers to 1, with noise, by Adam."""

    folder: Path
    steps: int
    seconds: float = 0.0
    fails_at: int | None = None
    nan_at: int | None = None
    size: int = 8
    calmer = "lower --calm"

    def __post_init__(self):
        self.x = torch.zeros(self.size, 16, 16)

    def optimise(self, since):
        optimizer = torch.optim.Adam([self.x], lr=0.1)

        def gradient(index):
            if index == self.fails_at:
                raise ZeroDivisionError("on purpose")
            time.sleep(self.seconds)
            noise = torch.randn(self.x.shape, generator=step_generator(7, index))
            self.x.grad = self.x - 1 + noise
            if index == self.nan_at:
                self.x.grad.fill_(torch.nan)
            return torch.stack([self.x.abs().mean(), self.x.grad.square().mean()])

        yield from optimize(gradient, [self.x], optimizer, self.steps, since)

    def preview(self, index):
        frames = (self.x[:2, ..., None].clamp(0, 1) * 255).expand(-1, -1, -1, 3).byte()
        return Preview(index, frames)

    def write(self, settings):
        with replacing(self.folder / RESULT) as part:
            torch.save(self.x, part)
        return self.folder / RESULT, [], {"mean": float(self.x.mean())}


def run(folder, resumes=False, steps=STEPS, inputs=None, **how):
    """The events of a tiny run."""
    settings = {"job": "tiny", "steps": steps, "versions": run_folder.versions()}

    def prepare():
        yield Note("tiny")
        return Tiny(folder, steps, **how)

    yield from record.run(Order(folder, settings, inputs or {}, (RESULT,), resumes), prepare)


def main():
    checkpoint.EVERY, checkpoint.SHARE = 0.0, 1e9
    folder, how = Path(sys.argv[1]), sys.argv[2]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    for _ in run(folder, resumes=how == "resume", seconds=seconds):
        print("event", flush=True)


if __name__ == "__main__":
    main()
