"""Meshes in and out: the one door to trimesh and xatlas.

    model = unwrap(read_mesh("cow.glb"))
    seen = surface(model)
    ...
    write_glb("painted.glb", model, textures)

Knows nothing about diffusion, prompts or pages. Coordinates are the file's own but for `surface`;
textures have v up and their first row on top.
"""

from pipelines.geometry.as_surface import Up, surface
from pipelines.geometry.base import base_colour
from pipelines.geometry.gltf_write import write_glb
from pipelines.geometry.model import Model, Part
from pipelines.geometry.obj_write import write_obj
from pipelines.geometry.read import MESHES, READABLE, read_mesh, read_settings
from pipelines.geometry.unwrapping import decimate, unwrap, unwrap_by_beats

__all__ = [
    "MESHES",
    "READABLE",
    "Model",
    "Part",
    "Up",
    "base_colour",
    "decimate",
    "read_mesh",
    "read_settings",
    "surface",
    "unwrap",
    "unwrap_by_beats",
    "write_glb",
    "write_obj",
]
