"""The composites of 3D Paintbrush (2311.09571, section 3) and the prompt each is judged by.

    localization   P yellow + (1 - P) gray    a 3d render of a gray mushroom with a yellow cap
    style          P T + (1 - P) gray         a 3d render of a gray mushroom with a red dotted cap
    background     P yellow + (1 - P) B       a 3d render of a mushroom with a yellow cap

Painting the whole mesh needs one only: T, "a 3d render of a red dotted mushroom". This module knows
nothing about fields, views or teachers.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds.draws import sent

YELLOW = (0.8, 1.0, 0.0)
GRAY = 0.71
AN = tuple("aeiou")


@dataclass(frozen=True)
class Words:
    """What to paint, in the user's words."""

    object: str
    """What the mesh is: "mushroom"."""
    edit: str | None
    """The part to paint: "cap". None paints everything."""
    style: str
    """How it should look: "red dotted"."""
    plural: bool = False
    """Whether the part is a plural ("legs"), which takes no article."""
    unlike: str = ""
    """A style that it must not be taken for: "red". Empty is none."""


@dataclass(frozen=True, eq=False)
class Query:
    """What the fields say at N points."""

    region: Tensor | None
    """P, (N, 1) in [0, 1]; None where everything is painted."""
    style: Tensor
    """T, (N, 3) in [0, 1]."""
    background: Tensor | None
    """B, (N, 3) in [0, 1]; None leaves its composite out."""


def prompts(words: Words, background: bool) -> list[str]:
    """One prompt for each composite of `colours`, in its order."""
    if words.edit is None:
        return [f"a 3d render of {_one(f'{words.style} {words.object}')}"]
    yellow, styled = f"yellow {words.edit}", f"{words.style} {words.edit}"
    if not words.plural:
        yellow, styled = _one(yellow), _one(styled)
    found = [
        f"a 3d render of a gray {words.object} with {yellow}",
        f"a 3d render of a gray {words.object} with {styled}",
    ]
    if background:
        found.append(f"a 3d render of {_one(words.object)} with {yellow}")
    return found


def unlike_prompt(words: Words) -> str | None:
    """The style's prompt, with the style it must not be taken for."""
    if not words.unlike:
        return None
    found = prompts(replace(words, style=words.unlike), False)
    return found[style_of(len(found))]


def style_of(count: int) -> int:
    """Which of `count` composites is the style's."""
    return min(1, count - 1)


def shares(count: int, style: float) -> list[float]:
    """`style` for the style's prompt and 1 for the others, in the order of `count` prompts."""
    return [style if k == style_of(count) else 1.0 for k in range(count)]


def colours(query: Query) -> list[Tensor]:
    """The composites' colours, (N, 3) in [0, 1] each: localization, style and background."""
    p = query.region
    if p is None:
        return [query.style]
    yellow = sent(torch.tensor(YELLOW, dtype=p.dtype), p.device)
    found = [p * yellow + (1 - p) * GRAY, p * query.style + (1 - p) * GRAY]
    if query.background is not None:
        found.append(p * yellow + (1 - p) * query.background)
    return found


def painted_over(query: Query) -> Tensor:
    """How far the style is from the gray it is laid over, where it is: (N, 3)."""
    away = query.style - GRAY
    return away if query.region is None else query.region * away


def _one(noun: str) -> str:
    noun = noun.strip()
    return f"{'an' if noun.lower().startswith(AN) else 'a'} {noun}"
