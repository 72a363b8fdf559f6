"""The training set: scenes drawn once, encoded once, kept in the work folder.

Pictures are single frames of distinct scenes; clips are whole scenes. Captions are drawn afresh
every time a sample is used, so they are not kept; scene numbers are.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from miniature.draw import draw
from miniature.scenes import Scene, centres, facing, sample_scene

FRAMES = 16
SIDE = 32
"""Latent cells along each side of a picture."""
PICTURES = 64_000
CLIPS = 1_200
FIRST_CLIP = 1_000_000
"""Scenes of the clips are numbered from here on, so that they are not the pictures' scenes."""


def picture(number: int) -> np.ndarray:
    """Training picture `number`, one frame of its scene: uint8 (3, 128, 128)."""
    return _bytes(draw(_frame(number), frames=1).frames[0])


def covered(number: int) -> np.ndarray:
    """How much of each latent cell of training picture `number` is object: uint8 (SIDE, SIDE)."""
    return _bytes(draw(_frame(number), frames=1, size=SIDE).mask[0, 0])


def _frame(number: int) -> Scene:
    scene = sample_scene("train", number)
    x, y = centres(scene, FRAMES)[number % FRAMES]
    return _stopped(scene, float(x), float(y))


def _stopped(scene: Scene, x: float, y: float) -> Scene:
    """The same scene stopped at one place of its path, looking the way it moved."""
    return replace(scene, motion="still", x=x, y=y, travel=0.0, facing=facing(scene))


def _bytes(frames: np.ndarray) -> np.ndarray:
    return (frames * 255).round().astype(np.uint8)


def render(work: Path) -> None:
    """Draw every training picture and clip into memory-mapped files; goes on where it stopped."""
    work.mkdir(parents=True, exist_ok=True)
    _render(work / "pictures.npy", PICTURES, (3, 128, 128), picture)
    _render(work / "pictures.masks.npy", PICTURES, (SIDE, SIDE), covered)
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
def encode(vae: AutoencoderKL, store: Path, count: int, batch: int = 4) -> np.ndarray:
    """Latents of the first `count` samples of a store, unscaled: fp16 (count, ..., C, 32, 32).

    Kept beside the store in a memory-mapped file, and read from there the next time. batch:
    pictures that go through the network together; few fit a CPU's caches.
    """
    target, partial = store.with_suffix(".latents.npy"), store.with_suffix(".latents.partial")
    if target.exists():
        return np.load(target, mmap_mode="r")
    frames = np.load(store, mmap_mode="r")[:count]
    flat = frames.reshape(-1, *frames.shape[-3:])
    device = next(vae.parameters()).device
    shape = (*frames.shape[:-3], vae.config.latent_channels, SIDE, SIDE)
    latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    rows = latents.reshape(-1, *shape[-3:])
    for start in tqdm(range(0, len(flat), batch), f"encode {store.stem}", mininterval=5):
        x = torch.from_numpy(flat[start : start + batch]).to(device).float() / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16):
            z = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
        rows[start : start + batch] = z.half().numpy(force=True)
    latents.flush()
    partial.rename(target)
    return np.load(target, mmap_mode="r")
