"""What the autoencoder is trained on besides the small world, and a training of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from miniature import autoencoder, textures
from miniature.autoencoder import build, picture_pool, train_autoencoder

KINDS = (textures.dead_leaves, textures.colour_noise, textures.gradient, textures.lettering)


@pytest.mark.parametrize("kind", KINDS)
def test_a_texture_is_a_picture_of_its_seed(kind):
    one, again, other = (kind(np.random.default_rng(seed), 48) for seed in (0, 0, 1))
    assert one.shape == (48, 48, 3) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1 and one.std() > 0.01
    assert (one == again).all() and abs(one - other).mean() > 0.01


def test_noise_is_as_smooth_as_photographs_are():
    """Power falls as a power of the frequency: slopes of its amplitude from 0.7 to 1.6."""
    slopes = []
    for seed in range(40):
        light = textures.colour_noise(np.random.default_rng(seed), 128).mean(axis=-1)
        power = abs(np.fft.fft2(light - light.mean())) ** 2
        frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(128)] * 2))
        bands = [(frequency >= low) & (frequency < 2 * low) for low in (1 / 64, 1 / 4)]
        low, high = (power[band].mean() for band in bands)
        slopes.append(np.log(low / high) / np.log(16) / 2)
    assert 0.7 < np.mean(slopes) < 1.6 and np.std(slopes) > 0.1


def test_textures_come_first_and_scenes_last():
    pool = picture_pool(3, textures=2, scenes=3)
    assert pool.shape == (5, 3, 128, 128) and pool.dtype == torch.uint8
    assert pool.equal(picture_pool(3, textures=2, scenes=3))
    other = picture_pool(4, textures=2, scenes=3)
    assert pool[2:].equal(other[2:]) and not pool[:2].equal(other[:2])


def test_a_training_of_the_autoencoder_loses_less(tmp_path, monkeypatch):
    pool = picture_pool(0, textures=8, scenes=8)
    monkeypatch.setattr(autoencoder, "picture_pool", lambda seed: pool)
    monkeypatch.setattr(autoencoder, "RECIPE", replace(autoencoder.RECIPE, batch=4))
    trained = train_autoencoder(tmp_path, 0, "cpu", 24)
    torch.manual_seed(0)
    # What is left of the error of a network that is nearly linear.
    assert _error(trained, pool) < 0.7 * _error(build(), pool)
    saved = AutoencoderKL.from_pretrained(tmp_path / "vae")
    assert all(v.equal(saved.state_dict()[name]) for name, v in trained.state_dict().items())
    # Eight textures and eight scenes, each row above what became of it.
    assert Image.open(tmp_path / "vae.png").size == (8 * 128, 4 * 128)
    # A training that is done is not done again.
    again = train_autoencoder(tmp_path, 0, "cpu", 24)
    assert all(v.equal(again.state_dict()[name]) for name, v in trained.state_dict().items())


@torch.no_grad()
def _error(model: AutoencoderKL, pool: torch.Tensor) -> float:
    x = pool.float() / 127.5 - 1
    return float((model.decode(model.encode(x).latent_dist.mode()).sample - x).square().mean())
