"""A part-labelled mesh from a split and a seed, as a surface to render and as a file to paint.

This module knows nothing about colours, captions or pictures.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from miniature.meshes.families import FAMILIES
from miniature.scenes import Split
from pipelines.geometry.corners import corner_normals
from pipelines.render.surface import Surface

Array = np.ndarray

_STREAMS = {"train": 10, "tune": 11, "test": 12}
"""First word of each split's random stream: other than those of the scenes."""


@dataclass(frozen=True)
class PartName:
    """How a part is called."""

    name: str
    plural: bool


@dataclass(frozen=True, eq=False)
class PartMesh:
    """A mesh whose every face belongs to a known part, at unit size (see `Surface`), y up."""

    family: str
    parts: tuple[PartName, ...]
    vertices: Array
    """float32 (V, 3)."""
    faces: Array
    """int64 (F, 3), counter-clockwise from outside."""
    labels: Array
    """int64 (F,): which of `parts` a face belongs to."""

    def box(self, parts: Collection[int]) -> torch.Tensor:
        """The least and the greatest coordinates of some of the parts: (2, 3)."""
        corners = self.vertices[self.faces[np.isin(self.labels, list(parts))]].reshape(-1, 3)
        return torch.from_numpy(np.stack([corners.min(0), corners.max(0)]))

    @cached_property
    def areas(self) -> Array:
        """The surface of each part: (K,)."""
        a, b, c = np.moveaxis(self.vertices[self.faces], 1, 0)
        faces = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        return np.bincount(self.labels, faces, len(self.parts))


def sample_mesh(split: Split, seed: int, family: str | None = None) -> PartMesh:
    """Mesh number `seed` of a split, of a random or a given family.

    The splits never share a random stream.
    """
    rng = np.random.default_rng([_STREAMS[split], seed])
    drawn = str(rng.choice(list(FAMILIES)))
    family = drawn if family is None else family
    vertices, faces, labels, start = [], [], [], 0
    parts = FAMILIES[family](rng)
    for label, part in enumerate(parts):
        for solid in part.solids:
            vertices.append(solid.vertices)
            faces.append(solid.faces + start)
            labels.append(np.full(len(solid.faces), label))
            start += len(solid.vertices)
    names = tuple(PartName(part.name, part.plural) for part in parts)
    unit = _unit(np.concatenate(vertices)).astype(np.float32)
    return PartMesh(family, names, unit, np.concatenate(faces), np.concatenate(labels))


def _unit(vertices: Array) -> Array:
    """Box centred at 0, farthest vertex at distance 1."""
    vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2
    return vertices / np.linalg.norm(vertices, axis=1).max()


def surface(mesh: PartMesh) -> Surface:
    """The mesh as rendering wants it: normals smooth but over creases, every face on texture 0."""
    return Surface(
        vertices=torch.from_numpy(mesh.vertices),
        faces=torch.from_numpy(mesh.faces),
        normals=torch.from_numpy(corner_normals(mesh.vertices, mesh.faces)).float(),
        uv=torch.from_numpy(_grid_atlas(len(mesh.faces))),
        atlas=torch.zeros(len(mesh.faces), dtype=torch.long),
    )


def _grid_atlas(count: int) -> Array:
    """(count, 3, 2): two faces to a square cell, each a right triangle, with a gap all round."""
    side = int(np.ceil(np.sqrt((count + 1) // 2)))
    cell, upper = np.divmod(np.arange(count), 2)
    corner = np.stack([cell % side, cell // side], axis=1)
    lower_left = np.array([(0.1, 0.1), (0.75, 0.1), (0.1, 0.75)])
    halves = np.stack([lower_left, 1 - lower_left])
    return ((corner[:, None] + halves[upper]) / side).astype(np.float32)


def write_obj(path: Path, mesh: PartMesh) -> None:
    """Write the mesh as a plain OBJ without texture coordinates, faces in their order."""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")
