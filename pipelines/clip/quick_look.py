"""A change of latents as colours, without the autoencoder: for previews.

    P = L A + b,   A from least squares over the clip's own latents L and its shrunk pixels P
    change = (x - x_src) A,   enlarged and added to the source's frames

The detail of a preview is the source's own, and the edit is shown at the size of the latents. That
takes no table of numbers and works for any autoencoder. This module knows nothing about teachers.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

RIDGE = 1e-3
"""Of a channel's variance: a clip of one colour says nothing about the others."""
TINY = 1e-9
"""So that there is an answer even where the latents are all the same."""


@torch.no_grad()
def fit(latents: Tensor, frames: Tensor) -> Tensor:
    """A, (C, 3), from a clip's latents and what they show.

    latents (1, C, f, h, w), frames (f, 3, H, W) in [0, 1], one for each latent frame.
    """
    grid = latents.shape[-2:]
    pixels = interpolate(frames.to(latents.device), grid, mode="area")
    values = latents[0].flatten(1).T.double()
    colours = pixels.transpose(0, 1).flatten(1).T.double()
    values, colours = values - values.mean(0), colours - colours.mean(0)
    square = values.T @ values
    square.diagonal().add_(RIDGE * square.diagonal().mean() + TINY)
    return torch.linalg.solve(square, values.T @ colours).float()


@torch.no_grad()
def change(colours: Tensor, x: Tensor, x_src: Tensor, size: tuple[int, int]) -> Tensor:
    """What an edit does to the picture, about: (n, 3, *size), on the CPU.

    colours (C, 3) from `fit`; x, x_src (1, C, n, h, w).
    """
    small = torch.einsum("cfhw,cp->fphw", (x - x_src)[0], colours)
    return interpolate(small, size, mode="bilinear").cpu()
