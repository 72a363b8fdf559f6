"""Part-labelled meshes of twelve families, with random proportions from a seed."""

from miniature.meshes.build import PartMesh, PartName, sample_mesh, surface, write_obj
from miniature.meshes.families import FAMILIES

__all__ = ["FAMILIES", "PartMesh", "PartName", "sample_mesh", "surface", "write_obj"]
