"""How predictions combine: classifier-free guidance (2207.12598), in Imagen's convention.

    eps = eps_uncond + s (eps_cond - eps_uncond),   s = 1 means no guidance

threestudio and the released 3D Paintbrush write `eps_cond + s (eps_cond - eps_uncond)`, so their
20 is our 21. Branches that must be compared (reference and edit) go to the teacher in one batch.
This module knows nothing about schedules or losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.priors import Prior


def cfg(uncond: Tensor, cond: Tensor, scale: float | Tensor) -> Tensor:
    """Guided noise. uncond, cond (N, ...) -> (N, ...). At the number 1 it is cond to the last bit.

    scale: a number, or one for each row, (N, 1, ...).
    """
    return uncond + scale * (cond - uncond) if _guides(scale) else cond


def from_threestudio(scale: float) -> float:
    """A guidance scale written in threestudio's convention, in ours: 20 -> 21."""
    return scale + 1.0


def ask(prior: Prior, questions: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
    """Unguided eps of each question, from one call of the teacher.

    A question is x_t (N, C, ...), t (N,) long, and cond (N, L, D) or (1, L, D); N may differ.
    """
    x_t, t, cond = zip(*questions, strict=True)
    cond = [said.expand(len(x), -1, -1) for said, x in zip(cond, x_t, strict=True)]
    eps = prior.eps(torch.cat(x_t), torch.cat(t), torch.cat(cond))
    return eps.split([len(x) for x in x_t])


@dataclass(frozen=True)
class Branch:
    """One guided question to a teacher."""

    x_t: Tensor
    """Noised sample, (B, C, F, H, W); images (B, C, H, W) serve an image-only teacher."""
    cond: Tensor
    """Embedding of the prompt, (B, L, D) or (1, L, D)."""
    uncond: Tensor
    """Embedding of the empty or negative prompt, (B, L, D) or (1, L, D)."""
    scale: float | Tensor = 7.5
    """Guidance scale, Imagen's convention: a number, or one for each row, (B, 1, ...)."""


def guided(prior: Prior, branches: Sequence[Branch], t: Tensor) -> list[Tensor]:
    """Guided eps of every branch, from one call of the teacher.

    branches: all of the same shape; t (B,) long. Returns one (B, C, F, H, W) fp32 per branch.

    Rows of the batch: [branch 0 uncond, branch 0 cond, branch 1 uncond, ...]; the uncond rows are
    left out when every scale is 1. So with branches (reference, edit) the reference is always the
    first half of the batch, which is what `sds.attention.fused` relies on.

    A branch that asks exactly what the first one asks gets the first one's answer, bit for bit.
    """
    shapes = {tuple(branch.x_t.shape) for branch in branches}
    if len(shapes) != 1:
        raise ValueError(f"branches need one common shape of x_t, got {sorted(shapes)}")
    with_uncond = any(_guides(branch.scale) for branch in branches)
    questions = []
    for branch in branches:
        for embedding in (branch.uncond, branch.cond) if with_uncond else (branch.cond,):
            questions.append((branch.x_t, t, embedding))
    eps = ask(prior, questions)
    pairs = zip(eps[::2], eps[1::2], strict=True) if with_uncond else zip(eps, eps, strict=True)
    out = [cfg(*pair, branch.scale) for pair, branch in zip(pairs, branches, strict=True)]
    return out[:1] + [
        torch.where(_same(branches[0], branch), out[0], eps)
        for branch, eps in zip(branches[1:], out[1:], strict=True)
    ]


def _guides(scale: float | Tensor) -> bool:
    """Whether the uncond prediction matters; a scale for each row is not looked into."""
    return isinstance(scale, Tensor) or scale != 1


def _same(a: Branch, b: Branch) -> Tensor:
    """Which rows of two branches ask the same, (B, 1, ...) bool, found without a device sync.

    Kernels may round a row by where it lies in the batch, and the least difference is enough to
    wake the adaptive mask of ASSD, whose smoothed part is not small.
    """
    scales = a.scale == b.scale
    same = (a.x_t == b.x_t).flatten(1).all(1)
    same = same & (scales.flatten() if isinstance(scales, Tensor) else scales)
    for ours, theirs in ((a.cond, b.cond), (a.uncond, b.uncond)):
        same = same & (ours == theirs).flatten(1).all(1)
    return same.view(-1, *[1] * (a.x_t.ndim - 1))
