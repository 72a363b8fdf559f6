"""Where teachers run on this machine, and in which dtype.

This module knows nothing about teachers.
"""

import gc

import torch

from pipelines import allocator


def machine() -> tuple[torch.device, torch.dtype]:
    """The device that computes, and the dtype that networks run in there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        allocator.configure()
    else:
        # What runs in fp32 on a GPU does so for its digits: Wan's autoencoder, chiefly. By default
        # cuDNN rounds what its convolutions are given to TF32, which has no more of them than fp16.
        torch.backends.cudnn.allow_tf32 = False
    return device, compute_dtype(device)


def compute_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it; else fp16 on a GPU and fp32 on a CPU."""
    if device.type == "cuda":
        real = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if real else torch.float16
    # On a plain CPU bf16 is slower.
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def computes() -> dict[str, str]:
    """What computes here, in words: the `device` and the `dtype` that networks run in there."""
    card = torch.cuda.is_available()
    dtype = compute_dtype(torch.device("cuda" if card else "cpu"))
    return {
        "device": torch.cuda.get_device_name() if card else "the CPU",
        "dtype": str(dtype).removeprefix("torch."),
    }


def autoencoder_dtype(dtype: torch.dtype) -> torch.dtype:
    """What image autoencoders run in beside networks in `dtype`: fp16 is too narrow for them."""
    return torch.float32 if dtype == torch.float16 else dtype


def takes_half() -> bool:
    """Whether weights in half precision are as good here as those in full."""
    return machine()[1] != torch.float32


def let_go() -> None:
    """Give back the memory of what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
