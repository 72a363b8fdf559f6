"""The training set: scenes drawn once, encoded once, kept in the work folder.

Pictures are single frames of distinct scenes; clips are whole scenes. Each has a few captions, and
is shown now with one, now with another.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from miniature.cores import on_all_cores
from miniature.draw import draw
from miniature.scenes import Scene, centres, facing, sample_scene, training_caption
from pipelines.media.files import replacing

FRAMES = 16
SIDE = 32
"""Latent cells along each side of a picture."""
PICTURES = 65_536
CLIPS = 1_536
FIRST_CLIP = 1_000_000
"""Scenes of the clips are numbered from here on, so that they are not the pictures' scenes."""
CAPTIONS = 4
"""Of each scene."""
STREAM = 17
"""First word of the captions' random stream: none of the scenes'."""


def picture(number: int) -> np.ndarray:
    """Training picture `number`, one frame of its scene: uint8 (3, 128, 128)."""
    return _bytes(draw(_frame(number), frames=1).frames[0])


def covered(number: int) -> np.ndarray:
    """How much of each latent cell of training picture `number` is object: uint8 (SIDE, SIDE)."""
    return _bytes(draw(_frame(number), frames=1, size=SIDE).mask[0, 0])


def clip(number: int) -> np.ndarray:
    """Training clip `number`: uint8 (FRAMES, 3, 128, 128)."""
    return _bytes(draw(sample_scene("train", number), FRAMES).frames)


def captions(number: int) -> list[str]:
    """The captions of training scene `number`."""
    rng = np.random.default_rng([STREAM, number])
    scene = sample_scene("train", number)
    return [training_caption(scene, rng) for _ in range(CAPTIONS)]


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
    """Draw every training picture and clip into memory-mapped files, and write their captions.

    What is there is left alone.
    """
    work.mkdir(parents=True, exist_ok=True)
    pictures, clips = range(PICTURES), range(FIRST_CLIP, FIRST_CLIP + CLIPS)
    _render(work / "pictures.npy", pictures, (3, 128, 128), picture)
    _render(work / "pictures.masks.npy", pictures, (SIDE, SIDE), covered)
    _write_captions(work / "pictures.txt", pictures)
    _render(work / "clips.npy", clips, (FRAMES, 3, 128, 128), clip)
    _write_captions(work / "clips.txt", clips)


def _render(
    path: Path, numbers: range, shape: tuple[int, ...], make: Callable[[int], np.ndarray]
) -> None:
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    store = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(numbers), *shape))
    drawn = on_all_cores(make, numbers)
    for k, drawing in enumerate(tqdm(drawn, path.stem, len(numbers), mininterval=5)):
        store[k] = drawing
    store.flush()
    partial.rename(path)


def _write_captions(path: Path, numbers: range) -> None:
    if not path.exists():
        lines = [line for said in on_all_cores(captions, numbers) for line in said]
        with replacing(path) as part:
            part.write_text("".join(f"{line}\n" for line in lines))


def encode(vae: AutoencoderKL, store: Path, count: int) -> torch.Tensor:
    """Latents of the first `count` samples of a store, unscaled: fp16 (count, ..., C, 32, 32).

    Kept beside the store in a memory-mapped file, and read from there the next time by the same
    autoencoder, unless the store was drawn anew since. What another one left there is removed.
    """
    target = store.with_suffix(f".{_digest(vae)}.latents.npy")
    if not target.exists() or target.stat().st_mtime_ns < store.stat().st_mtime_ns:
        for other in store.parent.glob(f"{store.stem}.*.latents.npy"):
            other.unlink()
        _encode(vae, store, count, target)
    return _mapped(target)


def _digest(vae: AutoencoderKL) -> str:
    """Tells an autoencoder's weights from any others."""
    said = hashlib.sha256()
    for weight in vae.state_dict().values():
        said.update(weight.float().numpy(force=True).tobytes())
    return said.hexdigest()[:12]


def _mapped(path: Path) -> torch.Tensor:
    # "c" lets torch believe that it may write there.
    return torch.from_numpy(np.load(path, mmap_mode="c"))


@torch.no_grad()
def _encode(vae: AutoencoderKL, store: Path, count: int, target: Path) -> None:
    partial, frames = target.with_suffix(".partial"), _mapped(store)[:count]
    flat = frames.flatten(0, -4)
    device = next(vae.parameters()).device
    # Few fit a CPU's caches.
    batch = 4 if device.type == "cpu" else 256
    shape = (*frames.shape[:-3], vae.config.latent_channels, SIDE, SIDE)
    latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    rows = latents.reshape(-1, *shape[-3:])
    for start in tqdm(range(0, len(flat), batch), f"encode {store.stem}", mininterval=5):
        x = flat[start : start + batch].to(device).float() / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16):
            z = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
        rows[start : start + batch] = z.half().numpy(force=True)
    latents.flush()
    partial.rename(target)
