"""What training leaves behind: weights that ship, the words they know, sheets of samples.

This module knows nothing about what was trained.
"""

from collections.abc import Sequence
from pathlib import Path

from diffusers import DiffusionPipeline
from PIL import Image
from torch import nn


def ship(trained: Path, folder: Path) -> None:
    """Save a trained pipeline in half precision, every weights file under 10 MB."""
    pipe = DiffusionPipeline.from_pretrained(trained)
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            part.half()
    pipe.save_pretrained(folder, safe_serialization=True, max_shard_size="9MB")


def write_words(path: Path, words: Sequence[str]) -> None:
    """The words that teachers know, one a line."""
    path.write_text("\n".join(words) + "\n")


def sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows of `columns`."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width, rows * height))
    for k, image in enumerate(pictures):
        whole.paste(image, (k % columns * width, k // columns * height))
    return whole
