"""A model that came from another kind of file as a glTF document, for `write_glb` to paint.

This module knows nothing about how a texture is put in.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.corners import corner_normals, split
from pipelines.geometry.gltf_file import Document, Tree, add_array, add_texture
from pipelines.geometry.gltf_read import Place
from pipelines.geometry.model import Floats, Model, Part, Textures

ROUNDING = 1e-5
"""How far fp32 may move a vertex, in extents of the model."""


def build(model: Model, textures: Textures) -> tuple[Document, tuple[Place, ...]]:
    """A document of parts that come from another kind of file, as they are before painting."""
    document = Document({"asset": {"version": "2.0", "generator": "Scorebrush"}, "scene": 0}, [])
    document.tree["scenes"] = [{"nodes": list(range(len(model.parts)))}]
    centre = _far_centre(model)
    moved = {"translation": centre.tolist()} if centre.any() else {}
    images: dict[int, int] = {}
    for k, (part, texture) in enumerate(zip(model.parts, textures, strict=True)):
        stays = texture is None or part.keeps_uv
        uv = part.old_uv if stays else None
        primitive = {
            "attributes": {},
            "material": _material(document, part, images if stays and uv is not None else None),
        }
        _fill(document, primitive, part, uv, centre, shared=len(model.parts) > 1)
        document.listed("meshes").append({"name": part.name, "primitives": [primitive]})
        document.listed("nodes").append({"name": part.name, "mesh": k, **moved})
    return document, tuple(Place(k, 0, False) for k in range(len(model.parts)))


def _far_centre(model: Model) -> Floats:
    """(3,) where the model lies, if that is so far away that fp32 would spoil its shape; else 0.

    Vertices are stored as fp32. What moves a node is text, which keeps every digit.
    """
    used = np.concatenate([part.vertices[np.unique(part.faces)] for part in model.parts])
    low, high = used.min(axis=0), used.max(axis=0)
    extent = (high - low).max()
    if not extent or np.abs(used).max() * 2.0**-24 <= ROUNDING * extent:
        return np.zeros(3)
    # Few digits, so that viewers which calculate in fp32 are off by a shift at most.
    step = 2.0 ** np.floor(np.log2(extent))
    return ((low / 2 + high / 2) / step).round() * step


def _fill(
    document: Document,
    primitive: Tree,
    part: Part,
    uv: Floats | None,
    centre: Floats,
    shared: bool,
) -> None:
    """Positions, normals, UVs and colours of a part, with vertices split where corners differ.

    centre (3,): what is taken from the positions.
    """
    vertices, faces = part.vertices, part.faces
    if shared:
        # The parts of an OBJ share one list of vertices: each takes what it uses.
        used, faces = np.unique(faces, return_inverse=True)
        vertices, faces = vertices[used], faces.reshape(-1, 3)
    columns = {"NORMAL": corner_normals(vertices, faces)}
    if uv is not None:
        columns["TEXCOORD_0"] = uv * (1, -1) + (0, 1)
    if part.colours is not None:
        columns["COLOR_0"] = part.colours
    values = np.concatenate(list(columns.values()), axis=2).astype(np.float32)
    faces, origin, rows = split(faces, values, len(vertices))
    attributes = primitive["attributes"]
    attributes["POSITION"] = add_array(document, (vertices[origin] - centre).astype(np.float32))
    at = 0
    for key, column in columns.items():
        width = column.shape[2]
        attributes[key] = add_array(document, _unit(key, rows[:, at : at + width]))
        at += width
    primitive["indices"] = add_array(document, faces.reshape(-1, 1).astype(np.uint32))


def _unit(key: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normals must be of unit length in glTF, those of vertices without a face too."""
    if key == "NORMAL":
        rows[~rows.any(axis=1)] = (0, 1, 0)
    return np.ascontiguousarray(rows)


def _material(document: Document, part: Part, images: dict[int, int] | None) -> int:
    """The part's material as it was read; images: textures by picture, None to leave it out."""
    base: Tree = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    if part.factor != (1, 1, 1, 1):
        base["baseColorFactor"] = list(part.factor)
    if part.picture is not None and images is not None:
        key = id(part.picture)
        if key not in images:
            images[key] = add_texture(document, pictures.encode_png(part.picture), {})
        base["baseColorTexture"] = {"index": images[key]}
    clear = part.factor[3] < 1 or (part.picture is not None and part.picture.shape[2] == 4)
    about = {"name": part.name, "pbrMetallicRoughness": base}
    document.listed("materials").append(about | ({"alphaMode": "BLEND"} if clear else {}))
    return len(document.tree["materials"]) - 1
