"""Models' checkpoints: a folder here, or an id on the Hugging Face hub and what is here of it.

    any path that is a folder                here
    owner/model, owner/model@revision        on the hub

What is here and whole is used as it is, without asking the hub. Only configurations, vocabularies
and safetensors are ever fetched: a pickle can run code when it is opened. The door to
huggingface_hub. This module knows nothing about what a checkpoint is for.
"""

import errno
import hashlib
import json
import math
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
from huggingface_hub import constants, errors
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from pipelines.errors import InputError
from pipelines.teachers.hub.parts import (
    INDEX,
    SINGLE,
    NoWeights,
    is_whole,
    needed,
    own_code,
    parts_of,
    read,
)
from pipelines.teachers.hub.said import explained, name_of

ONE_FILE = (
    "Of a Stable Diffusion in one .safetensors file, diffusers makes a folder: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)."
)
HEADER = 10**8
"""Bytes that say what is in a file of safetensors, at most: its format's own limit."""


@dataclass(frozen=True)
class Download:
    """What a checkpoint needs that is not here yet."""

    source: str
    files: tuple[str, ...]
    """All that it needs, by name."""
    bytes: int
    """Of those that must be fetched."""


def read_index(source: str) -> dict[str, Any]:
    """The index of a checkpoint: its class and those of its parts.

    Raises InputError, with the remedy, when it cannot be had, or asks for code of its own.
    """
    if Path(source).is_file():
        raise InputError(f"{source} is a file, not a model's folder. {ONE_FILE}")
    for name in (INDEX, SINGLE):
        path = _file(source, name)
        found = None if path is None else read(path)
        kind = found.get("_class_name") if found else None
        if isinstance(kind, str) and name == SINGLE:
            return found
        if isinstance(kind, str | list):
            _expect_known_code(source, found)
            return found
    raise InputError(
        f"{source} holds no model in the format of diffusers, which has a {INDEX}: give the folder "
        f"or the id of one that does. {ONE_FILE}"
    )


def download(source: str, half: bool, without: Sequence[str] = ()) -> Download | None:
    """What `fetch` would fetch; None where all is here. Raises InputError as `fetch` does."""
    if _whole(source, without) is not None:
        return None
    repo, revision = name_of(source)
    wanted = parts_of(read_index(source), without)
    with explained(source), _quiet():
        listed = huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=[f"{part}*" for part in wanted], dry_run=True
        )
    with _weights_are_there(source):
        files = [*needed([file.filename for file in listed], wanted, half), INDEX]
    missing = [file for file in listed if file.filename in files and file.will_download]
    return Download(source, tuple(files), sum(file.file_size or 0 for file in missing))


def fetch(source: str, half: bool, without: Sequence[str] = ()) -> Path:
    """The folder of a checkpoint, fetched from the hub where it is not here yet.

    half: take weights in half precision where there are both. without: parts that nobody reads.
    Raises InputError, with the remedy, when it cannot be had: gated, missing, out of reach, not
    whole, pickles only, no space.
    """
    here = _whole(source, without)
    if here is not None:
        return here
    wanted = download(source, half, without)
    repo, revision = name_of(source)
    with explained(source):
        _expect_space(wanted.bytes)
        folder = huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=list(wanted.files)
        )
    return Path(folder)


def is_here(source: str, without: Sequence[str] = ()) -> bool:
    """Whether a checkpoint needs no fetching. The hub is not asked."""
    return _whole(source, without) is not None


def may_fetch() -> bool:
    """Whether the user lets the hub be asked at all."""
    return not constants.is_offline_mode()


def parameters(folder: Path) -> int:
    """Numbers in the weights right in a folder, whatever their precision; once if in several.

    Raises InputError for weights that cannot be read, or not to their end.
    """
    sizes = {}
    for path in folder.glob("*.safetensors"):
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(length, HEADER)))
            header.pop("__metadata__", None)
            end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
            if path.stat().st_size < 8 + length + end:
                raise ValueError("its end is missing")
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is damaged. Fetch or save it again.") from error
        sizes |= {name: math.prod(tensor["shape"]) for name, tensor in header.items()}
    return sum(sizes.values())


