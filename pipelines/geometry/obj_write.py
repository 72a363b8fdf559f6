"""Write a painted model as OBJ, with its MTL and its pictures beside it.

A model that came from an OBJ is written with its own lines: vertices, groups, polygons, comments
and all that its materials say stay as they were. Only faces with new UVs are written anew, as
triangles. This module knows nothing about how textures are made.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.base import with_alpha
from pipelines.geometry.corners import corner_normals
from pipelines.geometry.gltf_write import Textures
from pipelines.geometry.model import Floats, Model, srgb
from pipelines.geometry.obj_read import Material, Obj, map_file
from pipelines.media.files import replacing


def write_obj(path: Path | str, model: Model, textures: Textures) -> list[Path]:
    """Write `path`, its .mtl and its pictures; gives the files written, the OBJ first.

    textures: as for `write_glb`. What OBJ has no words for (scenes of nodes, PBR maps of a glTF)
    is not in it.
    """
    path = Path(path)
    if isinstance(model.source, Obj):
        text = _edited(model, model.source, textures)
        materials = model.source.materials
        labels = list(model.source.labels)
    else:
        labels = [f"part_{k}" for k in range(len(model.parts))]
        text, materials = _built(model, labels), {}
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
    yield from obj.points
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
    label_of = dict(zip(obj.face_lines.tolist(), obj.part_of.tolist(), strict=True))
    label = None
    for at, line in enumerate(obj.body):
        if at in label_of and label_of[at] != label:
            label = label_of[at]
            yield f"usemtl {_label(obj.labels[label], label)}"
        yield from faces.get(at, [line])


def _built(model: Model, labels: list[str]) -> Iterator[str]:
    """The lines of a model that came from another kind of file."""
    for part in model.parts:
        yield from (f"v {x:.17g} {y:.17g} {z:.17g}" for x, y, z in part.vertices.tolist())
    before = np.zeros(3, dtype=np.int64)
    for part, label in zip(model.parts, labels, strict=True):
        uv = part.uv if part.uv is not None else part.old_uv
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


def _materials(
    stem: str,
    model: Model,
    textures: Textures,
    labels: list[str],
    old: dict[str, Material],
) -> tuple[dict[str, bytes], list[str]]:
    """The pictures to write, by name, and the lines of the MTL."""
    files: dict[str, bytes] = {}
    lines: list[str] = []
    for k, (part, texture, label) in enumerate(zip(model.parts, textures, labels, strict=True)):
        lines.append(f"newmtl {_label(label, k)}")
        material = old.get(label)
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
            name = f"{stem}_{k}.png"
            files[name] = pictures.encode_png(picture)
            lines.append(f"map_Kd {name}")
    return files, lines


def _with_copied_map(line: str, material: Material, stem: str, files: dict[str, bytes]) -> str:
    """A statement of an MTL; the picture it names is put beside the new file, under its own name.

    Two pictures of one name in different folders get a number.
    """
    name = map_file(line)
    if name not in material.maps:
        return line
    content = material.maps[name]
    base = f"{stem}_{name.replace(chr(92), '/').rsplit('/', 1)[-1]}"
    taken, k = base, 1
    while files.setdefault(taken, content) != content:
        k += 1
        taken = f"{k}_{base}"
    return line[: line.rindex(name)] + taken


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
