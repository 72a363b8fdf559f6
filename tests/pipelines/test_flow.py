"""Optical flow against textures whose motion is known exactly."""

import pytest
import torch

from pipelines.clip.flow import optical_flow
from sds.optical_flow import reliable


def texture(shift_x: float, shift_y: float, size: int = 96) -> torch.Tensor:
    """A sum of sines moved by (shift_x, shift_y) pixels, (3, H, W) in [0, 1]: exact sub-pixel."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    total = torch.zeros(size, size)
    for _ in range(40):
        fx, fy = (torch.rand(2, generator=generator) - 0.5) * 0.8
        phase = torch.rand(1, generator=generator) * 6.283
        total += torch.sin(fx * (x - shift_x) + fy * (y - shift_y) + phase)
    return (0.5 + total / 40).clamp(0, 1).expand(3, -1, -1)


@pytest.mark.parametrize("step", [(1.0, 0.0), (0.0, -2.0), (1.5, 2.25), (-3.4, 0.6)])
def test_a_translating_texture_gives_its_translation(step):
    frames = torch.stack([texture(i * step[0], i * step[1]) for i in range(3)])
    flows = optical_flow(frames)
    forward, backward = flows.to_next, flows.to_previous
    assert forward.shape == backward.shape == (2, 2, 96, 96)
    assert forward.dtype == torch.float32
    expected = torch.tensor(step).view(1, 2, 1, 1)
    inside = (..., slice(16, -16), slice(16, -16))
    assert (forward[inside] - expected).abs().max() < 0.2
    assert (backward[inside] + expected).abs().max() < 0.2


def test_nothing_moves_in_a_still():
    flows = optical_flow(texture(0, 0).expand(2, -1, -1, -1))
    forward, backward = flows.to_next, flows.to_previous
    assert forward.abs().max() < 0.05 and backward.abs().max() < 0.05


def test_covered_background_is_not_trusted():
    """A square slides 6 pixels right over a still texture, and covers 6 columns of it."""
    background, square = texture(0, 0), texture(40, 9).flip(1)
    frames = torch.stack([background, background]).clone()
    frames[0, :, 30:66, 20:50] = square[:, 30:66, 20:50]
    frames[1, :, 30:66, 26:56] = square[:, 30:66, 20:50]
    flows = optical_flow(frames)
    trusted = reliable(flows.to_next, flows.to_previous)[0, 0].float()
    assert trusted[38:58, 51:55].mean() < 0.5
    assert trusted[38:58, 26:44].mean() > 0.9
    assert trusted[38:58, 72:90].mean() > 0.9


def test_too_few_or_too_small_frames_are_refused():
    with pytest.raises(ValueError, match="at least 2 frames"):
        optical_flow(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="at least 12 pixels"):
        optical_flow(torch.zeros(2, 3, 4, 32))