def identity(source: str, folder: Path, names: Sequence[str]) -> str:
    """What tells the state of a few parts of a checkpoint from any other state of theirs.

    On the hub that is its commit; of a folder here, the names, sizes and times of its files.
    """
    if not Path(source).is_dir():
        return f"{name_of(source)[0]} {folder.name}"
    facts = hashlib.sha256()
    for path in sorted(path for name in names for path in (folder / name).rglob("*")):
        if path.is_file():
            fact = path.stat()
            facts.update(f"{path.name} {fact.st_size} {fact.st_mtime_ns}\n".encode())
    return f"{folder.resolve()} {facts.hexdigest()}"


def commit(source: str) -> str | None:
    """The commit on the hub of what is here of a checkpoint; None where nothing is."""
    with explained(source):
        path = _cached(source, INDEX) or _cached(source, SINGLE)
    # The cache has a folder for each commit.
    return None if path is None else path.parent.name


def _file(source: str, name: str) -> Path | None:
    """A small file of a checkpoint, fetched if need be; None where it has none of that name."""
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    with explained(source):
        if (here := _cached(source, name)) is not None:
            return here
        repo, revision = name_of(source)
        _expect_network()
        try:
            return Path(huggingface_hub.hf_hub_download(repo, name, revision=revision))
        except errors.RemoteEntryNotFoundError:
            return None


def _cached(source: str, name: str) -> Path | None:
    """A file of a checkpoint on the hub, if it was fetched before."""
    repo, revision = name_of(source)
    found = huggingface_hub.try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _whole(source: str, without: Sequence[str]) -> Path | None:
    """The folder of a checkpoint that is here and whole; None for one on the hub that is not.

    Raises InputError for a folder that is not whole, and for what can be no id.
    """
    mine = Path(source).is_dir()
    if mine:
        root, index = Path(source), read_index(source)
    else:
        with explained(source):
            path = _cached(source, INDEX) or _cached(source, SINGLE)
        index = None if path is None else read(path)
        if not index:
            return None
        root = path.parent
    missing = [part for part in parts_of(index, without) if not is_whole(root / part, part)]
    if missing and mine:
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        with _weights_are_there(source):
            needed(names, missing, half=True)
        raise InputError(
            f"{source} is not whole: files of its {missing[0].rstrip('/') or 'model'} are missing."
        )
    return None if missing else root


@contextmanager
def _weights_are_there(source: str) -> Iterator[None]:
    try:
        yield
    except NoWeights as error:
        part, mine = error.part or "model", Path(source).is_dir()
        if not error.pickled:
            said = f"{source} is not whole: its {part} has no safetensors."
            remedy = "Fetch or save it again."
        else:
            said = f"{source} keeps its {part} as a pickle only, which could run code."
            remedy = "Save it again with save_pretrained, which writes safetensors."
        if error.pickled and not mine:
            remedy = (
                "Convert it at https://huggingface.co/spaces/safetensors/convert and give "
                f"{name_of(source)[0]}@refs/pr/NUMBER with the number you get."
            )
        raise InputError(f"{said} {remedy}") from error


def _expect_known_code(source: str, index: dict[str, Any]) -> None:
    if (own := own_code(index)) is not None:
        raise InputError(
            f"{source} asks for code of its own ({own}), which is not run: give a model that "
            "diffusers knows."
        )


def _expect_network() -> None:
    """Raises OSError where not even the hub's name is known: its library would try for 23 s."""
    # A proxy looks names up itself.
    if may_fetch() and not getproxies().keys() & {"http", "https", "all"}:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)


def _expect_space(size: int) -> None:
    """Raises OSError where a download does not fit the disk."""
    cache = Path(constants.HF_HUB_CACHE)
    nearest = next(path for path in (cache, *cache.parents) if path.exists())
    if shutil.disk_usage(nearest).free < size:
        raise OSError(errno.ENOSPC, f"it takes {size / 1e9:.1f} GB")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: only names and sizes are asked for."""
    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()
