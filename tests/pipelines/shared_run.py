"""Small edits and paintings whose right answers do not matter, for one process or several.

RANK=0 WORLD_SIZE=2 ... python -m tests.pipelines.shared_run FOLDER
"""

import sys
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from pipelines import command
from pipelines.events import Note, Preview
from pipelines.paint.run import paint
from pipelines.runs import record, run_folder
from pipelines.runs.record import Order
from sds import parallel
from sds.assd import Method, Prompts, Teachers
from sds.descent import descend
from sds.references import References
from sds.schedules import ddpm
from tests.assd_steps import assd_gradient
from tests.pipelines.test_painting import FAST, fields, task

STEPS = 4
PARTS = Method(fusion=1.0, mask_k=0.5)
RESULT = "numbers.pt"


@dataclass(frozen=True)
class Mixes:
    """Believes in the mean of the frames it sees, or in each, shifted by the prompt."""

    each: bool
    schedule = ddpm(torch.linspace(0.9999, 0.005, 1000))
    network: nn.Module = field(default_factory=nn.Identity)

    def eps(self, x_t, t, cond):
        seen = x_t if self.each else x_t.mean(2, keepdim=True)
        wanted = torch.tanh(seen) + cond.view(-1, 1, 1, 1, 1)
        return 0.5 * x_t - 0.3 * wanted


@dataclass
class Numbers:
    """Work for `record.run` whose result is a tensor."""

    folder: Path
    steps: int
    stops_itself: bool = False

    def __post_init__(self):
        self.begin()

    def preview(self, index):
        if self.stops_itself:
            run_folder.ask_to_stop(self.folder)
        return Preview(index, torch.zeros(1, 8, 8, 3, dtype=torch.uint8))

    def write(self, settings):
        torch.save(self.numbers(), self.folder / RESULT)
        return self.folder / RESULT, [], {}


class Video(Numbers):
    """Three windows, and an image teacher for nine frames."""

    window = 4
    references = None

    def begin(self):
        self.x_src = torch.randn(1, 2, 9, 4, 4, generator=torch.Generator().manual_seed(1))
        self.x = self.x_src.clone()

    def optimise(self, since):
        prompts = Prompts(*torch.tensor([0.1, 0.9, 0.0]).view(3, 1, 1, 1))
        teachers, method = Teachers(Mixes(False), Mixes(True), self.window), PARTS

        def gradient(x, t, generator):
            asked = (teachers, prompts, method, x, self.x_src, t, generator)
            return assd_gradient(*asked, references=self.references)

        yield from descend(gradient, self.x, self.x_src, self.steps, 5, since=since)

    def numbers(self):
        return self.x


class OneWindow(Video):
    """All frames at once: rows to share, but no windows. What was answered is kept."""

    window = 16

    def begin(self):
        super().begin()
        self.references = References()


class Mesh(Numbers):
    """Three views, which two processes cannot halve; both stages, the second one in crops."""

    views = 3

    def begin(self):
        self.painted = fields()

    def optimise(self, since):
        what = task([[0.8, 0.2, 0.1], [0.3, 0.7, 0.2], [0.1, 0.4, 0.9]], large=32)
        how = replace(FAST, views=self.views, detail_from=0.25)
        yield from paint(what, how, self.painted, self.steps, 3, since)

    def numbers(self):
        return torch.cat([p.detach().flatten() for p in self.painted.parameters()])


class OneView(Mesh):
    """One of two processes has nothing to look at."""

    views = 1


def run(kind, folder, steps=STEPS, resumes=False, **how):
    """The events of a run."""
    settings = {"job": "numbers", "steps": steps, "versions": run_folder.versions()}

    def prepare():
        yield Note("ready")
        return kind(folder, steps, **how)

    yield from record.run(Order(folder, settings, {}, (), resumes), prepare)


def main():
    folder = Path(sys.argv[1])
    jobs = chain(
        run(Video, folder / "video"),
        run(OneWindow, folder / "one_window"),
        run(Mesh, folder / "mesh"),
        run(OneView, folder / "one_view"),
        run(Video, folder / "stopped", steps=10**6, stops_itself=True),
        run(Mesh, folder / "resumed", stops_itself=True),
        run(Mesh, folder / "resumed", resumes=True),
    )
    code = command.run(jobs, folder)
    assert parallel.count() == 1
    parallel.leave(code)


if __name__ == "__main__":
    main()
