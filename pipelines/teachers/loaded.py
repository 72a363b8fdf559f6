"""A teacher in memory, as a run asks it: on this card, with its blocks compiled or as they are.

On a card that is too small for all of it a teacher does without something (`thrift`). This module
knows nothing about edits, prompts or where a teacher's networks come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipelines.teachers import thrift
from pipelines.teachers.thrift import Thrift
from pipelines.teachers.turns import Turns
from sds import assd, csd
from sds.priors import Codec, compiled
from sds.references import References

SMALL = 10**7
"""Parameters of an autoencoder that takes next to no time; Stable Diffusion's has 84 million."""
COMPILES = "The networks' blocks are compiled when they are first asked, which may take minutes."
COMPILES_NOT = "The networks' blocks are not compiled: that does not go with weights kept in fp8."


@dataclass(eq=False)
class LoadedVideoTeacher:
    """A teacher in memory, ready to be asked. What it does without may change on the way."""

    teachers: assd.Teachers
    codec: Codec
    device: torch.device
    multiple: int
    """It works on pictures whose sides are multiples of this."""
    thrift: Thrift = field(default_factory=Thrift)
    compile: bool = False
    """Whether the run asks for compiled blocks. Weights kept in fp8 are not for those."""
    last: tuple[str, References] = field(default_factory=lambda: ("", References()))
    """What the reference branch answered last, and to which question."""

    def __post_init__(self) -> None:
        self._turns = Turns(self.device)

    @property
    def decodes_fast(self) -> bool:
        """Whether a preview can afford the autoencoder."""
        return sum(p.numel() for p in self.codec.vae.parameters()) < SMALL

    def references(self, question: str) -> References:
        """What the reference branch answered to a question so far; any other is forgotten."""
        if self.last[0] != question:
            self.last = (question, References())
        return self.last[1]

    def settle(self, after: Thrift, compile: bool) -> None:
        """From here on take as much memory as `after` says, with blocks compiled or as they are."""
        if (after, compile) != (self.thrift, self.compile):
            # Weights that are rounded answer otherwise, and so do blocks that are compiled.
            self.last = ("", References())
        before, self.thrift, self.compile = self.thrift, after, compile
        asked = (before, after, self._turns)
        self.teachers, self.codec = thrift.spare_teachers(self.teachers, self.codec, *asked)
        compiled.switch(thrift.networks_of(self.teachers), compile and not after.fp8)

    def pictures(self, x: Tensor) -> Tensor:
        """What latents (1, C, f, h, w) hold: (F, 3, H, W) on the CPU.

        F is what f latent frames hold: a clip that was padded to be encoded is shorter.
        """
        return self.codec.decode(x).cpu()

    def frames_at(self, x: Tensor, frames: Sequence[int]) -> Tensor:
        """A few frames of what latents (1, C, f, h, w) hold: (n, 3, H, W) on the CPU."""
        return self.codec.frames(x, frames).cpu()


@dataclass(eq=False)
class LoadedMeshTeacher:
    """A cascade in memory, ready to be asked. What it does without may change on the way."""

    cascade: csd.Cascade
    device: torch.device
    thrift: Thrift = field(default_factory=Thrift)
    compile: bool = False
    """Whether the run asks for compiled blocks. Weights kept in fp8 are not for those."""

    def __post_init__(self) -> None:
        self._turns = Turns(self.device)

    def settle(self, after: Thrift, compile: bool) -> None:
        """From here on take as much memory as `after` says, with blocks compiled or as they are."""
        before, self.thrift, self.compile = self.thrift, after, compile
        self.cascade = thrift.spare_cascade(self.cascade, before, after, self._turns)
        compiled.switch(thrift.networks_of(self.cascade), compile and not after.fp8)


Loaded = LoadedVideoTeacher | LoadedMeshTeacher


def notes(loaded: Loaded) -> list[str]:
    """What the user should know of how the teacher will be asked, a sentence each."""
    said = thrift.said(loaded.thrift)
    if loaded.compile:
        said.append(COMPILES_NOT if loaded.thrift.fp8 else COMPILES)
    return said
