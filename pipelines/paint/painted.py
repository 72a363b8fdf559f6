"""From trained fields to files: layers, the painted mesh, its textures, a turntable.

This module knows nothing about teachers or how the fields were trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines import geometry
from pipelines.media import (
    clip_from_frames,
    read_image,
    save_png,
    to_uint8,
    write_clip,
)
from pipelines.media.comparison import COMPARISON, write_comparison
from pipelines.paint.layers import NAMES, Layers, file_name, save_layers
from pipelines.paint.look import Look, look
from pipelines.paint.task import Fields, Task, sample_atlases
from pipelines.render import Cameras, Points, Surface, at, downsample, orbit
from pipelines.render.bake import texels, texture_image

RESULT = "painted.glb"
RESULTS = (
    "painted.*",
    "painted_*",
    *(f"{layer}{number}.png" for layer in (*NAMES, "texture") for number in ("", "_*")),
    "turntable.mp4",
    COMPARISON,
)
"""Every file that a painting ends with, as shell patterns."""
CHUNK = 1 << 17
"""Texels that the fields are asked about at once."""
SAMPLES = 50_000
"""Random points on the surface that shares are measured at."""
TURNTABLE_FRAMES = 48
TURNTABLE_SIDE = 384
SUPERSAMPLING = 2


@torch.no_grad()
def bake_layers(task: Task, painted: Fields, bases: Sequence[Tensor]) -> tuple[Layers, ...]:
    """The layers of every texture. bases uint8 (h, w, 3): the mesh's own colours, one for each."""
    return tuple(_bake(task, painted, atlas, base) for atlas, base in enumerate(bases))


