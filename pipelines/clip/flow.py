"""Optical flow between consecutive frames: how far each pixel moves.

Dense Inverse Search (Kroeger et al., 1603.03590) in OpenCV: no weights, no GPU. The door to cv2.
Knows nothing about what is carried along the flow, or about files.
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

from sds.optical_flow import Flows

MIN_SIDE = 12


def optical_flow(frames: Tensor) -> Flows:
    """Flow between each frame and the next, both ways.

    Args:
        frames: float (F, 3, H, W) in [0, 1], F at least 2, sides at least 12.

    Returns:
        Both directions on the frames' own grid, float32, in pixels.

    Raises:
        ValueError: one frame, or a side below 12.
    """
    if len(frames) < 2 or min(frames.shape[-2:]) < MIN_SIDE:
        raise ValueError(
            f"flow needs at least 2 frames of at least {MIN_SIDE} pixels a side, not "
            f"{tuple(frames.shape)}; compute it at a larger size and scale it down"
        )
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    luma = frames.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = ((frames * luma).sum(1) * 255).round().to(torch.uint8).numpy(force=True)
    pairs = list(pairwise(grey))
    forward = np.stack([estimator.calc(here, there, None) for here, there in pairs])
    backward = np.stack([estimator.calc(there, here, None) for here, there in pairs])
    return Flows(_channels_first(forward), _channels_first(backward))


def _channels_first(flow: np.ndarray) -> Tensor:
    return torch.from_numpy(flow).movedim(-1, 1).contiguous()
