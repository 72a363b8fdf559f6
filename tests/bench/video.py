"""How fast a step of the video job is, beside a literal DDS loop; and whole runs by preset.

    python -m tests.bench.video [--json FILE] [--compile]

Both loops ask the same built-in teacher about the same clip, alternating in one process, so that a
noisy machine slows both; the ratio of their medians is the result. The literal loop is DDS
(2304.07090) as its equation reads: fp32, one call per branch and guidance half, a loss and its
backward. The authors' notebook asks all four in one batched call, which is a row of its own.
--compile measures instead what compiled blocks are worth, in turns with plain ones, and what their
first step takes. Needs a quiet machine; nothing here is asserted.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import tyro
from torch import Tensor

from pipelines import allocator
from pipelines.teachers.catalog import MINIATURE, video_teacher
from pipelines.teachers.machine import compute_dtype
from sds.assd import DDS, Method, Prompts, Teachers, assd_score, finished
from sds.descent import RATE
from sds.optimize import optimize, step_generator
from sds.priors import compiled
from sds.priors import stable_diffusion as sd
from sds.references import References
from sds.schedules import add_noise
from tests.bench.turns import alternate

SOURCE, TARGET = "a red ball rolling left on the grass", "a blue ball rolling left on the grass"
T = 500
NOTEBOOK = replace(DDS, guidance_source=7.5, guidance_target=7.5)
"""What the literal loops ask: twice as much as the product's own settings, which do not guide."""
SHIPPED = video_teacher(MINIATURE).recipe.method


@dataclass(frozen=True)
class Bench:
    """Measure the video job on this machine."""

    json: Path | None = None
    """Where to write the numbers."""
    rounds: int = 7
    """Steps timed of each loop."""
    compile: bool = False
    """Compare compiled blocks with plain ones."""


@dataclass(frozen=True)
class Model:
    """A teacher in one dtype, and what it is asked."""

    teachers: Teachers
    prompts: Prompts


def load(dtype: torch.dtype) -> Model:
    chosen = video_teacher("miniature")
    image = sd.load(chosen.image)
    video = sd.with_motion(image, chosen.video)
    prompts = Prompts(*sd.embed(sd.load_text(chosen.image), [SOURCE, TARGET, ""]).split(1))
    teachers = Teachers(
        sd.video_prior(video, dtype=dtype), sd.image_prior(image, dtype=dtype), chosen.frames
    )
    return Model(teachers, prompts)


def latents() -> Tensor:
    return torch.randn(1, 8, 16, 32, 32, generator=torch.Generator().manual_seed(0))


def literal_dds(model: Model, x_src: Tensor, batched: bool = False) -> Callable[[], None]:
    """One step of DDS on the video teacher, a call for each of its four predictions.

    batched: all of them in one call, as in the notebook.
    """
    prior, prompts = model.teachers.video, model.prompts
    z = x_src.clone().requires_grad_(True)
    optimizer = torch.optim.SGD([z], lr=0.1)

    def predict(z_t: Tensor, z_src_t: Tensor, t: Tensor) -> Sequence[Tensor]:
        rows = torch.cat([z_t, z_t, z_src_t, z_src_t])
        said = torch.cat([prompts.empty, prompts.target, prompts.empty, prompts.source])
        if batched:
            return prior.eps(rows, t.expand(4), said).chunk(4)
        return [prior.eps(rows[k : k + 1], t, said[k : k + 1]) for k in range(4)]

    def step() -> None:
        t, eps = torch.tensor([T], device=z.device), torch.randn_like(z)
        z_t = add_noise(prior.schedule, z.detach(), eps, t)
        z_src_t = add_noise(prior.schedule, x_src, eps, t)
        e_u, e_t, src_u, src_t = predict(z_t, z_src_t, t)
        grad = e_u + NOTEBOOK.guidance_target * (e_t - e_u)
        grad = grad - (src_u + NOTEBOOK.guidance_source * (src_t - src_u))
        loss = (z * grad.detach()).sum() / (z.shape[-2] * z.shape[-1])
        optimizer.zero_grad()
        (2000 * loss).backward()
        optimizer.step()

    return step


