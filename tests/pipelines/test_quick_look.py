"""Colours of latents without the autoencoder."""

import pytest
import torch
from torch.nn.functional import interpolate

from pipelines.clip import quick_look


def clip(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(3, 3, 4, 6, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
    )


def encoded(frames, mix):
    """A linear autoencoder of five channels."""
    small = interpolate(frames, scale_factor=1 / 8, mode="area")
    return torch.einsum("fphw,pc->cfhw", small - 0.5, mix)[None]


def test_a_linear_autoencoder_is_inverted():
    mix = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    source, edited = clip(), clip(2)
    latents = encoded(source, mix)
    colours = quick_look.fit(latents, source)
    assert colours.shape == (5, 3)
    torch.testing.assert_close(quick_look.fit(10 * latents, source), colours / 10)
    shown = quick_look.change(colours, encoded(edited, mix), latents, (4, 6))
    expected = interpolate(edited - source, (4, 6), mode="area")
    assert (shown - expected).abs().max() < 0.05 < expected.abs().max()
    large = quick_look.change(colours, encoded(edited, mix), latents, (32, 48))
    assert large.shape == (3, 3, 32, 48)


@pytest.mark.parametrize("varied", [0.0, 1.0])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_clip_of_one_colour_invents_none(level, varied):
    frames = torch.full((2, 3, 16, 16), level)
    latents = torch.randn(1, 4, 2, 2, 2, generator=torch.Generator().manual_seed(3))
    latents = varied * latents
    colours = quick_look.fit(latents, frames)
    assert colours.abs().max() < 1e-6
    x = latents + 1
    assert quick_look.change(colours, x, latents, (16, 16)).abs().max() < 1e-6
