"""Timing in turns: what is compared is slowed alike by a noisy machine."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def alternate(loops: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each loop's step, taken in turns, after one step of warming up."""
    for loop in loops.values():
        loop()
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            began = time.perf_counter()
            loop()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}
