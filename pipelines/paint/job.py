"""What can be asked of a painting. This module knows nothing about how one is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from pipelines.geometry import Up
from pipelines.paint.composites import Words
from pipelines.teachers.catalog import MINIATURE
from pipelines.teachers.painting import Painting

Preset = Literal["quick", "standard", "fine", "paper"]
STEPS: dict[Preset, int] = {"quick": 60, "standard": 300, "fine": 1000, "paper": 5000}


@dataclass(frozen=True)
class PaintMesh:
    """Paint a mesh by saying what it is, which part to paint and how."""

    mesh: tyro.conf.Positional[Path]
    """The mesh to paint: obj, glb, gltf, ply, stl or off, or a zip that holds one."""
    object: str
    """What the mesh is: "mushroom"."""
    style: str
    """How the part should look: "red dotted"."""
    out: Path
    """Folder for painted.glb, painted.obj, the textures, turntable.mp4 and the metrics."""
    edit: str = ""
    """The part to paint: "cap". Not needed with --global."""
    everywhere: Annotated[bool, tyro.conf.arg(name="global")] = False
    """Paint the whole mesh."""
    plural: bool = False
    """The part is a plural ("legs"), so prompts give it no article."""
    unlike: str = ""
    """A style that the part must not be taken for: "red" beside "red dotted" brings the dots out.
    The built-in teacher needs no telling."""
    teacher: str = MINIATURE
    """Which diffusion models judge the painting: a name of the list, or the folders or hub ids of
    two stages of the same shapes, as STAGE_1+STAGE_2."""
    compile: bool = False
    """Compile the blocks that the teacher's networks repeat: a slow start, then faster steps. Needs
    a C++ compiler, and Triton on a GPU."""
    preset: Preset = "standard"
    """How many steps are taken, unless --steps says it; `paper` is 3D Paintbrush as published."""
    steps: int | None = None
    """Steps of the optimisation."""
    seed: int = 0
    """Seed of all noise, views and fields; the same seed repeats the run."""
    mask: Path | None = None
    """Where the edit may happen: a picture in the mesh's UVs (a zip of mask_0.png, mask_1.png, ...
    where it has several textures), or drawn on a view (--mask-view)."""
    mask_view: tuple[float, float] | None = None
    """The view the mask was drawn on: degrees around the mesh from its front, and above it."""
    mask_replaces: bool = False
    """The mask is the region, instead of bounding the one that is found."""
    threshold: float = 0.5
    """How sure the run must be that a place belongs to the region, 0 to 1; can be moved later."""
    resolution: int = 1024
    """Side of the textures, where the mesh brings none larger."""
    max_faces: int | None = None
    """Simplify the mesh to about this many faces first; its UVs and materials are then lost."""
    up: Up = "y"
    """Which axis of the file points up: z in what comes from CAD and from most scans."""
    painting: Painting | None = None
    """The teacher's own if left out."""

    @property
    def total_steps(self) -> int:
        """Steps the run will take."""
        return STEPS[self.preset] if self.steps is None else self.steps

    @property
    def words(self) -> Words:
        """What to paint."""
        edit = None if self.everywhere else self.edit
        return Words(self.object, edit, self.style, self.plural, self.unlike)
