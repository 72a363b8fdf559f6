"""PLY, STL and OFF through trimesh: one part, with what colours it has.

Vertices and faces stay as the file has them: trimesh's merging is off. This module knows nothing
about scenes, which these formats do not have.
"""

import io
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.geometry import pictures
from pipelines.geometry.files import Files
from pipelines.geometry.model import Floats, Part, linear


def read_plain(
    content: bytes, kind: str, name: str, files: Files
) -> tuple[list[Part], list[str], None]:
    """The one part of a file of kind "ply", "stl" or "off", notes, and no source to write back to.

    name: what to call it. Raises InputError for a point cloud, others for what cannot be parsed.
    """
    # No resolver: trimesh opens no file of its own; a PLY's texture is read here.
    options = {"fix_texture": False, "skip_materials": True} if kind == "ply" else {}
    scene = trimesh.load_scene(io.BytesIO(content), file_type=kind, process=False, **options)
    meshes = list(scene.geometry.values())
    if not any(isinstance(mesh, trimesh.Trimesh) for mesh in meshes):
        raise InputError(
            f"{name} holds no faces: it is empty, or a point cloud. "
            "Make a mesh of it first, for example with MeshLab's surface reconstruction."
        )
    mesh = next(mesh for mesh in meshes if isinstance(mesh, trimesh.Trimesh))
    vertices = np.asarray(mesh.vertices, dtype=np.float64)
    faces = np.asarray(mesh.faces, dtype=np.int64)
    raw = mesh.metadata.get("_ply_raw", {})
    notes: list[str] = []
    uv = _uv(raw, faces)
    part = Part(
        name=name,
        vertices=vertices,
        faces=faces,
        uv=None,
        old_uv=uv,
        picture=None if uv is None else _texture(content, files, notes),
        colours=_colours(mesh, faces),
    )
    return [part], notes, None


def _uv(raw: dict[str, Any], faces: NDArray[np.int64]) -> Floats | None:
    """(F, 3, 2) from a PLY's faces (`texcoord`) or vertices (`u`, `v` or their other names)."""
    per_face, per_vertex = (raw.get(key, {}).get("data") for key in ("face", "vertex"))
    texcoord = _field(per_face, "texcoord")
    if texcoord is not None:
        texcoord = texcoord["f1"] if texcoord.dtype.names else texcoord
        if np.shape(texcoord) == (len(faces), 6):
            return np.asarray(texcoord, dtype=np.float64).reshape(-1, 3, 2)
    for u, v in (("texture_u", "texture_v"), ("u", "v"), ("s", "t")):
        if _field(per_vertex, u) is not None and _field(per_vertex, v) is not None:
            pair = [_field(per_vertex, key).reshape(-1) for key in (u, v)]
            return np.stack(pair, axis=1).astype(np.float64)[faces]
    return None


def _field(data: Any, key: str) -> NDArray | None:
    """A column of what trimesh keeps of a PLY: a dict, or an array with named fields."""
    names = data if isinstance(data, dict) else getattr(getattr(data, "dtype", None), "names", None)
    return np.asarray(data[key]) if names and key in names else None


def _texture(content: bytes, files: Files, notes: list[str]) -> NDArray[np.uint8] | None:
    """The picture a PLY names in a comment, as MeshLab writes it."""
    header = content[: content.find(b"end_header")].decode("utf-8", "surrogateescape")
    for line in header.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == "comment" and words[1].lower() == "texturefile":
            data = files.read(words[2].strip())
            picture = None if data is None else pictures.decode(data, words[2].strip())
            if picture is None:
                notes.append(f"The texture {words[2].strip()} is missing or no picture.")
            return picture
    return None


def _colours(mesh: trimesh.Trimesh, faces: NDArray[np.int64]) -> Floats | None:
    """(F, 3, 3) linear light, of vertices or faces."""
    if mesh.visual.kind == "face":
        coded = np.repeat(np.asarray(mesh.visual.face_colors)[:, None, :3], 3, axis=1)
    elif mesh.visual.kind == "vertex":
        coded = np.asarray(mesh.visual.vertex_colors)[:, :3][faces]
    else:
        return None
    return linear(coded / 255.0).astype(np.float32)
