"""How a batch is cut into the calls of a network.

    24 rows, at most 16 together     12 + 12, not 16 + 8

Calls of equal size fill a GPU alike, and compiled blocks have code for each size that comes. This
module knows nothing about networks.
"""

from collections.abc import Iterator

from torch import Tensor


def evenly(limit: int, *tensors: Tensor, dim: int = 0) -> Iterator[tuple[Tensor, ...]]:
    """All tensors cut along `dim`, of which they are equally long, into as few parts as `limit`
    allows. The parts are equally long, or differ by one."""
    parts = -(-tensors[0].shape[dim] // limit)
    return zip(*(tensor.tensor_split(parts, dim) for tensor in tensors), strict=True)
