"""Where teachers run on this machine, in which dtype, and whether it can compile.

This module knows nothing about teachers.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipelines import allocator
from pipelines.errors import InputError, RunFailed
from sds.priors import compiled

PLAIN = "Leave --compile out"


def machine() -> tuple[torch.device, torch.dtype]:
    """The device that computes, and the dtype that networks run in there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        allocator.configure()
    return device, compute_dtype(device)


def compute_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it; else fp16 on a GPU and fp32 on a CPU."""
    if device.type == "cuda":
        real = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if real else torch.float16
    # On a plain CPU bf16 is slower.
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def takes_half() -> bool:
    """Whether weights in half precision are as good here as those in full."""
    return machine()[1] != torch.float32


def expect_compiler() -> None:
    """Raises InputError where networks cannot be compiled here, which takes seconds to find out."""
    try:
        compiled.expect_compiler(machine()[0])
    except ValueError as error:
        raise InputError(
            f"Networks cannot be compiled on this machine. {PLAIN}, or install what torch.compile "
            f"needs: a C++ compiler, and Triton for a GPU. It said: {error}"
        ) from error


@contextmanager
def compiler_is_said() -> Iterator[None]:
    """Turn what the compiler cannot do on the way into RunFailed."""
    try:
        yield
    except Exception as error:
        said = compiled.failure(error)
        if said is None:
            raise
        raise RunFailed(
            f"A network could not be compiled. {PLAIN} and start the run again. It said: {said}"
        ) from error


def let_go() -> None:
    """Give back the memory of what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
