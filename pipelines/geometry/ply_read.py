"""A PLY's one part: its polygons, its colours and its texture's place.

This module knows nothing about how a PLY is laid out.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.files import BESIDE, Files, as_text
from pipelines.geometry.model import Floats, Part, light_of
from pipelines.geometry.ply_file import Column, read_columns
from pipelines.geometry.polygons import fans

UVS = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))
"""What programs call the texture coordinates of a vertex."""
Element = dict[str, Column]


def read_ply(content: bytes, name: str, files: Files) -> tuple[list[Part], list[str], None]:
    """The part, if the file has faces, notes, and no source to write back to. name: the part's.

    Raises InputError for names outside the folder, others for what cannot be parsed.
    """
    elements = read_columns(content)
    vertex, face = elements.get("vertex", {}), elements.get("face", {})
    corners = _corners(face)
    if corners is None:
        return [], [], None
    polygon, places = fans(corners.sizes)
    faces = corners.values.astype(np.int64)[places]
    notes: list[str] = []
    uv = _uv(vertex, face, corners, places)
    part = Part(
        name=name,
        vertices=np.stack([vertex[axis].values for axis in "xyz"], axis=1).astype(np.float64),
        faces=faces,
        uv=None,
        old_uv=uv,
        picture=None if uv is None else _texture(content, files, notes),
        colours=_colours(vertex, face, faces, polygon),
    )
    return [part], notes, None


def _corners(face: Element) -> Column | None:
    """The vertices of every face, by either of their names, or where there is nothing else."""
    for name in ("vertex_indices", "vertex_index"):
        if name in face:
            return face[name]
    return next(iter(face.values())) if len(face) == 1 else None


def _uv(
    vertex: Element, face: Element, corners: Column, places: NDArray[np.int64]
) -> Floats | None:
    """(F, 3, 2) of faces (`texcoord`) or of vertices; None where not every corner has one."""
    listed = face.get("texcoord")
    if listed is not None and np.array_equal(listed.sizes, 2 * corners.sizes):
        return listed.values.astype(np.float64).reshape(-1, 2)[places]
    for names in UVS:
        if all(name in vertex for name in names):
            pairs = np.stack([vertex[name].values for name in names], axis=1).astype(np.float64)
            return pairs[corners.values[places]]
    return None


def _texture(content: bytes, files: Files, notes: list[str]) -> NDArray[np.uint8] | None:
    """The picture a PLY names in a comment, as MeshLab writes it."""
    header = as_text(content[: content.find(b"end_header")])
    lines = [line.split(None, 2) for line in header.splitlines()]
    names = [
        words[2].strip()
        for words in lines
        if len(words) == 3 and words[0] == "comment" and words[1].lower() == "texturefile"
    ]
    if len(names) > 1:
        notes.append(
            f"Of the mesh's {len(names)} textures only the first, {names[0]}, is read, and it "
            "covers everything. Save the mesh as OBJ or GLB to keep them all."
        )
    return _picture(names[0], files, notes) if names else None


def _picture(name: str, files: Files, notes: list[str]) -> NDArray[np.uint8] | None:
    data = files.read(name)
    if data is None:
        notes.append(f"The texture {name} is missing; the mesh starts white. {BESIDE}")
        return None
    picture = pictures.decode(data, name)
    if picture is None:
        notes.append(f"The texture {name} is no picture; save it again as PNG.")
    return picture


def _colours(
    vertex: Element, face: Element, faces: NDArray[np.int64], polygon: NDArray[np.int64]
) -> Floats | None:
    """(F, 3, 3) linear light, of vertices, else of the polygons that the faces are of."""
    of_vertices, of_polygons = _light(vertex), _light(face)
    if of_vertices is not None:
        return of_vertices[faces]
    return None if of_polygons is None else np.repeat(of_polygons[polygon, None], 3, axis=1)


def _light(element: Element) -> Floats | None:
    """(rows, 3) linear light; None where the element has no colours."""
    if not all(name in element for name in ("red", "green", "blue")):
        return None
    coded = np.stack([element[name].values for name in ("red", "green", "blue")], axis=1)
    return light_of(coded, np.iinfo(coded.dtype).max if coded.dtype.kind in "iu" else 1)
