"""Wavefront OBJ, kept line by line so that it can be written back as it was.

A part is what one `usemtl` paints: all its faces, wherever in the file. trimesh is not used for
it: it splits vertices at UV seams and sorts faces by material, and both orders must survive.
This module knows nothing about other formats.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.geometry.files import Files, as_text
from pipelines.geometry.model import WHITE, Floats, Part, linear
from pipelines.geometry.mtl import Material, base_of, read_materials
from pipelines.geometry.pictures import Shown
from pipelines.geometry.polygons import fans

Face = tuple[int, int, str, tuple[int, int, int]]
"""A face while it is read: its line, its label, its corners, and how many v, vt, vn came before."""


@dataclass(frozen=True, eq=False)
class Obj:
    """An OBJ file's text and what its faces say."""

    head: tuple[str, ...]
    """Comments before the first statement."""
    points: tuple[str, ...]
    """The `v` lines; `vt` and `vn` likewise."""
    uvs: tuple[str, ...]
    normals: tuple[str, ...]
    body: tuple[str, ...]
    """All other lines, in order: faces, materials, groups, names, comments; without mtllib."""
    face_lines: NDArray[np.int64]
    """(T,) the line in `body` of every triangle, over all parts, in the file's order."""
    corners: NDArray[np.int64]
    """(T, 3, 3): v, vt and vn of every corner, from 0; -1 where the face has none."""
    part_of: NDArray[np.int64]
    """(T,) which part a triangle is in."""
    labels: tuple[str, ...]
    """The `usemtl` of every part; "" for faces before the first."""
    materials: dict[str, Material]


def read_obj(content: bytes, files: Files) -> tuple[list[Part], list[str], Obj]:
    """Parts with the UVs of the file in `old_uv`, notes, and the file's text.

    Raises InputError for indices out of range and for names outside the folder, ValueError for text
    that is no OBJ.
    """
    if b"\0" in content:
        # Without a statement in it, it would pass as empty.
        raise ValueError("packed, in UTF-16, or another kind of file")
    text = as_text(content).replace("\\\r\n", " ").replace("\\\n", " ")
    lines = text.splitlines()
    obj, libraries = _sections(lines)
    materials, notes = read_materials(libraries, files)
    points = _table(obj.points, (3, 4, 6, 7))
    uvs = _table(obj.uvs, (1, 2, 3)) if obj.uvs else np.zeros((0, 2))
    _check_indices(obj.corners, len(points), len(uvs), len(obj.normals))
    obj = replace(obj, materials=materials)
    shown: Shown = {}
    parts = [_part(obj, k, points, uvs, shown, notes) for k in range(len(obj.labels))]
    return parts, notes, obj


def _part(obj: Obj, k: int, points: Floats, uvs: Floats, shown: Shown, notes: list[str]) -> Part:
    corners = obj.corners[obj.part_of == k]
    label = obj.labels[k]
    picture, factor = None, WHITE
    if label in obj.materials:
        picture, factor = base_of(obj.materials[label], label, shown, notes)
    elif label:
        notes.append(f"The material {label!r} is in no material file; that part starts white.")
    complete = bool((corners[..., 1] >= 0).all()) and uvs.shape[1] >= 2
    colours = None
    if points.shape[1] >= 6:
        colours = linear(np.clip(points[:, -3:], 0, 1)).astype(np.float32)[corners[..., 0]]
    return Part(
        name=label or f"part {k + 1}",
        vertices=points[:, :3],
        faces=corners[..., 0],
        uv=None,
        old_uv=uvs[:, :2][corners[..., 1]] if complete else None,
        picture=picture,
        factor=factor,
        colours=colours,
    )


