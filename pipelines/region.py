"""Move the region of a painted mesh after its run, without a new run.

    python -m pipelines.region RUN_DIR --threshold 0.6

    texture = base + w_threshold(localization) (style - base)

The layers of the run stay; what is made of them is written anew. This module knows nothing about
fields, teachers or how the layers came about.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from pipelines import geometry
from pipelines.errors import InputError, RunFailed
from pipelines.geometry.base import with_alpha
from pipelines.geometry.pictures import encode_png
from pipelines.media.files import replacing
from pipelines.paint.layers import Layers, check_threshold, load_layers
from pipelines.paint.painted import (
    RESULT,
    shares,
    touched_textures,
    write_textures,
    write_turntable,
)
from pipelines.render import Surface
from pipelines.runs import run_folder
from pipelines.runs.hold import hold


@dataclass(frozen=True)
class MoveRegion:
    """Move the region of a painted mesh after its run, without a new run."""

    run: tyro.conf.Positional[Path]
    """Folder of a finished run of `python -m pipelines.mesh`."""
    threshold: float
    """How sure the run must have been that a place belongs to the region, 0 to 1."""


@torch.no_grad()
def move_region(job: MoveRegion) -> dict[str, Any]:
    """Rewrite textures, painted.glb, painted.obj's pictures, turntable, metrics and settings.

    Returns the metrics, whose shares are those of the new threshold. painted.obj itself does not
    depend on it. Raises InputError for a folder that is no finished run or that somebody works in
    and for a threshold that shows everything or nothing, before anything is written, and RunFailed
    when the disk is full.
    """
    check_threshold(job.threshold)
    layers = load_layers(job.run)
    settings = {**_read(job.run / run_folder.SETTINGS), "threshold": job.threshold}
    metrics = _read(job.run / run_folder.METRICS)
    model = geometry.unwrap(geometry.read_mesh(job.run / RESULT))
    if len(model.parts) != len(layers):
        raise InputError(
            f"painted.glb in {job.run.name} has {len(model.parts)} parts and {len(layers)} "
            "textures. Give the folder of a finished run, as the run left it."
        )
    # Runs from before there was a choice took y.
    surface = geometry.surface(model, settings.get("up", "y"))
    with hold(job.run), run_folder.full_disk_is_said("move the region again"):
        _write(job, model, surface, layers, settings)
        metrics |= shares(job.run, surface, layers, job.threshold)
        run_folder.write_json(job.run / run_folder.SETTINGS, settings)
        run_folder.write_json(job.run / run_folder.METRICS, metrics)
    return metrics


def _write(
    job: MoveRegion,
    model: geometry.Model,
    surface: Surface,
    layers: tuple[Layers, ...],
    settings: dict[str, Any],
) -> None:
    textures = [layer.texture(job.threshold) for layer in layers]
    touched = touched_textures(layers, textures)
    write_textures(job.run, textures)
    for k, (part, texture) in enumerate(zip(model.parts, touched, strict=True)):
        if texture is not None:
            # The name write_obj gave it; the OBJ and its MTL name it already.
            with replacing(job.run / f"painted_{k}.png") as unfinished:
                unfinished.write_bytes(encode_png(with_alpha(texture, part)))
    geometry.write_glb(job.run / RESULT, model, touched, settings)
    write_turntable(job.run, surface, layers, job.threshold, settings)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.name} in {path.parent.name} cannot be read. Give the folder of a finished run, "
            "as the run left it."
        ) from error


def main() -> None:
    job = tyro.cli(MoveRegion, prog="python -m pipelines.region", description=__doc__)
    try:
        print(json.dumps(move_region(job)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
