"""Write a painted model as OBJ, with its MTL and its pictures beside it.

A model that came from an OBJ is written with its own lines: vertices, groups, polygons, comments
and all that its materials say stay as they were. Only faces with new UVs are written anew, as
triangles. This module knows nothing about how textures are made.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.base import with_alpha
from pipelines.geometry.corners import corner_normals
from pipelines.geometry.model import Floats, Model, Part, Textures, srgb
from pipelines.geometry.mtl import Material, map_file
from pipelines.geometry.obj_read import Obj
from pipelines.media.files import replacing

LONGEST = 200
"""Bytes of a picture's own name; with what is put before it, a file system takes 255."""


def write_obj(path: Path | str, model: Model, textures: Textures) -> list[Path]:
    """Write `path`, its .mtl and its pictures; gives the files written, the OBJ first.

    textures: as for `write_glb`. What OBJ has no words for is not in it: scenes of nodes, PBR maps
    of a glTF, colours of faces (a vertex takes one of them).
    """
    path = Path(path)
    if isinstance(model.source, Obj):
        text = _edited(model, model.source, textures)
        materials = model.source.materials
        labels = list(model.source.labels)
    else:
        labels = [f"part_{k}" for k in range(len(model.parts))]
        text, materials = _built(model, textures, labels), None
    pictures_of, lines = _materials(path.stem, model, textures, labels, materials)
    library = path.with_suffix(".mtl")
    files = [(path.with_name(name), content) for name, content in pictures_of.items()]
    files.append((library, _encoded(lines)))
    # The OBJ last: where it is, everything it names is there.
    files.append((path, _encoded([f"mtllib {library.name}", *text])))
    for file, content in files:
        with replacing(file) as unfinished:
            unfinished.write_bytes(content)
    return [file for file, _ in reversed(files)]


def _edited(model: Model, obj: Obj, textures: Textures) -> Iterator[str]:
    """The lines of the OBJ a model came from, with new UVs where parts have them."""
    anew = [
        texture is not None and not part.keeps_uv
        for texture, part in zip(textures, model.parts, strict=True)
    ]
    yield from obj.head
    yield from _points(model, obj, textures)
    yield from obj.uvs
    faces: dict[int, list[str]] = {}
    before = len(obj.uvs)
    index = np.zeros((len(obj.part_of), 3), dtype=np.int64)
    for k in np.flatnonzero(anew):
        lines, numbers = _listed("vt", model.parts[k].uv)
        yield from lines
        index[obj.part_of == k] = numbers + before
        before += len(lines)
    yield from obj.normals
    relative = np.array(["-" in obj.body[at] for at in obj.face_lines], dtype=bool)
    for k in np.flatnonzero(np.array(anew)[obj.part_of] | relative):
        corners = obj.corners[k]
        if anew[obj.part_of[k]]:
            corners = np.stack([corners[:, 0], index[k], corners[:, 2]], axis=1)
        faces.setdefault(int(obj.face_lines[k]), []).append(_face(corners))
    # Faces before the first `usemtl` have no material yet; painted, they need one.
    nameless = {k for k, label in enumerate(obj.labels) if not label and textures[k] is not None}
    first = {int(obj.face_lines[obj.part_of == k][0]): _label("", k) for k in nameless}
    for at, line in enumerate(obj.body):
        if at in first:
            yield f"usemtl {first[at]}"
        yield from faces.get(at, [line])


def _points(model: Model, obj: Obj, textures: Textures) -> Iterator[str]:
    """The `v` lines; vertex colours of painted parts turn white, as they multiply the texture."""
    white: set[int] = set()
    for part, texture in zip(model.parts, textures, strict=True):
        if texture is not None and part.colours is not None:
            white.update(part.faces.ravel().tolist())
    for k, line in enumerate(obj.points):
        yield " ".join([*line.split("#", 1)[0].split()[:-3], "1 1 1"]) if k in white else line


