"""The training loop of the built-in models: Muon, warm-up, cosine, averaged weights, resume.

A stage gives a module and a function from a generator to a loss. The generator is seeded anew at
every step, from (seed, step), so that a resumed run sees what an uninterrupted one would. On a GPU
a step is recorded once and replayed as a CUDA graph: launching the kernels of so small a network
one by one takes longer than running them. A loss must therefore not wait for the device, nor choose
on the host what to do. This module knows nothing about what is trained.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from miniature.muon import optimizers

UNRECORDED = 3
"""Steps on a GPU before one is recorded."""

Loss = Callable[[torch.Generator], Tensor]
Movers = list[torch.optim.Optimizer]


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train one stage."""

    steps: int
    """Optimiser steps."""
    batch: int
    """Samples a step."""
    rate: float
    """Peak learning rate."""
    warmup: int = 200
    """Steps over which the rate rises from zero."""
    average: float = 0.999
    """Decay of the averaged weights, the ones that ship."""
    save_every: int = 250
    """Steps between checkpoints."""


def checkpoint(work: Path, stage: str, refines: bool) -> Path:
    """Where a stage's training keeps its state.

    refines: it goes on from what ships. That is kept apart: a training from noise that is finished
    would pass for a refinement that is.
    """
    return work / f"{stage}{'.refined' if refines else ''}.ckpt"


def rate_at(step: int, recipe: Recipe) -> float:
    """Linear warm-up, a tenth of the steps at most, then half a cosine down to 2 % of the peak."""
    warmup = min(recipe.warmup, recipe.steps // 10)
    if step < warmup:
        return recipe.rate * (step + 1) / warmup
    done = (step - warmup) / max(recipe.steps - warmup, 1)
    return recipe.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def train(
    name: str,
    module: nn.Module,
    loss: Loss,
    recipe: Recipe,
    checkpoint: Path,
    seed: int,
    on_save: Callable[[nn.Module, int], None],
) -> nn.Module:
    """Train the parameters of `module` that require gradients; returns its averaged copy.

    Goes on from `checkpoint` where there is one. `on_save(averaged, step)` runs at every save.
    """
    averaged = copy.deepcopy(module).eval().requires_grad_(False)
    wanted = [p for p in module.parameters() if p.requires_grad]
    device = wanted[0].device
    movers = optimizers(module, recipe.rate)
    start = _resume(checkpoint, module, averaged, movers)
    rate, decay = torch.zeros((), device=device), torch.zeros((), device=device)
    for group in (group for mover in movers for group in mover.param_groups):
        group["lr"] = rate
    generator = torch.Generator(device)

    def step() -> Tensor:
        for mover in movers:
            mover.zero_grad(set_to_none=True)
        value = loss(generator)
        value.backward()
        nn.utils.clip_grad_norm_(wanted, 1.0)
        for mover in movers:
            mover.step()
        _average(averaged, module, decay)
        return value.detach()

    run = _Recorded(step, generator) if device.type == "cuda" else step
    bar = tqdm(range(start, recipe.steps), name, initial=start, total=recipe.steps, mininterval=5)
    smooth = None
    for k in bar:
        generator.manual_seed(seed * 1_000_003 + k)
        rate.fill_(rate_at(k, recipe))
        decay.fill_(min(recipe.average, (k + 1) / (k + 10)))
        value = run()
        if k % 20 == 0:
            now = float(value)
            smooth = now if smooth is None else 0.9 * smooth + 0.1 * now
            bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
        if (k + 1) % recipe.save_every == 0 or k + 1 == recipe.steps:
            _save(checkpoint, module, averaged, movers, k + 1)
            on_save(averaged, k + 1)
    return averaged


class _Recorded:
    """A step on a GPU: a few times as it is written, then recorded, then replayed.

    The first times give every optimizer its state. They run on a stream of their own, as recording
    does.
    """

    def __init__(self, step: Callable[[], Tensor], generator: torch.Generator) -> None:
        self._step, self._generator, self._unrecorded = step, generator, UNRECORDED
        self._stream = torch.cuda.Stream(generator.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._value: Tensor | None = None

    def __call__(self) -> Tensor:
        with torch.cuda.device(self._generator.device):
            if self._unrecorded:
                self._unrecorded -= 1
                return self._beside()
            if self._graph is None:
                self._graph = torch.cuda.CUDAGraph()
                self._graph.register_generator_state(self._generator)
                with torch.cuda.graph(self._graph):
                    self._value = self._step()
            self._graph.replay()
            return self._value

    def _beside(self) -> Tensor:
        now = torch.cuda.current_stream()
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            value = self._step()
        now.wait_stream(self._stream)
        return value


@torch.no_grad()
def _average(averaged: nn.Module, module: nn.Module, decay: Tensor) -> None:
    for mean, now in zip(averaged.parameters(), module.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for mean, now in zip(averaged.buffers(), module.buffers(), strict=True):
        mean.copy_(now)


def _save(path: Path, module: nn.Module, averaged: nn.Module, movers: Movers, step: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "module": module.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizers": [mover.state_dict() for mover in movers],
        "step": step,
    }
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    temporary.replace(path)


def _resume(path: Path, module: nn.Module, averaged: nn.Module, movers: Movers) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["module"])
    averaged.load_state_dict(state["averaged"])
    for mover, known in zip(movers, state["optimizers"], strict=True):
        for ours, theirs in zip(mover.param_groups, known["param_groups"], strict=True):
            # Where Adam counts its steps is this machine's affair, not the saved one's.
            if "capturable" in ours:
                theirs["capturable"] = ours["capturable"]
        mover.load_state_dict(known)
    return state["step"]


@torch.no_grad()
def warm_start(module: nn.Module, known: dict[str, Tensor]) -> list[str]:
    """Give `module` the weights of `known` that it has by name and shape; returns the other names.

    A trained model can so grow a layer. Whether that layer starts silent is the caller's affair.
    """
    own = module.state_dict()
    fits = {k: known[k].float() for k, v in own.items() if k in known and known[k].shape == v.shape}
    module.load_state_dict(own | fits)
    return [name for name in own if name not in fits]
