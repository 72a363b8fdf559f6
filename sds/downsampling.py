"""Square pictures at a smaller size, without aliasing, differentiable.

    out = the mean of each pixel's block     where the sizes divide
        = a triangle filter                  else

This module knows nothing about who looks at the pictures.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def downsample(images: Tensor, size: int) -> Tensor:
    """images (N, C, S, S) -> (N, C, size, size). Raises ValueError when `size` is above S."""
    side = images.shape[-1]
    if size > side:
        raise ValueError(
            f"pictures of {side}x{side} cannot be downsampled to {size}x{size}; render them at "
            f"{size}x{size} or more"
        )
    if side % size == 0:
        # Not mode="area", which is the same: on a GPU its gradient has no fixed order of sums.
        return avg_pool2d(images, side // size)
    return interpolate(images, (size, size), mode="bilinear", antialias=True)
