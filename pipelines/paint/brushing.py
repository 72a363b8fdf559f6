"""A mask that is brushed on views of a mesh: what a view shows, and strokes brought back to it.

    mask <- max(mask, P(strokes)), or mask (1 - P(strokes)) to take away

with P the projection of `uv_mask`: strokes from several views add up in the textures. Meshes that
were opened are remembered for a while, since opening one may mean unwrapping it. This module knows
nothing about fields or teachers.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from pipelines import geometry
from pipelines.geometry import Up
from pipelines.media import save_png
from pipelines.media.files import replacing
from pipelines.media.masks import OPACITY, TINT
from pipelines.paint.checks import check_resolution
from pipelines.paint.layers import base_colours
from pipelines.paint.painted import render_textured
from pipelines.paint.uv_mask import mask_name, project_mask, view_camera
from pipelines.render import Surface, orbit

SIDE = 512
"""Pixels along a side of the picture that is brushed on."""
SIDES = 224
"""Pixels along a side of each of the pictures that show the mask from all around."""

Masks = tuple[Tensor, ...]
"""(1, h, w) in [0, 1] for each texture."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A mesh as it is before it is painted."""

    surface: Surface
    bases: tuple[Tensor, ...]
    """uint8 (h, w, 3): its own colours, one for each texture."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(h, w) of every texture."""
        return [(len(base), base.shape[1]) for base in self.bases]

    def blank(self) -> Masks:
        """The mask that allows nothing."""
        return tuple(torch.zeros(1, *size, dtype=torch.float32) for size in self.sizes)


def open_canvas(mesh: Path, max_faces: int | None, resolution: int, up: Up = "y") -> Canvas:
    """The mesh in a file as a run with these settings sees it. Raises InputError as a run does."""
    check_resolution(resolution)
    changed = mesh.stat().st_mtime_ns if mesh.is_file() else 0
    return _open(mesh, changed, max_faces, resolution, up)


@lru_cache(maxsize=3)
def _open(mesh: Path, changed: int, max_faces: int | None, resolution: int, up: Up) -> Canvas:
    model = geometry.read_mesh(mesh)
    if max_faces is not None:
        model = geometry.decimate(model, max_faces)
    model = geometry.unwrap(model)
    return Canvas(geometry.surface(model, up), tuple(base_colours(model, resolution)))


def brushed(
    canvas: Canvas, masks: Masks, strokes: Tensor, view: tuple[float, float], takes: bool
) -> Masks:
    """The masks after strokes on a view. strokes: uint8 (S, S), 0 or 255.

    view: degrees around the mesh from its front, and above it; takes: the strokes take away.
    """
    drawn = project_mask(strokes.float() / 255, canvas.surface, view_camera(*view), canvas.sizes)
    if takes:
        return tuple(mask * (1 - new) for mask, new in zip(masks, drawn, strict=True))
    return tuple(torch.maximum(mask, new) for mask, new in zip(masks, drawn, strict=True))


def view_picture(canvas: Canvas, masks: Masks, view: tuple[float, float]) -> Tensor:
    """The mesh from a view, the mask laid over it: uint8 (SIDE, SIDE, 3)."""
    return render_textured(canvas.surface, _tinted(canvas, masks), view_camera(*view), SIDE)[0]


def sides_picture(canvas: Canvas, masks: Masks) -> Tensor:
    """The same from four sides, uint8 (4, SIDES, SIDES, 3)."""
    return render_textured(canvas.surface, _tinted(canvas, masks), orbit(4, 20.0), SIDES)


def write_masks(folder: Path, masks: Sequence[Tensor]) -> Path:
    """Write masks as `read_uv_mask` reads them: one picture, or a zip of one for each texture."""
    pictures = [(mask[0] * 255).round().to(torch.uint8) for mask in masks]
    if len(pictures) == 1:
        save_png(folder / "mask.png", pictures[0])
        return folder / "mask.png"
    with (
        TemporaryDirectory() as scratch,
        replacing(folder / "masks.zip") as unfinished,
        zipfile.ZipFile(unfinished, "w") as archive,
    ):
        for k, picture in enumerate(pictures):
            save_png(Path(scratch) / mask_name(k), picture)
            archive.write(Path(scratch) / mask_name(k), mask_name(k))
    return folder / "masks.zip"


def _tinted(canvas: Canvas, masks: Masks) -> list[Tensor]:
    tint = torch.tensor(TINT, dtype=torch.float32)
    return [
        torch.lerp(base.float(), tint.expand_as(base), OPACITY * mask[0, ..., None])
        .round()
        .to(torch.uint8)
        for base, mask in zip(canvas.bases, masks, strict=True)
    ]
