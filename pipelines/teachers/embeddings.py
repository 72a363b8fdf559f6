"""What a text encoder said of a prompt, kept on disk: an encoder of 10 GB is needed once a prompt.

One file for each model and text, in the user's cache folder or in the one that SCOREBRUSH_CACHE
names. What cannot be written is computed again next time. This module knows nothing about models.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.media.files import replacing

Encode = Callable[[Sequence[str]], Tensor]
"""From texts to their embeddings (N, L, D), in the dtype they are to be kept in."""


def cache_folder() -> Path:
    """Where embeddings are kept."""
    base = os.environ.get("SCOREBRUSH_CACHE")
    if base:
        return Path(base) / "embeddings"
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "scorebrush" / "embeddings"


def embedded(model: str, texts: Sequence[str], encode: Encode) -> Tensor:
    """Embeddings of texts (N, L, D), fp32 on the CPU; `encode` is asked once for those not kept.

    model: what tells the encoder, in its state and dtype, from any other.
    """
    known = {text: _load(_path(model, text)) for text in texts}
    missing = [text for text, found in known.items() if found is None]
    if missing:
        for text, row in zip(missing, encode(missing).cpu(), strict=True):
            known[text] = row
            # safetensors has an error of its own for a disk that is full or may not be written.
            with suppress(OSError, SafetensorError):
                _save(_path(model, text), row)
    return torch.stack([known[text] for text in texts]).float()


def _path(model: str, text: str) -> Path:
    name = hashlib.sha256(f"{model}\n{text}".encode()).hexdigest()
    return cache_folder() / f"{name}.safetensors"


def _load(path: Path) -> Tensor | None:
    """A kept embedding (L, D); None where there is none that can be read."""
    try:
        return load_file(path)["embedding"]
    except (OSError, SafetensorError, KeyError):
        return None


def _save(path: Path, row: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file({"embedding": row.contiguous()}, part)
