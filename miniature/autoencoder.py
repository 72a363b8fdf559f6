"""Stage one of the recipe: an AutoencoderKL, 128x128 pixels to 32x32 latents of 8 channels.

Trained on crops of the small world and of `miniature.textures`, so that real clips survive it.
Charbonnier loss plus a small KL term (Rombach et al., 2112.10752). A quarter of the size and eight
channels, because an eighth of the size with 24 channels was learnt far too slowly on a CPU: after
750 steps 19 dB on scenes, where this has 29 (it also has the start below, which that had not).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from PIL import Image
from torch import Tensor, nn

from miniature.cuts import random_squares
from miniature.draw import draw
from miniature.scenes import sample_scene
from miniature.textures import texture
from miniature.training import Recipe, train

RECIPE = Recipe(steps=3600, batch=16, rate=1.5e-3)
KL_WEIGHT = 5e-5
CROP = 64
CHANNELS = 8


def build() -> AutoencoderKL:
    """One group in the norms: groups of four channels lose a picture's absolute colours."""
    model = AutoencoderKL(
        block_out_channels=(32, 64, 128),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=1,
        mid_block_add_attention=False,
        sample_size=128,
    )
    for block in model.modules():
        if isinstance(block, ResnetBlock2D):
            _start_as_identity(block)
    nn.init.zeros_(model.quant_conv.weight[CHANNELS:])
    nn.init.constant_(model.quant_conv.bias[CHANNELS:], -4.0)
    return model


def _start_as_identity(block: ResnetBlock2D) -> None:
    """A residual block that starts as its skip path, and with it a nearly linear network."""
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)
    if block.conv_shortcut is not None:
        nn.init.orthogonal_(block.conv_shortcut.weight)


def picture_pool(seed: int, textures: int = 2400, scenes: int = 1600) -> Tensor:
    """Pictures to cut crops from: uint8 (N, 3, 128, 128), textures first."""
    rng = np.random.default_rng(seed)
    pool = [texture(rng, 128).transpose(2, 0, 1) for _ in range(textures)]
    pool += [draw(sample_scene("train", k), frames=1).frames[0] for k in range(scenes)]
    return torch.from_numpy((np.stack(pool) * 255).round().astype(np.uint8))


def crops(pool: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """Random square crops, flipped and with their channels permuted: (B, 3, CROP, CROP) in -1..1.

    Scenes (the pool's tail) keep their channels: their colours are the ones to be kept best.
    """
    device = generator.device
    picks = torch.randint(len(pool), (batch,), generator=generator, device=device)
    cut = random_squares(pool[picks], CROP, generator)
    flipped, permuted = torch.rand((2, batch, 1), generator=generator, device=device) < 0.5
    cut = torch.where(flipped[..., None, None], cut.flip(-1), cut)
    order = torch.rand((batch, 3), generator=generator, device=device).argsort(1)
    permuted &= (picks < 0.6 * len(pool))[:, None]
    order = torch.where(permuted, order, torch.arange(3, device=device))
    return cut.gather(1, order[..., None, None].expand_as(cut)).float() / 127.5 - 1


def train_autoencoder(work: Path, seed: int, device: str, steps: int | None) -> AutoencoderKL:
    torch.manual_seed(seed)
    model = build().to(device, memory_format=torch.channels_last)
    recipe = RECIPE if steps is None else replace(RECIPE, steps=steps)
    pool = _cached_pool(work / f"pictures.{seed}.pt", seed).to(device)

    def loss(generator: torch.Generator) -> Tensor:
        x = crops(pool, recipe.batch, generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16):
            posterior = model.encode(x).latent_dist
            z = posterior.sample(generator)
            y = model.decode(z).sample
        difference = (y.float() - x) / 2
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
        return (difference**2 + 1e-5).sqrt().mean() + KL_WEIGHT * kl

    def on_save(averaged: AutoencoderKL, step: int) -> None:
        averaged.save_pretrained(work / "vae")
        with torch.no_grad():
            x = torch.cat([pool[:8], pool[-8:]]).float() / 127.5 - 1
            y = averaged.decode(averaged.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
        mse = ((x - y) / 2).square().mean((1, 2, 3))
        psnr = -10 * mse.log10()
        print(f"\n  step {step}: PSNR textures {psnr[:8].mean():.2f}, scenes {psnr[8:].mean():.2f}")
        rows = [torch.cat(list(part), dim=-1) for half in (x, y) for part in (half[:8], half[8:])]
        sheet = ((torch.cat([rows[i] for i in (0, 2, 1, 3)], dim=-2) + 1) * 127.5).byte()
        Image.fromarray(sheet.permute(1, 2, 0).cpu().numpy()).save(work / "vae.png")

    return train("autoencoder", model, loss, recipe, work / "vae.ckpt", seed, on_save)


def _cached_pool(path: Path, seed: int) -> Tensor:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(picture_pool(seed), path)
    return torch.load(path, weights_only=True)