def ours(
    model: Model, x_src: Tensor, method: Method, references: References | None = None
) -> Callable[[], None]:
    """A step of the product; with references, the same one again and again.

    Without the mean along the clip's motion, which a run takes before each of its moves.
    """
    x = x_src.clone()

    def gradient(index: int) -> Tensor:
        noise = step_generator(0, index if references is None else 0)
        asked = (model.teachers, model.prompts, method, x, x_src, T, noise)
        score = assd_score(*asked, references=references)
        x.grad = finished(method, score.said, x, x_src)
        return x.new_zeros(())

    steps = optimize(gradient, [x], torch.optim.SGD([x], lr=RATE / 50), 10**6)
    return lambda: next(steps) and None


def steps(rounds: int) -> dict[str, float]:
    allocator.configure()
    slow = load(torch.float32)
    fast = load(compute_dtype(torch.device("cpu")))
    x_src = latents()
    return alternate(
        {
            "literal DDS, fp32": literal_dds(slow, x_src),
            "the notebook's DDS, batched, fp32": literal_dds(slow, x_src, batched=True),
            "DDS, batched, fp32": ours(slow, x_src, NOTEBOOK),
            "DDS, as shipped": ours(fast, x_src, NOTEBOOK),
            "ASSD, fp32": ours(slow, x_src, SHIPPED),
            "ASSD, as shipped": ours(fast, x_src, SHIPPED),
            "ASSD, as shipped, glibc's own malloc": with_default_malloc(ours(fast, x_src, SHIPPED)),
        },
        rounds,
    )


def compilation(rounds: int) -> dict[str, float]:
    """Seconds of a step as shipped, plain and compiled in turns; and of the first one compiled.

    The compiler's own cache is empty, as it is for a user's first run.
    """
    allocator.configure()
    dtype = compute_dtype(torch.device("cpu"))
    plain, fast = load(dtype), load(dtype)
    compiled.switch([fast.teachers.video.network, fast.teachers.image.network], True)
    x_src = latents()
    step = ours(fast, x_src, SHIPPED)
    with (
        tempfile.TemporaryDirectory() as cache,
        patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=cache),
    ):
        began = time.perf_counter()
        step()
        first = time.perf_counter() - began
        both = alternate({"plain": ours(plain, x_src, SHIPPED), "compiled": step}, rounds)
    return {"first": first, **both, "speed_up": both["plain"] / both["compiled"]}


def with_default_malloc(step: Callable[[], None]) -> Callable[[], None]:
    def slower() -> None:
        allocator.configure(allocator.GLIBC_DEFAULT)
        step()
        allocator.configure()

    return slower


def whole_run(preset: str) -> dict[str, float]:
    """A fresh process from the command to the written files, on a built-in example."""
    clip = Path(__file__).parents[2] / "assets" / "examples" / "ball.mp4"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipelines.video", str(clip), "--source", SOURCE]
        command += ["--target", TARGET, "--out", folder, "--preset", preset]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall = time.perf_counter() - began
    return {"wall": round(wall, 2), **json.loads(done.stdout.splitlines()[-1])}


def shipped(rounds: int) -> dict[str, Any]:
    """Steps and whole runs as shipped, beside the literal loop."""
    per_step = steps(rounds)
    return {
        "seconds_per_step": per_step,
        "runs": {preset: whole_run(preset) for preset in ("quick", "standard")},
        "speed_up": per_step["literal DDS, fp32"] / per_step["DDS, as shipped"],
    }


def main() -> None:
    job = tyro.cli(Bench, prog="python -m tests.bench.video", description=__doc__)
    numbers = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }
    numbers |= {"compilation": compilation(job.rounds)} if job.compile else shipped(job.rounds)
    text = json.dumps(numbers, indent=2)
    print(text)
    if job.json is not None:
        job.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
