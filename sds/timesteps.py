"""Which timesteps a run visits, decided before it starts.

Each function returns a LongTensor of length `n_steps` on the CPU. A run that is resumed draws the
same list from the same generator and goes on where it stopped. Bounds are inclusive. This module
knows nothing about what t means; see `sds.schedules`.
"""

import torch
from torch import Tensor


def uniform(n_steps: int, low: int, high: int, generator: torch.Generator) -> Tensor:
    """t ~ U{low..high}, drawn independently (DreamFusion, DDS). -> (n_steps,) long."""
    _check(low, high)
    return torch.randint(low, high + 1, (n_steps,), generator=generator)


def annealed(
    n_steps: int, low: int, high: int, high_end: int, generator: torch.Generator
) -> Tensor:
    """t ~ U{low..h}, where h falls linearly from `high` to `high_end`.

    Early steps may be coarse, late steps only refine (as in ProlificDreamer, 2305.16213).
    -> (n_steps,) long.
    """
    _check(low, high_end)
    _check(high_end, high)
    ceiling = torch.linspace(high, high_end, n_steps, dtype=torch.float64)
    u = torch.rand(n_steps, generator=generator, dtype=torch.float64)
    return low + (u * (ceiling.round() - low + 1)).long()


def descending(n_steps: int, low: int, high: int) -> Tensor:
    """From `high` down to `low`, evenly spaced, as a sampler goes. -> (n_steps,) long."""
    _check(low, high)
    return torch.linspace(high, low, n_steps, dtype=torch.float64).round().long()


def _check(low: int, high: int) -> None:
    if not 0 <= low <= high:
        raise ValueError(
            f"timestep range {low}..{high} is empty or negative; give 0 <= low <= high"
        )
