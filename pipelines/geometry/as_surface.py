"""A model as rendering and the fields see it: one surface at unit size.

This module knows nothing about files.
"""

from typing import Literal

import numpy as np
import torch

from pipelines.geometry.corners import corner_normals
from pipelines.geometry.model import Model
from pipelines.render.surface import Surface

Up = Literal["y", "z"]


def surface(model: Model, up: Up = "y") -> Surface:
    """All parts as one surface in the unit ball; `atlas` is the number of a face's part.

    up: the model's axis that becomes the surface's y. Where it is z, -y is the front, as in
    Blender.

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
        points = part.vertices[used]
        vertices.append(points if up == "y" else points[:, [0, 2, 1]] * (1, 1, -1))
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