def _sections(lines: list[str]) -> tuple[Obj, list[str]]:
    """The file sorted into its kinds of lines, without materials; and the libraries it names."""
    kinds: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
    head, body, libraries, labels = [], [], [], {"": 0}
    faces: list[Face] = []
    label = 0
    for line in lines:
        words = line.split(None, 1)
        key = words[0] if words else ""
        if key in kinds:
            kinds[key].append(line)
        elif key == "f":
            counts = (len(kinds["v"]), len(kinds["vt"]), len(kinds["vn"]))
            faces.append((len(body), label, words[1] if len(words) > 1 else "", counts))
            body.append(line)
        elif key == "usemtl":
            label = labels.setdefault(words[1].strip() if len(words) > 1 else "", len(labels))
            body.append(line)
        elif key == "mtllib":
            libraries.append(words[1].strip() if len(words) > 1 else "")
        elif key in ("", "#") and not faces and not kinds["v"]:
            head.append(line)
        else:
            body.append(line)
    at, part_of, corners = _triangles(faces)
    used = np.unique(part_of)
    names = list(labels)
    obj = Obj(
        head=tuple(head),
        points=tuple(kinds["v"]),
        uvs=tuple(kinds["vt"]),
        normals=tuple(kinds["vn"]),
        body=tuple(body),
        face_lines=at,
        corners=corners,
        part_of=np.searchsorted(used, part_of),
        labels=tuple(names[k] for k in used),
        materials={},
    )
    return obj, libraries


def _triangles(faces: list[Face]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every polygon as a fan of triangles: line (T,), label (T,), corners (T, 3, 3) from 0."""
    texts = [face[2].split("#", 1)[0] for face in faces]
    sizes = np.array([len(text.split()) for text in texts], dtype=np.int64)
    corners = _plain_corners(" ".join(texts), int(sizes.sum()))
    if corners is None:
        pairs = zip(texts, faces, strict=True)
        rows = [_corner(word, face[3]) for text, face in pairs for word in text.split()]
        corners = np.array(rows, dtype=np.int64).reshape(-1, 3)
    face, triangles = fans(sizes)
    lines = np.array([face[:2] for face in faces], dtype=np.int64).reshape(-1, 2)[face]
    return lines[:, 0], lines[:, 1], corners[triangles]


def _plain_corners(text: str, count: int) -> NDArray[np.int64] | None:
    """All corners at once, (count, 3), where every one has the same form and none is relative."""
    slashes, double = text.count("/"), text.count("//")
    if "-" in text or double not in (0, count) or slashes not in (0, count, 2 * count):
        return None
    numbers = np.array(text.replace("/", " ").split(), dtype=np.int64)
    columns = (
        [0] if not slashes else [0, 2] if double else [0, 1, 2][: 1 + slashes // max(count, 1)]
    )
    if len(numbers) != count * len(columns):
        return None
    corners = np.full((count, 3), -1, dtype=np.int64)
    # A number 0 is no index: -2 fails the check, where -1 would pass as "none".
    corners[:, columns] = np.where(numbers > 0, numbers - 1, -2).reshape(count, len(columns))
    return corners


def _corner(word: str, counts: tuple[int, int, int]) -> tuple[int, ...]:
    """`v/vt/vn` from 0; a negative number counts back from the last line so far; none is -1."""
    numbers = [*word.split("/"), "", ""][:3]
    return tuple(
        -1 if not n else int(n) - 1 if int(n) > 0 else _back(int(n), count)
        for n, count in zip(numbers, counts, strict=True)
    )


def _back(number: int, count: int) -> int:
    """A relative index; below the first line it becomes -2, which no check lets pass."""
    return count + number if number < 0 and count + number >= 0 else -2


def _check_indices(corners: NDArray[np.int64], points: int, uvs: int, normals: int) -> None:
    for k, (count, what) in enumerate([(points, "vertex"), (uvs, "UV"), (normals, "normal")]):
        indices = corners[..., k]
        lowest = 0 if k == 0 else -1
        if indices.size and (indices.max() >= count or indices.min() < lowest):
            raise InputError(
                f"A face names a {what} that the file does not have (it has {count}). "
                "The file is damaged: export it again."
            )


def _table(lines: tuple[str, ...], widths: tuple[int, ...]) -> Floats:
    """The numbers of `v` or `vt` lines: (N, columns). ValueError unless all have one width."""
    rows = [line.split("#", 1)[0].split()[1:] for line in lines]
    fewest = min(map(len, rows), default=0)
    width = max((w for w in widths if w <= fewest), default=0)
    if rows and not width:
        raise ValueError("a line has too few numbers")
    return np.array([row[:width] for row in rows], dtype=np.float64).reshape(len(rows), width)
