"""What the rest of `sds` needs from a teacher: which noise is in x_t?

An adapter brings one family of models to this signature; `stable_diffusion` holds the first. This
module knows nothing about any library of models.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from sds.schedules import Schedule


@runtime_checkable
class Prior(Protocol):
    """A frozen diffusion model."""

    @property
    def schedule(self) -> Schedule:
        """The noise schedule the model was trained on, on the model's device."""
        ...

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """The noise the model sees in x_t, without guidance and without autograd.

        x_t (N, C, F, H, W) noised latents, t (N,) long, cond (N, L, D) prompt embeddings.
        Returns (N, C, F, H, W) fp32.
        """
        ...