def write_painted(
    folder: Path,
    model: geometry.Model,
    surface: Surface,
    layers: tuple[Layers, ...],
    threshold: float,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Write what a run gives, its metrics aside; returns what was measured.

    A part whose localization is 0 everywhere stays as it was. Measured are the `shares`; `panels`
    names those of the comparison.
    """
    textures = [layer.texture(threshold) for layer in layers]
    touched = touched_textures(layers, textures)
    save_layers(folder, layers)
    geometry.write_obj(folder / "painted.obj", model, touched)
    write_textures(folder, textures)
    geometry.write_glb(folder / RESULT, model, touched, settings)
    panels = write_turntable(folder, surface, layers, threshold, settings)
    return {**shares(folder, surface, layers, threshold), "panels": panels}


def touched_textures(
    layers: tuple[Layers, ...], textures: list[Tensor]
) -> list[NDArray[np.uint8] | None]:
    """For each part its texture, or None where its localization is 0 everywhere."""
    return [
        texture.numpy() if layer.localization.any() else None
        for layer, texture in zip(layers, textures, strict=True)
    ]


def write_textures(folder: Path, textures: list[Tensor]) -> None:
    """Write every texture uint8 (h, w, 3) as a PNG of its own."""
    for k, texture in enumerate(textures):
        save_png(folder / file_name("texture", k, len(textures)), texture)


def shares(
    folder: Path, surface: Surface, layers: tuple[Layers, ...], threshold: float
) -> dict[str, float]:
    """`painted_share` of the surface's area, `changed_outside_share` of the texels outside.

    folder: has the textures, as `write_textures` left them. Outside is where nothing of the new
    colours shows; changed is a texel whose colour in the file is not the base's.
    """
    weights = [layer.weight(threshold) for layer in layers]
    return {
        "painted_share": round(_share(surface, weights), 4),
        "changed_outside_share": round(_changed(folder, layers, weights), 9),
    }


@torch.no_grad()
def write_turntable(
    folder: Path,
    surface: Surface,
    layers: tuple[Layers, ...],
    threshold: float,
    settings: dict[str, Any],
) -> list[str]:
    """A clip of the mesh turning once around, and the same beside what it was and its region.

    Returns the names of the comparison's panels.
    """
    around = orbit(TURNTABLE_FRAMES, 20.0)
    before = [layer.base for layer in layers]
    after = [layer.texture(threshold) for layer in layers]
    region = [_region(layer, threshold) for layer in layers]
    frames: list[Tensor] = []
    panels: dict[str, list[Tensor]] = {"before": [], "after": [], "region": []}
    # Every second view of the turntable is enough to compare by.
    for number, positions in enumerate(_alternately(around.position, 8)):
        view = _view(surface, Cameras(positions, around.fov), TURNTABLE_SIDE)
        frames.append(_dressed(view, after, TURNTABLE_SIDE))
        if number % 2 == 0:
            panels["before"].append(_dressed(view, before, TURNTABLE_SIDE))
            panels["after"].append(frames[-1])
            panels["region"].append(_dressed(view, region, TURNTABLE_SIDE, lit=False))
    even, odd = torch.cat(frames[::2]), torch.cat(frames[1::2])
    clip = clip_from_frames(torch.stack([even, odd], 1).flatten(0, 1), 24)
    write_clip(folder / "turntable.mp4", clip.frames, clip, settings)
    whole = {name: torch.cat(parts) for name, parts in panels.items()}
    half = clip_from_frames(whole["after"], 12)
    return write_comparison(folder, {name: whole[name].__getitem__ for name in whole}, half)


def _alternately(positions: Tensor, count: int) -> Iterator[Tensor]:
    """`count` even rows and the same number of odd ones, in turn. positions (2 n, 3)."""
    for even, odd in zip(positions[::2].split(count), positions[1::2].split(count), strict=True):
        yield from (even, odd)


def render_textured(
    surface: Surface, textures: list[Tensor], cameras: Cameras, size: int
) -> Tensor:
    """Pictures of a textured surface on white: uint8 (B, size, size, 3)."""
    return _dressed(_view(surface, cameras, size), textures, size)


def _view(surface: Surface, cameras: Cameras, size: int) -> Look:
    white = torch.ones(len(cameras), 3).to(surface.vertices)
    return look(surface, cameras, SUPERSAMPLING * size, white)


def _dressed(view: Look, textures: list[Tensor], size: int, lit: bool = True) -> Tensor:
    """The views with these textures, uint8 (h, w, 3) each; unlit on black: (B, size, size, 3)."""
    floats = [texture.permute(2, 0, 1).float() / 255 for texture in textures]
    colours = sample_atlases(floats, view.points)
    if not lit:
        dark = torch.zeros_like(view.background)
        view = replace(view, shading=torch.ones_like(view.shading), background=dark)
    return to_uint8(downsample(view.picture(colours), size))


def _region(layer: Layers, threshold: float) -> Tensor:
    """How much of the new colour shows, as a texture: uint8 (h, w, 3)."""
    shown = (layer.weight(threshold) * 255).round().to(torch.uint8)
    return shown[..., None].expand(-1, -1, 3)


def _bake(task: Task, painted: Fields, atlas: int, base: Tensor) -> Layers:
    size = base.shape[0], base.shape[1]
    points, index = texels(task.surface, atlas, size)
    regions, styles = [], []
    for start in range(0, len(index), CHUNK):
        part = few(points, slice(start, start + CHUNK))
        bound = task.bound(part)
        query = task.asked(painted, part, bound, background=False)
        region = bound if query.region is None else query.region
        regions.append(region)
        styles.append(query.style)
    values = torch.cat([torch.cat(styles), torch.cat(regions)], dim=1)
    image = (texture_image(values, index, size) * 255).round().to(torch.uint8).cpu()
    return Layers(base, image[..., :3].contiguous(), image[..., 3].contiguous())


def few(points: Points, part: slice) -> Points:
    """Some of the points."""
    return Points(points.position[part], points.normal[part], points.uv[part], points.atlas[part])


def _share(surface: Surface, weights: list[Tensor]) -> float:
    """Share of the area where more of the new colour shows than of the old."""
    points = random_points(surface, SAMPLES, torch.Generator().manual_seed(0))
    shown = sample_atlases([weight[None] for weight in weights], points)
    return float((shown > 0.5).float().mean())


def random_points(surface: Surface, count: int, generator: torch.Generator) -> Points:
    """Points spread evenly over the area of a surface, on its device."""
    corners = surface.vertices[surface.faces].cpu()
    edges = corners[:, 1:] - corners[:, :1]
    area = torch.linalg.cross(edges[:, 0], edges[:, 1]).norm(dim=1)
    face = torch.multinomial(area, count, replacement=True, generator=generator)
    root, v = torch.rand(2, count, generator=generator)
    root = root.sqrt()
    bary = torch.stack([1 - root, root * (1 - v), root * v], dim=1)
    device = surface.vertices.device
    return at(surface, face.to(device), bary.to(device))


def _changed(folder: Path, layers: tuple[Layers, ...], weights: list[Tensor]) -> float:
    changed = outside = 0
    for k, (layer, weight) in enumerate(zip(layers, weights, strict=True)):
        away = weight == 0
        written = read_image(folder / file_name("texture", k, len(layers)))
        changed += int((written != layer.base).any(-1)[away].sum())
        outside += int(away.sum())
    return changed / max(outside, 1)
