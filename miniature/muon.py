"""Muon (Jordan, 2024): momentum whose every matrix is made orthogonal before it is a step.

    m = beta m + g,   u = g + beta m,   w <- w (1 - rate decay) - rate 0.2 sqrt(max(a, b)) NS(u)

NS is five Newton-Schulz iterations of a quintic that brings all singular values of u (a, b) near 1.
The factor gives the step the size that Adam's usually has (Liu et al., 2502.16982), so that both
take one rate. A convolution is the matrix (out, in * k * k). This module knows nothing about what
is trained.
"""

from itertools import groupby

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: singular values end between about 0.7 and 1.2."""
ITERATIONS = 5
ENDS = (
    "conv_in",
    "conv_out",
    "token_embedding",
    "position_embedding",
    "positional_embedding",
    "relative_attention_bias",
    "shared",
)
"""Parts of the names that diffusers and transformers give to embeddings and to the ends."""


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more dimensions; the first counts as rows."""

    def __init__(
        self,
        weights: list[Tensor],
        lr: float | Tensor,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            moving = [weight for weight in group["params"] if weight.grad is not None]
            # Matrices of one shape are multiplied together: on a GPU most are too small to fill it.
            for shape, alike in groupby(sorted(moving, key=_matrix), _matrix):
                weights = list(alike)
                updates = orthogonal(torch.stack([self._wanted(w, group) for w in weights]))
                size = 0.2 * max(shape) ** 0.5 * group["lr"]
                for weight, update in zip(weights, size * updates, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(update.view(weight.shape))

    def _wanted(self, weight: Tensor, group: dict) -> Tensor:
        """Nesterov's momentum, as a matrix."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
        # Rows of channels_last weights are not contiguous in memory, hence reshape.
        return weight.grad.add(momentum, alpha=group["momentum"]).reshape(len(weight), -1)


def _matrix(weight: Tensor) -> tuple[int, int]:
    return len(weight), weight[0].numel()


def orthogonal(u: Tensor) -> Tensor:
    """u (..., a, b) with all its singular values brought near 1: (..., a, b) in u's dtype."""
    a, b, c = QUINTIC
    x = u.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(u.dtype)


def optimizers(module: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the weights between layers; AdamW for embeddings, the ends, norms and biases.

    The ends are the first and last convolution of a denoiser, whose sides are pixels or latents.
    """
    matrices, others = [], []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            inner = parameter.ndim > 1 and not any(end in name for end in ENDS)
            (matrices if inner else others).append(parameter)
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(Muon(matrices, rate))
    if others:
        # Its count of steps is kept where a captured step can reach it.
        asked = {"betas": (0.9, 0.99), "weight_decay": 0.01, "capturable": others[0].is_cuda}
        found.append(torch.optim.AdamW(others, lr=rate, **asked))
    return found
