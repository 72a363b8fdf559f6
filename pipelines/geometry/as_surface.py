"""A model as rendering and the fields see it: one surface at unit size.

This module knows nothing about files.
"""

import numpy as np
import torch

from pipelines.geometry.corners import corner_normals
from pipelines.geometry.model import Model
from pipelines.render.surface import Surface


def surface(model: Model) -> Surface:
    """All parts as one surface in the unit ball; `atlas` is the number of a face's part.

    Faces keep their order: those of part 0, then those of part 1, ... Vertices that no face uses
    are left out. Raises ValueError unless every part has UVs (`unwrap` gives them).
    """
    missing = [part.name for part in model.parts if part.uv is None]
    if missing:
        raise ValueError(f"{missing[0]} has no UVs: call unwrap first")
    vertices, faces, normals = [], [], []
    before = 0
    for part in model.parts:
        used, local = np.unique(part.faces, return_inverse=True)
        vertices.append(part.vertices[used])
        faces.append(local.reshape(-1, 3) + before)
        normals.append(corner_normals(vertices[-1], local.reshape(-1, 3)))
        before += len(used)
    points = _at_unit_size(np.concatenate(vertices))
    sizes = [len(part.faces) for part in model.parts]
    uv = np.concatenate([np.clip(part.uv, 0, 1) for part in model.parts])
    return Surface(
        vertices=torch.from_numpy(points).float(),
        faces=torch.from_numpy(np.concatenate(faces)),
        normals=torch.from_numpy(np.concatenate(normals)).float(),
        uv=torch.from_numpy(uv).float(),
        atlas=torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)),
    )


def _at_unit_size(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    points = points - (low / 2 + high / 2)
    return points / np.linalg.norm(points, axis=1).max()
