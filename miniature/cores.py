"""One function of many numbers, on all cores, its results in order."""

from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pool
from typing import TypeVar

import torch

Made = TypeVar("Made")


def on_all_cores(make: Callable[[int], Made], numbers: Iterable[int]) -> Iterator[Made]:
    """make(n) for every number, in order. `make` is a function of a module, so that it is found."""
    # Threads of torch within each process would only be in each other's way.
    with Pool(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.imap(make, numbers, chunksize=8)
