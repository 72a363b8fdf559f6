"""Networks that take turns on the card: the one that is asked is there, the others wait.

Weights stay in the computer's memory, and a copy of them visits the card: nothing is copied back.
This module knows nothing about what the networks are for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sds.priors import Codec


class Turns:
    """Whose turn it is on a card."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._calls: dict[nn.Module, RemovableHandle] = {}
        """What makes a network come when it is asked."""
        self._there: nn.Module | None = None
        self._home: list[tuple[Tensor, Tensor]] = []
        """The tensors of the one that is there, and what they hold at home."""

    def take(self, network: nn.Module) -> None:
        """From here on the network is there when it is asked, and no other of these is then."""
        if network not in self._calls:
            network.to("cpu")
            come = network.register_forward_pre_hook(lambda module, _: self.come(module))
            self._calls[network] = come

    def dismiss(self, network: nn.Module) -> None:
        """Leave it to others where the network is."""
        if network in self._calls:
            self._calls.pop(network).remove()

    def come(self, network: nn.Module) -> None:
        """Its turn begins, and that of any other ends."""
        if network is self._there:
            return
        self.end()
        tensors = chain(network.parameters(), network.buffers())
        self._home = [(tensor, tensor.data) for tensor in tensors]
        for tensor, data in self._home:
            tensor.data = data.to(self.device, copy=True)
        self._there = network

    def end(self) -> None:
        """Nobody is on the card."""
        for tensor, data in self._home:
            tensor.data = data
        self._there, self._home = None, []

    @contextmanager
    def visit(self, network: nn.Module) -> Iterator[None]:
        """A turn that ends by itself."""
        self.come(network)
        try:
            yield
        finally:
            self.end()


@dataclass(frozen=True)
class Visiting:
    """A codec whose network is on the card while it works."""

    codec: Codec
    turns: Turns

    @property
    def vae(self) -> nn.Module:
        """The codec's."""
        return self.codec.vae

    @property
    def factor(self) -> int:
        """The codec's."""
        return self.codec.factor

    @property
    def stride(self) -> int:
        """The codec's."""
        return self.codec.stride

    def encode(self, frames: Tensor) -> Tensor:
        """frames (F, 3, H, W) in [0, 1] -> latents (1, C, f, H / factor, W / factor) fp32."""
        with self.turns.visit(self.vae):
            return self.codec.encode(frames)

    def decode(self, latents: Tensor) -> Tensor:
        """latents (1, C, f, h, w) -> frames (F, 3, H, W) fp32 in [0, 1]."""
        with self.turns.visit(self.vae):
            return self.codec.decode(latents)

    def frames(self, latents: Tensor, numbers: Sequence[int]) -> Tensor:
        """A few frames of the clip, numbered from 0: (n, 3, H, W)."""
        with self.turns.visit(self.vae):
            return self.codec.frames(latents, numbers)
