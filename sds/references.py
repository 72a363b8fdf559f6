"""What the reference branch answered, kept for the next edit of the same clip.

The reference does not depend on the edit: another target prompt or strength on the same clip, with
the same source prompt, seed and steps, asks it nothing new, and without it a step costs half. Not
so under attention fusion, where the edit looks at what the reference's layers hold: its rows are
then needed in the batch. Kept in the computer's memory, up to a limit. This module knows nothing
about clips and prompts: who keeps answers sees to it that they belong to the same question.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

LIMIT = 2 * 2**30
"""Bytes. A run of 40 steps over 81 frames of 832x480 in the latents of Wan takes a sixth of it."""

Place = tuple[str | int, ...]
"""Which teacher was asked, about which frames, at which timestep and with which noise."""


@dataclass(eq=False)
class References:
    """The predictions of one clip's reference branch, from all its steps."""

    limit: int = LIMIT
    answers: dict[Place, Tensor] = field(default_factory=dict)

    def get(self, place: Place, device: torch.device) -> Tensor | None:
        """A prediction, on the device; None where it was not kept."""
        found = self.answers.get(place)
        return None if found is None else found.to(device, non_blocking=True)

    def keep(self, place: Place, answer: Tensor) -> None:
        """Keep a prediction while there is room. The device is not waited for."""
        if sum(kept.nbytes for kept in self.answers.values()) + answer.nbytes > self.limit:
            return
        copy = torch.empty(answer.shape, dtype=answer.dtype, pin_memory=answer.is_cuda)
        self.answers[place] = copy.copy_(answer, non_blocking=True)
