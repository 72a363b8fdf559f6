"""The benchmark's questions: a scene, one attribute of it changed, and the exact right answer.

Colour, pattern, object and background, on scenes that no teacher was trained on. This module knows
nothing about methods or scores.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from miniature.scenes import (
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    PATTERNS,
    Scene,
    Split,
    caption,
    sample_scene,
)

Kind = Literal["colour", "pattern", "object", "background"]
VALUES: dict[Kind, tuple[str, ...]] = {
    "colour": COLOURS,
    "pattern": PATTERNS,
    "object": OBJECTS,
    "background": BACKGROUNDS,
}
PER_KIND = 6
QUICK: dict[Kind, int] = {"colour": 2, "pattern": 2, "object": 1, "background": 1}


@dataclass(frozen=True)
class Edit:
    """One question: what is shown, and what should be."""

    kind: Kind
    """The attribute that changes."""
    split: Split
    number: int
    """Number of the scene in its split."""
    source: Scene
    target: Scene

    @property
    def prompts(self) -> tuple[str, str]:
        """What source and target show. An edit of the pattern names it even where it is plain."""
        pattern = True if self.kind == "pattern" else None
        return caption(self.source, pattern=pattern), caption(self.target, pattern=pattern)


def edits(split: Split, quick: bool = False) -> list[Edit]:
    """PER_KIND edits of every kind, each of its own scene; `quick` takes the first few of them."""
    found = []
    for block, kind in enumerate(VALUES):
        count = QUICK[kind] if quick else PER_KIND
        found += [edit(split, block * PER_KIND + k, kind) for k in range(count)]
    return found


def edit(split: Split, number: int, kind: Kind) -> Edit:
    """The edit of scene `number` that changes its `kind` to another value, drawn from a seed."""
    source = sample_scene(split, number)
    rng = np.random.default_rng([source.texture_seed, list(VALUES).index(kind)])
    others = [value for value in VALUES[kind] if value != getattr(source, kind)]
    return Edit(kind, split, number, source, replace(source, **{kind: str(rng.choice(others))}))
