"""The one loop: parameters, a function that fills their gradients, an optimiser -> steps.

    for step in optimize(gradient, parameters, optimizer, steps): ...

The gradient function assigns `.grad` (video latents) or calls backward (a renderer's fields). The
loop watches that everything stays finite without making the device wait: what step k found is read
at step k + 1. Every step can say where the run stands, for another to go on from. This module knows
nothing about teachers, previews or files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]
"""Where a run stands: `step`, how many were taken; `parameters`, a list; `optimizer`, its state of
every parameter. Tensors, numbers, lists and dicts only. Randomness needs no state: see
`step_generator`."""


class NonFinite(FloatingPointError):
    """A gradient or a parameter became NaN or infinite; the message says what to change."""

    @property
    def index(self) -> int:
        """The step, counted from 0."""
        return self.args[0]

    def __str__(self) -> str:
        return (
            f"step {self.index} produced NaN or infinity; the parameters are back at the state "
            "before it. Run the VAE in fp32, use bf16 instead of fp16 for the teacher, or lower "
            "the guidance scale"
        )


@dataclass(frozen=True)
class Step:
    """What one step of the optimisation reports."""

    index: int
    """The step just done, counted from 0 over the whole run."""
    value: Tensor
    """What the gradient function returned, detached, still on its device. Reading it waits."""
    finite: Callable[[], bool]
    """Whether this step stayed finite. Calling it waits; do so before writing a checkpoint."""
    state: Callable[[], State]
    """Where the run stands now. Its tensors are the run's own, and move on with the next step."""


def optimize(
    gradient: Callable[[int], Tensor],
    parameters: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    steps: int,
    since: State | None = None,
) -> Iterator[Step]:
    """All steps, or those after `since`: then the run ends bit for bit where it would have ended.

    That holds of gradients that are the same each time: always on a CPU; on a GPU not of those that
    autograd adds up in no fixed order, as it does behind a mesh's fields (`index_select`).

    gradient(index) fills `.grad` of every parameter and returns what to report; its randomness
    should come from `step_generator`. parameters: fp32 tensors the optimiser holds. since: what a
    step of an earlier run said; the optimiser's rates are those of `optimizer`, not of then.
    On NaN or infinity the parameters go back to the last finite state and NonFinite is raised, one
    step late; the optimiser's own state is then lost. The last step is checked before it is
    yielded, and a run that fails or is closed early is left finite.
    Raises TypeError for other dtypes, ValueError when a `.grad` is left empty or `since` is of
    other parameters.
    """
    for parameter in parameters:
        if parameter.dtype != torch.float32:
            raise TypeError(f"optimised parameters must be fp32, got {parameter.dtype}")
    start = 0 if since is None else _restore(parameters, optimizer, since)
    good = [parameter.detach().clone() for parameter in parameters]
    pending: Callable[[], bool] | None = None
    try:
        for index in range(start, steps):
            optimizer.zero_grad(set_to_none=True)
            value = gradient(index).detach()
            if pending is not None:
                _require(pending, parameters, good, index - 1)
            _copy(parameters, good)
            grads = [_grad(parameter, n) for n, parameter in enumerate(parameters)]
            optimizer.step()
            pending = _watch([value, *grads, *parameters])
            if index == steps - 1:
                _require(pending, parameters, good, index)
            yield Step(index, value, pending, partial(_state, index + 1, parameters, optimizer))
    except BaseException:
        # Closed early, or the gradient function choked on a bad state: leave the last good one.
        if pending is not None and not pending():
            _copy(good, parameters)
        raise


def step_generator(seed: int, index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Randomness for one step that depends on (seed, index) only.

    So a resumed run sees the same noise, and a step's reference prediction can be cached. CPU and
    CUDA draw different numbers from the same seed.
    """
    # The CPU generator keeps 32 bits of its seed, so neighbours are scattered first (splitmix64).
    z = (seed * 0xD1342543DE82EF95 + index + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    z = (z ^ z >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return torch.Generator(device).manual_seed((z ^ z >> 31) & 0x7FFFFFFFFFFFFFFF)


def _state(step: int, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> State:
    return {
        "step": step,
        "parameters": [parameter.detach() for parameter in parameters],
        "optimizer": optimizer.state_dict()["state"],
    }


def _restore(parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer, since: State) -> int:
    """Put everything where `since` says; returns how many steps were taken by then."""
    shapes = [parameter.shape for parameter in parameters]
    if [saved.shape for saved in since["parameters"]] != shapes:
        raise ValueError("the state to go on from is of parameters of other shapes")
    _copy(since["parameters"], parameters)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": since["optimizer"], "param_groups": groups})
    return since["step"]


def _grad(parameter: Tensor, n: int) -> Tensor:
    if parameter.grad is None:
        raise ValueError(
            f"the gradient function left parameters[{n}].grad empty; assign it or call backward"
        )
    return parameter.grad


@torch.no_grad()
def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, destination in zip(sources, targets, strict=True):
        destination.copy_(source)


@torch.no_grad()
def _watch(tensors: Sequence[Tensor]) -> Callable[[], bool]:
    """Start asking whether all tensors are finite; the answer waits for no later work."""
    device = tensors[-1].device
    flag = torch.stack([tensor.isfinite().all().to(device) for tensor in tensors]).all()
    if flag.device.type != "cuda":
        return lambda: bool(flag)
    host = torch.empty((), dtype=torch.bool, pin_memory=True)
    host.copy_(flag, non_blocking=True)
    done = torch.cuda.Event()
    done.record()

    def read() -> bool:
        done.synchronize()
        return bool(host)

    return read


def _require(
    finite: Callable[[], bool], parameters: Sequence[Tensor], good: Sequence[Tensor], index: int
) -> None:
    if finite():
        return
    _copy(good, parameters)
    raise NonFinite(index)
