"""How fast a step of the mesh job is, beside a literal transcription of 3D Paintbrush's.

    python -m tests.bench.mesh [--json FILE]

All loops ask the same built-in cascade about the same mesh, in turns, in one process; the ratio of
their medians is the result. The literal step (section 4 of 2311.09571 and its released code): every
texel through three Fourier networks, textures looked up at every pixel of 1024 x 1024 renders, each
composite's teacher calls on their own, fp32. Its texels go through the networks in checkpointed
pieces, because at once they do not fit into 24 GB; the texture's side is a setting for that reason.
Needs a quiet machine; nothing here is asserted.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from miniature.meshes import sample_mesh, surface
from pipelines import allocator
from pipelines.paint.composites import Query, Words, colours, prompts, unlike_prompt
from pipelines.paint.look import look
from pipelines.paint.painted import CHUNK, few
from pipelines.paint.run import paint
from pipelines.paint.task import Fields, Task, sample_atlases
from pipelines.render import sphere_views
from pipelines.render.bake import texels
from pipelines.teachers.catalog import mesh_teacher
from pipelines.teachers.machine import compute_dtype
from pipelines.teachers.painting import PAPER, Painting
from sds import csd
from sds.optimize import step_generator
from sds.priors import deepfloyd
from tests.bench.turns import alternate

WORDS = Words("robot", "head", "red dotted", unlike="red")
RENDER = 1024
CAPACITY = 10**6


@dataclass(frozen=True)
class Bench:
    """Measure the mesh job on this machine."""

    json: Path | None = None
    """Where to write the numbers."""
    rounds: int = 5
    """Steps timed of each loop."""
    texture: int = 512
    """Side of the literal loop's texture; the released code has 1024."""


def task(dtype: torch.dtype) -> Task:
    chosen = mesh_teacher("miniature")
    small, large = deepfloyd.load_stage_1(chosen.stage_1), deepfloyd.load_stage_2(chosen.stage_2)
    cascade = csd.Cascade(
        deepfloyd.stage_1_prior(small, dtype=dtype),
        deepfloyd.stage_2_prior(large, dtype=dtype),
        small.unet.config.sample_size,
        large.unet.config.sample_size,
    )
    text = deepfloyd.load_text(chosen.stage_1)
    texts = [*prompts(WORDS, background=True), "", unlike_prompt(WORDS)]
    *_, empty, unlike = embedded = deepfloyd.embed(text, texts)
    mesh = surface(sample_mesh("tune", 1, "robot"))
    return Task(
        mesh, cascade, csd.Prompts(embedded[:-2], empty[None], unlike=unlike[None]), mask=None
    )


def literal(
    what: Task, side: int, render: int = RENDER, views: int = PAPER.views
) -> Callable[[], None]:
    """One step as released: all texels, full-size renders, a teacher call for each composite."""
    device = what.surface.vertices.device
    fields = Fields(PAPER, 1, False, torch.Generator().manual_seed(0)).to(device)
    optimizer = torch.optim.Adam(fields.parameters(), lr=PAPER.rate)
    method = csd.Method(lambda_2=(0.8, 0.8), stage_1=csd.PAPER.stage_1, stage_2=csd.PAPER.stage_2)
    # Once for all steps, as in the released code.
    points, index = texels(what.surface, 0, (side, side))

    def ask(start: int) -> Tensor:
        query = fields(few(points, slice(start, start + CHUNK)))
        return torch.cat([query.region, query.style, query.background], dim=1)

    def step() -> None:
        pieces = range(0, len(index), CHUNK)
        # A computer's memory does not hold what all texels leave for the way back; a card's did.
        held = ask if device.type == "cuda" else partial(checkpoint, ask, use_reentrant=False)
        values = torch.cat([held(k) for k in pieces])
        texture = values.new_zeros(side * side, 7).index_copy(0, index, values)
        texture = texture.view(side, side, 7).permute(2, 0, 1)
        generator = step_generator(0, 0)
        background = torch.rand(views, 3, device=device)
        view = look(what.surface, sphere_views(views, generator), render, background)
        seen = sample_atlases([texture], view.points)
        total = seen.new_zeros(())
        for k, colour in enumerate(colours(Query(seen[:, :1], seen[:, 1:4], seen[:, 4:]))):
            asked = _row(what.prompts, k, views)
            picture = view.picture(colour)
            judged = csd.distill_cascade(what.cascade, method, asked, picture, 0, 1, generator)
            total = total + judged.loss
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def _row(said: csd.Prompts, k: int, views: int) -> csd.Prompts:
    """Prompt k for each view, as either stage reads it."""
    large = None if said.large is None else _row(said.large, k, views)
    return replace(said, rows=said.rows[k : k + 1].expand(views, -1, -1), large=large)


def ours(what: Task, how: Painting) -> Callable[[], None]:
    """A step of the product with both stages."""
    fields = Fields(how, 1, False, torch.Generator().manual_seed(0))
    fields = fields.to(what.surface.vertices.device)
    steps = paint(what, replace(how, detail_from=0.0), fields, CAPACITY, 0)
    return lambda: next(steps) and None


def stage_1_alone(what: Task, how: Painting) -> Callable[[], None]:
    """A step of the product before stage II enters."""
    fields = Fields(how, 1, False, torch.Generator().manual_seed(0))
    fields = fields.to(what.surface.vertices.device)
    steps = paint(what, replace(how, detail=0.0), fields, CAPACITY, 0)
    return lambda: next(steps) and None


def main() -> None:
    bench = tyro.cli(Bench, prog="python -m tests.bench.mesh", description=__doc__)
    allocator.configure()
    exact, fast = task(torch.float32), task(compute_dtype(torch.device("cpu")))
    loops = {
        f"literal step, {bench.texture} texels a side, fp32": literal(exact, bench.texture),
        "ours at the paper's settings": ours(fast, PAPER),
        "ours by default, both stages": ours(fast, Painting()),
        "ours by default, stage I alone": stage_1_alone(fast, Painting()),
    }
    found = alternate(loops, bench.rounds)
    slowest = next(iter(found.values()))
    for name, seconds in found.items():
        print(f"{name}: {seconds:.3f} s, {slowest / seconds:.2f} times faster")
    if bench.json is not None:
        bench.json.write_text(json.dumps({"seconds_per_step": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
