"""Several processes on one job: each takes its share of a step, and their sums are everyone's.

    accelerate launch --num_processes 4 -m pipelines.video CLIP ...      (or torchrun)

A launcher starts the same command several times and says so in the environment (RANK, WORLD_SIZE).
Every process draws the whole noise of a step and answers for its share of windows, frames or views,
so that the result does not depend on how many there are, beyond the rounding of sums. Process 0 is
the main one. Alone, everything here does nothing. This module knows nothing about what is shared.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=6)
"""How long the others wait for the main process, which may have teachers to download."""


@contextmanager
def joined() -> Iterator[None]:
    """Meet the other processes of a launch, if there are any, and take one GPU each."""
    if _launched_alone():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    # Without a backend named, tensors on a GPU go by NCCL and those on the CPU by gloo.
    dist.init_process_group("gloo" if not torch.cuda.is_available() else None, timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End this process.

    One of several ends at once: what gloo leaves running may make C++ abort while Python takes
    itself down, after all is written.
    """
    if _launched_alone():
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def count() -> int:
    """How many processes work on the job."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0: the main one."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the process that prints and writes."""
    return rank() == 0


def share(items: int) -> range:
    """Which of `items` things, numbered from 0, are this process's: some neighbours.

    None where there are more processes than things.
    """
    own, size = rank(), count()
    return range(own * items // size, (own + 1) * items // size)


def sum_(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place and the same everywhere; returns the tensor."""
    if count() > 1:
        # NCCL takes no other, and latents keep the order in which their encoder left them.
        ordered = tensor.contiguous()
        dist.all_reduce(ordered)
        if ordered is not tensor:
            tensor.copy_(ordered)
    return tensor


def agree(said: bool) -> bool:
    """What the main process says; the others' word does not count. Waits for all of them."""
    if count() == 1:
        return said
    word = torch.tensor([said], dtype=torch.uint8)
    dist.broadcast(word, src=0)
    return bool(word)


def _launched_alone() -> bool:
    return int(os.environ.get("WORLD_SIZE", 1)) == 1
