"""Networks with random weights, born where and as they are used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def _born(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Weights come to be where and as they are used: in fp32 the largest would not fit at first."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


def _module(
    kind: type, config: dict[str, Any], device: torch.device, dtype: torch.dtype
) -> nn.Module:
    with _born(device, dtype):
        module = kind(**config)
    for name, parameter in module.named_parameters():
        if any(part in name for part in module._keep_in_fp32_modules or ()):
            parameter.data = parameter.data.float()
    return module


Make = Callable[[type, dict[str, Any], torch.dtype], nn.Module]


def maker(device: torch.device) -> Make:
    """What makes a network there with random weights, always the same."""

    def make(kind: type, config: dict[str, Any], dtype: torch.dtype) -> nn.Module:
        torch.manual_seed(0)
        return _module(kind, config, device, dtype)

    return make
