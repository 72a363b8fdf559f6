"""The training set: scenes drawn once, encoded once, kept in the work folder.

Pictures are single frames of distinct scenes; clips are whole scenes. Captions are drawn afresh
every time a sample is used, so they are not kept; scene numbers are.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from miniature.draw import draw
from miniature.scenes import Scene, centres, facing, sample_scene

FRAMES = 16
PICTURES = 32_000
CLIPS = 1_200
FIRST_CLIP = 1_000_000
"""Scenes of the clips are numbered from here on, so that they are not the pictures' scenes."""


def picture(number: int) -> tuple[Scene, np.ndarray]:
    """Training picture `number`: its scene and one of its frames, uint8 (3, 128, 128)."""
    scene = sample_scene("train", number)
    x, y = centres(scene, FRAMES)[number % FRAMES]
    return scene, _bytes(draw(_stopped(scene, float(x), float(y)), frames=1).frames[0])


def _stopped(scene: Scene, x: float, y: float) -> Scene:
    """The same scene stopped at one place of its path, looking the way it moved."""
    return replace(scene, motion="still", x=x, y=y, travel=0.0, facing=facing(scene))


def _bytes(frames: np.ndarray) -> np.ndarray:
    return (frames * 255).round().astype(np.uint8)


def render(work: Path) -> None:
    """Draw every training picture and clip into memory-mapped files; goes on where it stopped."""
    work.mkdir(parents=True, exist_ok=True)
    _render(work / "pictures.npy", PICTURES, (3, 128, 128), lambda k: picture(k)[1])
    clip_shape = (FRAMES, 3, 128, 128)
    _render(
        work / "clips.npy",
        CLIPS,
        clip_shape,
        lambda k: _bytes(draw(sample_scene("train", FIRST_CLIP + k), FRAMES).frames),
    )


def _render(path: Path, count: int, shape: tuple[int, ...], make) -> None:
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    store = np.lib.format.open_memmap(partial, "w+", np.uint8, (count, *shape))
    for k in tqdm(range(count), path.stem, mininterval=5):
        store[k] = make(k)
    store.flush()
    partial.rename(path)


@torch.no_grad()
def encode(vae: AutoencoderKL, store: Path, count: int, batch: int = 64) -> Tensor:
    """Latents of the first `count` samples of a store, unscaled: fp16, (count, ..., C, 32, 32).

    Kept beside the store, and read from there the next time.
    """
    target = store.with_suffix(".latents.pt")
    if target.exists():
        return torch.load(target, weights_only=True)
    frames = np.load(store, mmap_mode="r")[:count]
    flat = frames.reshape(-1, *frames.shape[-3:])
    device = next(vae.parameters()).device
    parts = []
    for start in tqdm(range(0, len(flat), batch), f"encode {store.stem}", mininterval=5):
        x = torch.from_numpy(flat[start : start + batch]).to(device).float() / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16):
            z = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
        parts.append(z.half().cpu().contiguous())
    latents = torch.cat(parts)
    latents = latents.reshape(*frames.shape[:-3], *latents.shape[1:])
    torch.save(latents, target)
    return latents