def _built(model: Model, textures: Textures, labels: list[str]) -> Iterator[str]:
    """The lines of a model that came from another kind of file."""
    rows = [part.vertices for part in model.parts]
    pairs = list(zip(model.parts, textures, strict=True))
    if any(part.colours is not None and texture is None for part, texture in pairs):
        rows = [np.concatenate([p.vertices, _vertex_colours(p, t)], axis=1) for p, t in pairs]
    for row in np.concatenate(rows).tolist():
        yield "v " + " ".join(f"{x:.17g}" for x in row)
    before = np.zeros(3, dtype=np.int64)
    for (part, texture), label in zip(pairs, labels, strict=True):
        # Where nothing is painted the old picture stays, and it lies in the old UVs.
        uv = part.old_uv if texture is None else part.uv
        uv_lines, at = ([], None) if uv is None else _listed("vt", uv)
        normal_lines, normal = _listed("vn", corner_normals(part.vertices, part.faces))
        yield from uv_lines
        yield from normal_lines
        yield f"o {' '.join(part.name.split()) or label}"
        yield f"usemtl {label}"
        none = np.full(part.faces.shape, -1)
        corners = [part.faces + before[0], none if at is None else at + before[1]]
        corners.append(normal + before[2])
        for face in np.stack(corners, axis=2):
            yield _face(face)
        before += (len(part.vertices), len(uv_lines), len(normal_lines))


def _vertex_colours(part: Part, texture: NDArray[np.uint8] | None) -> Floats:
    """(V, 3) sRGB: the colours of a part that is not painted, else white."""
    colours = np.ones_like(part.vertices)
    if part.colours is not None and texture is None:
        colours[part.faces] = srgb(part.colours).round(6)
    return colours


def _materials(
    stem: str,
    model: Model,
    textures: Textures,
    labels: list[str],
    old: dict[str, Material] | None,
) -> tuple[dict[str, bytes], list[str]]:
    """The pictures to write, by name, and the lines of the MTL.

    old: the materials of the OBJ it came from; None where it came from another kind of file.
    """
    files: dict[str, bytes] = {}
    lines: list[str] = []
    for k, (part, texture, label) in enumerate(zip(model.parts, textures, labels, strict=True)):
        material = None if old is None else old.get(label)
        if old is not None and material is None and texture is None:
            continue
        lines.append(f"newmtl {_label(label, k)}")
        for line in material.lines if material else ():
            if texture is None or line.split()[0].lower() not in ("kd", "map_kd"):
                lines.append(_with_copied_map(line, material, stem, files))
        picture = part.picture if material is None else None
        if texture is not None:
            picture = with_alpha(texture, part)
        if texture is not None or material is None:
            colour = (1.0, 1.0, 1.0) if texture is not None else srgb(np.array(part.factor[:3]))
            lines.append("Kd " + " ".join(f"{c:.6g}" for c in colour))
        if picture is not None:
            name = _put(files, f"{stem}_{k}.png", pictures.encode_png(picture))
            lines.append(f"map_Kd {name}")
    return files, lines


def _with_copied_map(line: str, material: Material, stem: str, files: dict[str, bytes]) -> str:
    """A statement of an MTL; the picture it names is put beside the new file, by its own name."""
    name = map_file(line)
    if name not in material.maps:
        return line
    base = _fitting(name.replace("\\", "/").rsplit("/", 1)[-1])
    # A file that was written here before keeps its names when it is written again.
    own = base if base.startswith(f"{stem}_") else f"{stem}_{base}"
    return line[: line.rindex(name)].removesuffix('"') + _put(files, own, material.maps[name])


def _fitting(name: str) -> str:
    """The end of a name that leaves no room for more in front."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= LONGEST else encoded[-LONGEST:].decode("utf-8", "ignore")


def _put(files: dict[str, bytes], name: str, content: bytes) -> str:
    """Add a picture and give its name, with a number at its end if another has that name."""
    taken, k = name, 1
    while files.setdefault(taken, content) != content:
        k += 1
        taken = f"{PurePath(name).stem}_{k}{PurePath(name).suffix}"
    return taken


def _listed(key: str, values: Floats) -> tuple[list[str], NDArray[np.int64]]:
    """Each different value once, as lines, and for every corner (F, 3) which it is, from 0."""
    rows, number = np.unique(
        values.reshape(-1, values.shape[2]).round(8), axis=0, return_inverse=True
    )
    lines = [f"{key} " + " ".join(f"{x:.8g}" for x in row) for row in rows.tolist()]
    return lines, number.reshape(values.shape[:2])


def _face(corners: NDArray[np.int64]) -> str:
    """`f v/vt/vn ...` of corners (3, 3) counted from 0, -1 for none."""
    words = []
    for v, vt, vn in (corners + 1).tolist():
        words.append(f"{v}/{vt or ''}/{vn or ''}".rstrip("/"))
    return "f " + " ".join(words)


def _label(label: str, number: int) -> str:
    return label or f"part_{number}"


def _encoded(lines: Iterator[str] | list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
