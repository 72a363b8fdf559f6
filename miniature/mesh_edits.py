"""The mesh benchmark's questions: a held-out mesh, one part of it, a style, and the exact answer.

Two meshes of every family: the first gets a plain colour, the second a pattern. This module knows
nothing about methods or scores.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from miniature.meshes import FAMILIES, PartMesh, sample_mesh
from miniature.scenes import COLOURS, PATTERNS, Split
from miniature.styles import Style, style_colours
from pipelines.paint.composites import GRAY, Words

PER_FAMILY = 2
QUICK = (0, 5, 8, 13, 16, 21)
"""Six families, every other mesh with a pattern."""
STREAMS = {"train": 20, "tune": 21, "test": 22}
"""First word of each split's random stream: none of the scenes', meshes' and views'."""


@dataclass(frozen=True)
class MeshEdit:
    """One question: which part of which mesh, and how it should look."""

    split: Split
    number: int
    """Number of the mesh in its split."""
    family: str
    part: int
    """Which of the mesh's parts."""
    style: Style

    @cached_property
    def mesh(self) -> PartMesh:
        """The gray mesh that is painted."""
        return sample_mesh(self.split, self.number, self.family)

    @property
    def words(self) -> Words:
        """What a user would type."""
        part = self.mesh.parts[self.part]
        plain = "" if self.style.pattern == "plain" else self.style.colour
        return Words(self.family, part.name, str(self.style), part.plural, plain)

    @property
    def prompts(self) -> tuple[str, str]:
        """What is there, and what is wanted of it, as a sheet of results says it."""
        return f"{self.family}, {self.words.edit}", str(self.style)

    def inside(self, face: Tensor) -> Tensor:
        """Whether faces (N,) belong to the part: (N,) bool."""
        return torch.from_numpy(self.mesh.labels)[face.cpu()] == self.part

    def answer(self, position: Tensor, inside: Tensor) -> Tensor:
        """The right colours at points (N, 3), those `inside` (N,) in the style: (N, 3) in [0, 1]"""
        styled = style_colours(position, self.style, self.mesh.box([self.part]))
        return torch.where(inside[:, None], styled, torch.full_like(styled, GRAY))


def mesh_edits(split: Split, quick: bool = False) -> list[MeshEdit]:
    """PER_FAMILY questions of every family; `quick` takes six of them."""
    numbers = QUICK if quick else range(PER_FAMILY * len(FAMILIES))
    return [mesh_edit(split, number) for number in numbers]


def mesh_edit(split: Split, number: int) -> MeshEdit:
    """Question `number` of a split: its part and its style are drawn from a seed."""
    rng = np.random.default_rng([STREAMS[split], number])
    family = list(FAMILIES)[number // PER_FAMILY]
    part = int(rng.integers(len(sample_mesh(split, number, family).parts)))
    patterns = [p for p in PATTERNS if (p == "plain") == (number % 2 == 0)]
    return MeshEdit(
        split, number, family, part, Style(str(rng.choice(COLOURS)), str(rng.choice(patterns)))
    )
