"""Read a mesh of any kind and check it, so that nothing behind this has to ask again.

This module knows nothing about the formats themselves, nor about painting.
"""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipelines.errors import InputError
from pipelines.geometry.corners import face_normals
from pipelines.geometry.files import Files, Folder, open_archive, read_bounded
from pipelines.geometry.gltf_read import Gltf, read_gltf
from pipelines.geometry.model import Floats, Model, Part, check_size
from pipelines.geometry.obj_read import Obj, read_obj
from pipelines.geometry.plain import read_off, read_stl
from pipelines.geometry.ply_read import read_ply
from pipelines.geometry.uv import unusable
from pipelines.media.files import expect_file

MESHES = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off")
READABLE = "OBJ, GLB, glTF, PLY, STL, OFF, or a zip of one of them with its textures"
SETTINGS_KEY = "scorebrush"
"""Where `write_glb` embeds a run's settings, in asset.extras."""


LARGEST, SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
"""What fp32 holds, in which a GLB keeps coordinates."""


def read_mesh(path: Path | str) -> Model:
    """The scene in a file; parts have `uv` where the file's are usable, else None and a note why.

    Raises InputError for a file that cannot be read, names files outside its folder, or holds no
    mesh that can be painted.
    """
    path = Path(path)
    expect_file(path)
    name = PurePosixPath(path.name)
    files = folder = Folder(path.absolute().parent)
    if path.suffix.lower() == ".zip":
        inside, content, files = open_archive(path, MESHES)
        name = PurePosixPath(inside)
    elif path.suffix.lower() in MESHES:
        content = read_bounded(path)
    else:
        raise InputError(f"{path.name} is no mesh that is read here. Give {READABLE}.")
    try:
        parts, notes, source = _parse(content, name, files)
    except InputError as error:
        raise InputError(_readable(str(error))) from error
    except Exception as error:
        # A damaged file can fail anywhere in a parser, in any way.
        raise InputError(
            f"{name.name} is no {name.suffix[1:].upper()} that can be read, or it is damaged. "
            f"Export it again as {READABLE}."
        ) from error
    named = tuple(replace(part, name=_readable(part.name)) for part in parts)
    beside = tuple(folder.found)
    return _checked(Model(PurePosixPath(name.name), named, tuple(notes), source, beside))


def read_settings(path: Path | str) -> dict[str, Any] | None:
    """The settings that `write_glb` embedded in a GLB, or None where there are none.

    Raises InputError where there is no such file or it is no GLB.
    """
    path = Path(path)
    expect_file(path)
    try:
        with path.open("rb") as file:
            magic, _, _, length, _ = struct.unpack("<4sIIII", file.read(20))
            if magic != b"glTF":
                raise ValueError("not a GLB")
            tree = json.loads(file.read(length))
        return tree.get("asset", {}).get("extras", {}).get(SETTINGS_KEY)
    except (OSError, ValueError, struct.error, AttributeError) as error:
        raise InputError(f"{path.name} is no GLB that can be read.") from error


def _parse(
    content: bytes, name: PurePosixPath, files: Files
) -> tuple[list[Part], list[str], Obj | Gltf | None]:
    kind = name.suffix.lower()
    if kind == ".obj":
        return read_obj(content, files)
    if kind in (".glb", ".gltf"):
        return read_gltf(content, files)
    if kind == ".ply":
        return read_ply(content, name.stem, files)
    return (read_stl if kind == ".stl" else read_off)(content, name.stem)


def _readable(text: str) -> str:
    """The text with a replacement character for what is no character.

    Names in another encoding than UTF-8 hold lone surrogates, which no page and no JSON takes.
    """
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _checked(model: Model) -> Model:
    """The model with its UVs judged; InputError for what cannot be painted."""
    if not model.parts or not model.faces:
        raise InputError(
            f"{model.name} holds no faces: it is empty, or a point cloud. "
            "Make a mesh of it first, for example with MeshLab's surface reconstruction."
        )
    check_size(model.faces)
    boxes = np.array([_box(part) for part in model.parts])
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    if max(-low.min(), high.max()) > LARGEST or 0 < (high - low).max() < SMALLEST:
        raise InputError(
            f"The coordinates of {model.name} are too large or too small for a GLB, which has "
            f"{SMALLEST:.0e} to {LARGEST:.0e}. Scale it in a 3D editor."
        )
    if not any(face_normals(part.vertices, part.faces).any() for part in model.parts):
        raise InputError(f"No face of {model.name} has an area. Scale or repair it in a 3D editor.")
    # A file may name the same thing many times over.
    kept, notes = [], list(dict.fromkeys(map(_readable, model.notes)))
    for part in model.parts:
        why = unusable(part.vertices, part.faces, part.old_uv)
        kept.append(part if why else replace(part, uv=part.old_uv))
        if why:
            which = part.name if len(model.parts) > 1 else "The mesh"
            notes.append(f"{which} gets new UVs, because {why}.")
    return replace(model, parts=tuple(kept), notes=tuple(notes))


def _box(part: Part) -> Floats:
    """(2, 3): the lowest and the highest corner of its faces; InputError where there is none."""
    if part.faces.min() < 0 or part.faces.max() >= len(part.vertices):
        raise InputError(
            f"A face of {part.name} names a vertex that the file does not have. "
            "The file is damaged: export it again."
        )
    points = part.vertices[part.faces]
    if not np.isfinite(points).all():
        raise InputError(
            f"{part.name} has coordinates that are not finite numbers. Repair it in a 3D editor."
        )
    return np.stack([points.min(axis=(0, 1)), points.max(axis=(0, 1))])
