"""What teachers say of a clip's latents, averaged along its motion."""

import pytest
import torch
from torch.nn.functional import interpolate

from pipelines.clip.motion import averaged, motion

FRAMES, CELL = 9, 8


def clip(step=CELL, frames=FRAMES):
    """A texture that goes `step` pixels to the right from frame to frame: (F, 3, 96, 96)."""
    noise = torch.rand(1, 3, 60, 60, generator=torch.Generator().manual_seed(0))
    wide = interpolate(noise, (240, 240), mode="bicubic").clamp(0, 1)[0]
    starts = [140 - step * f for f in range(frames)]
    return torch.stack([wide[:, 60:156, x : x + 96] for x in starts])


def carried(frames=FRAMES):
    """What is said of it, a cell further in each frame: (1, 4, F, 12, 12)."""
    wide = torch.randn(4, 12, 40, generator=torch.Generator().manual_seed(1))
    return torch.stack([wide[..., 20 - f : 32 - f] for f in range(frames)], dim=1)[None]


def inner(x):
    return x[..., 2:-2, 2:-2]


def test_what_moves_with_the_clip_stays_and_each_frames_own_noise_goes():
    said = carried()
    noise = torch.randn(said.shape, generator=torch.Generator().manual_seed(2))
    along = motion(clip(), said)
    kept = inner(along.mean(said, 5) - said).square().mean().sqrt()
    left = inner(along.mean(said + noise, 5) - said).square().mean().sqrt()
    assert kept < 0.1 and left < 0.6


def test_a_still_clip_gives_the_mean_over_its_frames():
    said = torch.randn(1, 4, 5, 12, 12, generator=torch.Generator().manual_seed(0))
    got = motion(clip(0, 5), said).mean(said, 99)
    torch.testing.assert_close(got, said.mean(2, keepdim=True).expand_as(said))


def test_a_size_in_frames_is_one_in_latents():
    frames = clip(0, 17)
    said = torch.randn(1, 4, 5, 12, 12, generator=torch.Generator().manual_seed(0))
    along = motion(frames, said, stride=4)
    # Three frames before or after reach no other latent, four the next one.
    assert along.mean(said, 7) is said and averaged(7, 4) == 1
    assert [averaged(size, 4) for size in (9, 15, 17)] == [3, 3, 5] and averaged(7, 1) == 7
    got = along.mean(said, 9)
    torch.testing.assert_close(got[:, :, 2], said[:, :, 1:4].mean(2))
    torch.testing.assert_close(got[:, :, 0], said[:, :, :2].mean(2))


def test_the_latents_hold_the_frames_they_end_with():
    frames = torch.stack([torch.full((3, 48, 48), k / 9) for k in range(10)])
    along = motion(frames, torch.zeros(1, 4, 4, 6, 6), stride=4)
    assert along.shown[:, 0, 0, 0].tolist() == pytest.approx([0, 4 / 9, 8 / 9, 1])


def test_a_picture_has_no_motion():
    said = torch.randn(1, 4, 1, 12, 12)
    assert motion(clip(frames=1), said).mean(said, 7).equal(said)


def test_of_two_frames_the_one_motion_is_known():
    flows = motion(clip(frames=2), carried(2)).flows
    right = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    torch.testing.assert_close(inner(flows.to_next), right, atol=0.1, rtol=0)
    torch.testing.assert_close(inner(flows.to_previous), -right, atol=0.1, rtol=0)
