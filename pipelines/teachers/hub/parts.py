"""Which files of a checkpoint are needed, and whether all of them are there.

A pipeline in the format of diffusers has an index and a folder for each part; a single network has
its files at the root, here the part "". Weights come in one file or in shards that an index names,
in full or in half precision. This module knows nothing about where files come from.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INDEX, SINGLE = "model_index.json", "config.json"
"""What says the class of a whole pipeline, and that of a single network."""
UNUSED = ("safety_checker", "feature_extractor", "image_encoder", "watermarker")
WEIGHTS = re.compile(
    r"(diffusion_pytorch_model|model)(\.fp16)?(-\d+-of-\d+)?(\.fp16)?\.safetensors"
)
BESIDE = (".json", ".txt", ".model")
"""Configurations and vocabularies."""
LIBRARIES = ("diffusers", "transformers")
"""What the classes of parts may come from."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth")


class NoWeights(ValueError):
    """A part that needs weights has no safetensors."""

    def __init__(self, part: str, pickled: bool) -> None:
        super().__init__(part)
        self.part = part
        self.pickled = pickled
        """Whether it has them as a pickle."""


def parts_of(index: dict[str, Any], without: Sequence[str] = ()) -> list[str]:
    """The parts that are used, as prefixes of file names. without: parts that are not, besides."""
    unused = {*UNUSED, *without}
    named = [
        f"{name}/"
        for name, value in index.items()
        if isinstance(value, list) and value and isinstance(value[0], str) and name not in unused
    ]
    return named or [""]


def own_code(index: dict[str, Any]) -> str | None:
    """The first class of a pipeline that is code of its own; None where there is none.

    A part that is not used is not looked at.
    """
    kind = index["_class_name"]
    if isinstance(kind, list):
        return str(kind[-1])
    named = (index[part[:-1]] for part in parts_of(index) if part)
    return next((str(kind[-1]) for kind in named if kind[0] not in LIBRARIES), None)


def needed(names: Sequence[str], wanted: Sequence[str], half: bool) -> list[str]:
    """Of the files `names`, those that the parts `wanted` need, and the index.

    half: take weights in half precision where there are both. Raises NoWeights.
    """
    found = [name for name in (INDEX,) if name in names]
    for part in wanted:
        inside = [name for name in names if name.startswith(part)]
        inside = [name for name in inside if "/" not in name[len(part) :]]
        found += [name for name in inside if name.endswith(BESIDE)]
        if not _has_weights(part):
            continue
        weights = [name for name in inside if WEIGHTS.fullmatch(name[len(part) :])]
        small = [name for name in weights if ".fp16" in name]
        full = [name for name in weights if ".fp16" not in name]
        if not weights:
            raise NoWeights(part.rstrip("/"), any(name.endswith(PICKLES) for name in inside))
        found += small if small and (half or not full) else full
    return list(dict.fromkeys(found))


def is_whole(folder: Path, part: str) -> bool:
    """Whether all files of a part are in its folder; an index of shards says how many they are."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    if not _has_weights(part):
        return True
    weights = {path.name for path in folder.iterdir() if WEIGHTS.fullmatch(path.name)}
    if any("-of-" not in name for name in weights):
        return (folder / SINGLE).is_file()
    shards = [
        set((read(path) or {}).get("weight_map", {}).values())
        for path in folder.glob("*index*.json")
    ]
    return (folder / SINGLE).is_file() and any(names and names <= weights for names in shards)


def read(path: Path) -> dict[str, Any] | None:
    """A small JSON file; None where it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _has_weights(part: str) -> bool:
    name = part.rstrip("/")
    return not name.startswith("tokenizer") and not name.endswith("scheduler")
