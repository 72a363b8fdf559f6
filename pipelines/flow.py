"""Optical flow between consecutive frames: how far each pixel moves.

Dense Inverse Search (Kroeger et al., 1603.03590) in OpenCV: no weights, no GPU. The door to cv2.
Knows nothing about what is carried along the flow, or about files.

A pixel that is covered in the other frame has no true flow. There the way forth and the way back
disagree, which is the test of Sundaram et al. (ECCV 2010):

    |f + b(x + f)|^2 < 0.01 (|f|^2 + |b(x + f)|^2) + 0.5
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

MIN_SIDE = 8


def optical_flow(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Flow between each frame and the next, both ways.

    Args:
        frames: float (F, 3, H, W) in [0, 1], F at least 2, sides at least 8.

    Returns:
        (forward, backward), each float32 (F-1, 2, H, W) in pixels; channel 0 is x (rightwards),
        channel 1 is y (downwards). What is at x in frame i is at x + forward[i](x) in frame i+1,
        and what is at x in frame i+1 is at x + backward[i](x) in frame i.

    Raises:
        ValueError: one frame, or a side below 8.
    """
    if len(frames) < 2 or min(frames.shape[-2:]) < MIN_SIDE:
        raise ValueError(
            f"flow needs at least 2 frames of at least {MIN_SIDE} pixels a side, not "
            f"{tuple(frames.shape)}; compute it at a larger size and scale it down"
        )
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    luma = frames.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = ((frames * luma).sum(1) * 255).round().clamp(0, 255)
    grey = grey.to(torch.uint8).numpy(force=True)
    pairs = list(pairwise(grey))
    forward = np.stack([estimator.calc(here, there, None) for here, there in pairs])
    backward = np.stack([estimator.calc(there, here, None) for here, there in pairs])
    return _channels_first(forward), _channels_first(backward)


def consistent(flow: Tensor, reverse: Tensor) -> Tensor:
    """Where a flow can be trusted: the way back leads home. False at what gets covered.

    Args:
        flow: float32 (N, 2, H, W) in pixels.
        reverse: the flow the other way, same shape.

    Returns:
        bool (N, H, W), False also where the flow leaves the picture.
    """
    height, width = flow.shape[-2:]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    trusted = []
    for there, back in zip(flow.numpy(force=True), reverse.numpy(force=True), strict=True):
        x, y = columns + there[0], rows + there[1]
        returned = np.stack([cv2.remap(b, x, y, cv2.INTER_LINEAR) for b in back])
        gap = ((there + returned) ** 2).sum(0)
        length = (there**2).sum(0) + (returned**2).sum(0)
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        trusted.append((gap < 0.01 * length + 0.5) & inside)
    return torch.from_numpy(np.stack(trusted))


def _channels_first(flow: np.ndarray) -> Tensor:
    return torch.from_numpy(flow).movedim(-1, 1).contiguous()
