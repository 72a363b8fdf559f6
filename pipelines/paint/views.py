"""The views that each step of a painting is judged by, made while the device works on the step
before.

Nothing in them depends on what is painted. A rasteriser counts what it finds before it can keep it,
and the host waits for the count: on a GPU on a stream of its own, beside the teachers' work and not
behind it, so that a step itself never waits. This module knows nothing about fields or teachers.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.paint.look import Look


@dataclass(frozen=True, eq=False)
class Views:
    """The views of one step."""

    look: Look
    bound: Tensor
    """(N, 1) in [0, 1]: the user's mask at each of their points."""
    generator: torch.Generator
    """The step's own, on the CPU, as the views leave it."""

    @property
    def tensors(self) -> list[Tensor]:
        """All that lies on the device."""
        look = self.look
        return [*vars(look.points).values(), look.index, look.shading, look.background, self.bound]


class Ahead:
    """Views by the index of their step; those of one step may be made before they are asked for."""

    def __init__(self, make: Callable[[int], Views | None], device: torch.device) -> None:
        """make: the views of a step on `device`, or None where there are none."""
        self._make, self._device = make, device
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            # Its few small kernels go before the teachers' large ones, or the host waits for those.
            self._stream = torch.cuda.Stream(device, priority=-1)
            self._stream.wait_stream(torch.cuda.current_stream(device))
        self._made: tuple[int, Views | None] | None = None

    def prepare(self, index: int) -> None:
        """Make the views of a step."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            self._made = index, self._make(index)

    def take(self, index: int) -> Views | None:
        """The views of a step, which are forgotten here."""
        if self._made is None or self._made[0] != index:
            self.prepare(index)
        (_, views), self._made = self._made, None
        if self._stream is not None and views is not None:
            reader = torch.cuda.current_stream(self._device)
            reader.wait_stream(self._stream)
            for tensor in views.tensors:
                tensor.record_stream(reader)
        return views
