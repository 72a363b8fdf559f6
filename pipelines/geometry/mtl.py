"""Wavefront MTL: materials, kept statement by statement, and the pictures they name.

This module knows nothing about meshes.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.files import BESIDE, Files, as_text
from pipelines.geometry.model import linear
from pipelines.geometry.pictures import Shown

OPTIONS = {"-blendu": 1, "-blendv": 1, "-boost": 1, "-mm": 2, "-texres": 1, "-clamp": 1, "-bm": 1}
OPTIONS |= {"-imfchan": 1, "-type": 1, "-cc": 1, "-colorspace": 1}
VECTORS = ("-o", "-s", "-t")
"""Options of a map: how many words follow; a vector is followed by one to three numbers."""


@dataclass(frozen=True, eq=False)
class Material:
    """One `newmtl` of an MTL file."""

    lines: tuple[str, ...]
    """Its statements, without `newmtl`."""
    maps: dict[str, bytes]
    """The pictures it names, by the name in the file."""


def read_materials(libraries: list[str], files: Files) -> tuple[dict[str, Material], list[str]]:
    """The materials of MTL files by name, and notes on what is missing.

    The first of a name counts. Raises InputError for names outside the folder.
    """
    found: dict[str, Material] = {}
    notes: list[str] = []
    for library, content in _contents(libraries, files).items():
        if content is None:
            notes.append(f"The material file {library} is missing; its parts start white. {BESIDE}")
            continue
        for name, lines in _blocks(as_text(content).splitlines()):
            maps = {}
            for picture in filter(None, map(map_file, lines)):
                data = files.read(picture)
                if data is None:
                    notes.append(f"The texture {picture} of {name} is missing. {BESIDE}")
                else:
                    maps[picture] = data
            found.setdefault(name, Material(tuple(lines), maps))
    return found, notes


def _contents(libraries: list[str], files: Files) -> dict[str, bytes | None]:
    """What is in the files that `mtllib` lines name, in order; None where there is none."""
    found: dict[str, bytes | None] = {}
    for named in dict.fromkeys(libraries):
        # A name may have spaces in it, and a line may have several names.
        name = _unquoted(named)
        whole = {name: files.read(name)}
        several = {} if whole[name] else map(_unquoted, re.findall(r'"[^"]+"|\S+', named))
        words = {word: files.read(word) for word in several}
        found |= words if any(words.values()) else whole
    return found


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    name, block = None, []
    for line in lines:
        words = line.split(None, 1)
        if words and words[0] == "newmtl":
            if name is not None:
                yield name, block
            name, block = words[1].strip() if len(words) > 1 else "", []
        elif words:
            block.append(line.strip())
    if name is not None:
        yield name, block


def map_file(line: str) -> str | None:
    """The file that a statement like `map_Kd -s 1 1 1 wood.png` names, if it is one."""
    words = line.split()
    key = words[0].lower()
    if len(words) < 2 or not (key.startswith("map_") or key in ("bump", "disp", "norm", "refl")):
        return None
    rest = line.split(None, 1)[1]
    while rest.startswith("-"):
        option, _, rest = rest.partition(" ")
        for _ in range(OPTIONS.get(option, 3 if option in VECTORS else 0)):
            word, _, after = rest.lstrip().partition(" ")
            if option in VECTORS and not _is_number(word):
                break
            rest = after
        rest = rest.lstrip()
    return _unquoted(rest.strip()) or None


def _unquoted(name: str) -> str:
    """A file's name; some programs quote one that has spaces in it."""
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


def _colour(words: list[str]) -> tuple[float, float, float] | None:
    """Red, green and blue in linear light, of which the last two may be left out: grey."""
    coded = words[:3] if len(words) >= 3 else words[:1] * 3
    if not coded or not all(map(_is_number, coded)):
        return None
    red, green, blue = linear(np.clip(np.array(coded, dtype=np.float64), 0, 1)).tolist()
    return red, green, blue


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def base_of(
    material: Material, label: str, shown: Shown, notes: list[str]
) -> tuple[NDArray[np.uint8] | None, tuple[float, float, float, float]]:
    """A material's base-colour picture, and its factor: `Kd` in linear light, and its opacity.

    shown: the pictures that were decoded so far.
    """
    colour, opacity, picture = (1.0, 1.0, 1.0), 1.0, None
    for line in material.lines:
        words = line.split()
        key = words[0].lower()
        if key == "kd" and (light := _colour(words[1:])) is not None:
            colour = light
        elif key == "d" and _is_number(words[-1]):
            opacity = float(words[-1])
        elif key == "tr" and _is_number(words[-1]):
            opacity = 1 - float(words[-1])
        elif key == "map_kd" and (name := map_file(line)) in material.maps:
            picture = pictures.decode_once(material.maps[name], name, shown)
            if picture is None:
                notes.append(f"The texture {name} of {label} is no picture; save it again as PNG.")
    if picture is not None and not any(colour):
        # Kd times the map would be black everywhere; exporters write it and mean the map alone.
        colour = (1.0, 1.0, 1.0)
    return picture, (*colour, min(max(opacity, 0.0), 1.0))
