"""What the settings of a painting ask of the cascade at each step.

This module knows nothing about surfaces or how they are rendered.
"""

from collections.abc import Callable

from pipelines.teachers.painting import Painting
from sds import csd

Asks = Callable[[Painting, int, int], csd.Method]
"""What settings ask of the cascade at a step of so many."""


def alone(how: Painting, steps: int) -> int:
    """How many steps stage I takes alone."""
    return round(how.detail_from * steps)


def method_at(how: Painting, index: int, steps: int) -> csd.Method:
    """How the cascade is asked at step `index` of `steps`."""
    first, detail = alone(how, steps), 0.0
    if index >= first:
        detail = how.detail * (index - first + 1) / (steps - first)
    times = dict(times=(how.low, how.high), times_end=(how.low, how.high_end))
    method = csd.Method(
        lambda_2=(detail, detail),
        stage_1=csd.Asking(how.guidance_1, **times),
        stage_2=csd.Asking(how.guidance_2, **times),
        crop=how.crop,
    )
    if detail and how.cascade == "phases":
        return csd.second_phase(method)
    return method


def held(index: int, steps: int, share: float, most: int) -> float:
    """1 until the last `share` of a run's steps, or the last `most`, then less, to 0 at the end."""
    return min(1.0, (steps - index) / min(share * steps, most))
