"""Which timesteps a run visits when it goes from noise to none, decided before it starts.

Those that each step draws for itself are drawn by `sds.draws`. This module knows nothing about what
t means; see `sds.schedules`.
"""

import torch
from torch import Tensor


def descending(n_steps: int, low: int, high: int) -> Tensor:
    """From `high` down to `low`, both included, evenly spaced, as a sampler goes.

    -> (n_steps,) long, on the CPU. Raises ValueError for an empty or a negative range.
    """
    if not 0 <= low <= high:
        raise ValueError(
            f"timestep range {low}..{high} is empty or negative; give 0 <= low <= high"
        )
    return torch.linspace(high, low, n_steps, dtype=torch.float64).round().long()
