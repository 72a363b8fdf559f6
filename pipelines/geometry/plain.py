"""STL and OFF: shapes without textures, OFF with what colours it has.

Vertices and faces stay as the file has them, in its order; so trimesh reads no OFF, whose quads it
sorts. This module knows nothing about scenes, which these formats do not have.
"""

import io
import re

import numpy as np
from numpy.typing import NDArray
from trimesh.exchange.stl import load_stl

from pipelines.geometry.files import as_text
from pipelines.geometry.model import Floats, Part, light_of
from pipelines.geometry.polygons import fans

Rows = list[list[str]]
"""The words of a text's lines."""


def read_stl(content: bytes, name: str) -> tuple[list[Part], list[str], None]:
    """A part for every solid, called as it is; a single one is called `name`. No notes, no source.

    Raises ValueError, ... for what cannot be parsed.
    """
    found = load_stl(io.BytesIO(content))
    solids = found.get("geometry", {name: found})
    parts = [
        Part(
            name=called,
            vertices=np.asarray(solid["vertices"], dtype=np.float64),
            faces=np.asarray(solid["faces"], dtype=np.int64),
            uv=None,
        )
        for called, solid in solids.items()
    ]
    return parts, [], None


def read_off(content: bytes, name: str) -> tuple[list[Part], list[str], None]:
    """The one part, no notes, and no source to write back to. name: what to call it.

    Raises ValueError, IndexError for what cannot be parsed.
    """
    lines = as_text(content).splitlines()
    rows = [words for line in lines if (words := line.split("#", 1)[0].split())]
    kind = rows[0].pop(0).upper()
    if not re.fullmatch("(ST|C|N)*OFF", kind):
        raise ValueError("not an OFF of three dimensions")
    # The counts may stand beside the kind or below it.
    (points, polygons, *_), *rows = [row for row in rows if row]
    points, polygons = int(points), int(polygons)
    vertices, faces = rows[:points], rows[points : points + polygons]
    if len(faces) != polygons:
        raise ValueError("the file was cut short")
    return [_part(name, kind, vertices, faces)], [], None


def _part(name: str, kind: str, vertices: Rows, polygons: Rows) -> Part:
    """kind: its letters before OFF say what follows the place of a vertex: colours, normals, UVs.

    Where it has normals too, colours are left out: programs disagree on which of them come first.
    """
    sizes = np.array([int(row[0]) for row in polygons], dtype=np.int64)
    corners = [word for row in polygons for word in row[1 : int(row[0]) + 1]]
    if len(corners) != sizes.sum():
        raise ValueError("a face has too few corners")
    polygon, places = fans(sizes)
    faces = np.array(corners, dtype=np.int64)[places]
    colours = None
    if "C" in kind and "N" not in kind:
        colours = _light(vertices, 3)[faces]
    elif polygons and all(len(row) - int(row[0]) in (4, 5) for row in polygons):
        rest = [row[int(row[0]) + 1 :] for row in polygons]
        colours = np.repeat(_light(rest, 0)[polygon, None], 3, axis=1)
    uv = _numbers([row[-2:] for row in vertices], 0, 2)[faces] if "ST" in kind else None
    return Part(name, _numbers(vertices, 0, 3), faces, uv=None, old_uv=uv, colours=colours)


def _numbers(rows: Rows, start: int, count: int) -> NDArray[np.float64]:
    """`count` columns from `start` on: (rows, count). ValueError where a row has fewer."""
    chosen = [row[start : start + count] for row in rows]
    return np.array(chosen, dtype=np.float64).reshape(len(rows), count)


def _light(rows: Rows, start: int) -> Floats:
    """Colours from column `start` on, in linear light (rows, 3)."""
    coded = _numbers(rows, start, 3)
    # The format has both, and does not say which.
    return light_of(coded, 255 if coded.max(initial=0) > 1 else 1)
