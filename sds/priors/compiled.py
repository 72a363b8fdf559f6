"""Regional compilation: the blocks that a network repeats run as `torch.compile` makes them.

    on     block(x) is what was compiled of it: few kernels, once for all blocks of equal shapes
    off    block(x) is the block itself, whose weights were never touched: bit for bit as before

A whole network would take many times longer to compile, and all of it again for every change of
attention fusion. Here nothing outside a block is compiled, and inside one

* every shape has code of its own. Code for any shape would be made of the shapes that happen to
  come first, and a run that is resumed or repeated must not depend on those;
* processors are seen as what they hold, not as the objects they are. Fusion installs new ones in
  every step, and is compiled once for each weight;
* what is chosen by timing on a GPU may be chosen otherwise in another process, and round otherwise;
* weights are seen as they lie. What casts or moves them around each layer (fp8, offload) is not for
  compiled code: whoever does that switches it off.

Networks are told apart by the blocks that are there, because not all classes name what they repeat
(`_repeated_blocks` of diffusers). This module knows nothing about any family of models, nor about
who asks for it.
"""

import inspect
from collections.abc import Iterable

import torch
from torch import Tensor, nn

KINDS = frozenset(
    {
        "BasicTransformerBlock",
        "WanTransformerBlock",
        "CogVideoXBlock",
        # Convolutions with norms, activations and shifts by the timestep between them, which plain
        # code reads and writes one by one. Nearly each has widths of its own and so is compiled
        # for itself: most of the time that the first step takes.
        "ResnetBlock2D",
        "TemporalConvLayer",
    }
)
"""Blocks by the names of their classes."""
SHAPES = 256
"""Shapes, weights of fusion and widths that have code, since the last switch; what goes beyond runs
as it is. The compiler's own limit of 8 would not do for one video UNet with its image teacher."""
_BACKEND = "inductor"


def blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks of a network that compilation is for."""
    return [module for module in network.modules() if type(module).__name__ in KINDS]


def switch(networks: Iterable[nn.Module], on: bool) -> None:
    """Have the blocks of networks compiled, each at its first call, or run as they are; in place.

    On holds for calls from this thread, which is the limit's reach.
    """
    # Of each convolution cuDNN's fastest algorithm, found by trying: that pays where every step has
    # the same shapes and the first one is slow anyway.
    torch.backends.cudnn.benchmark = on
    found = [block for network in networks for block in blocks(network)]
    if on:
        torch._dynamo.config.recompile_limit = SHAPES
        _know_the_version()
        if any(block._compiled_call_impl is None for block in found):
            # The limit also counts what was compiled for networks that are gone.
            torch._dynamo.reset()
    for block in found:
        if on:
            block.compile(backend=_BACKEND, dynamic=False)
        else:
            # What `compile` sets, and all it sets; torch has no name for the way back.
            block._compiled_call_impl = None


def expect_compiler(device: torch.device | str) -> None:
    """Compile next to nothing. Raises ValueError where nothing can be compiled for the device."""
    try:
        torch.compile(_nothing, backend=_BACKEND, dynamic=False)(torch.ones(8, device=device))
    except Exception as error:
        raise ValueError(_reason(error)) from error


def failure(error: Exception) -> str | None:
    """What the compiler says went wrong; None for an error that is not the compiler's."""
    # It takes a second to import: not before something went wrong.
    from torch._dynamo.exc import TorchDynamoException

    return _reason(error) if isinstance(error, TorchDynamoException) else None


def _know_the_version() -> None:
    """Spare the compiler what upsampling in bf16 asks on the way: that of torch 2.8 fails on it."""
    # It takes seconds to import; whoever has networks has it already.
    from diffusers.utils.import_utils import is_torch_version

    torch.compiler.assume_constant_result(inspect.unwrap(is_torch_version))


def _nothing(x: Tensor) -> Tensor:
    return x.sin() + 1


def _reason(error: Exception) -> str:
    # What torch wraps begins with the name of its own part.
    error = getattr(error, "inner_exception", error)
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
