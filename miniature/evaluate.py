"""Measure video edits and painted meshes against answers that are known exactly.

    python -m miniature.evaluate video --json results.json [--sheet sheet.png] [--quick]
    python -m miniature.evaluate mesh --json results.json [--sheet sheet.png] [--quick]

For meshes see `miniature.mesh_evaluate`. For videos, held-out scenes of the small world, each with
one attribute to be changed, are edited by every method and compared with the same scene drawn with
that change. This module knows nothing about how a method works (`miniature.baselines`) or how a
score is computed (`miniature.metrics`).
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from miniature.baselines import EditFunction, Task, methods
from miniature.draw import Drawn, draw
from miniature.edits import Edit, edits
from miniature.measuring import check_sheet, choose, recorded, settings
from miniature.mesh_evaluate import Mesh, measure_mesh
from miniature.mesh_report import mesh_table
from miniature.metrics import (
    background_regions,
    object_regions,
    psnr,
    still,
    temporal_error_background,
    temporal_error_object,
)
from miniature.report import Result, Row, summary, table
from pipelines.clip.job import STEPS, Preset
from pipelines.errors import InputError
from pipelines.media import to_uint8
from pipelines.teachers.catalog import MINIATURE, video_teacher
from pipelines.teachers.loaded import LoadedVideoTeacher
from pipelines.teachers.loading import load_video_teacher
from pipelines.teachers.prompts import video_prompts

FRAMES, SIZE = 16, 128
SHOWN = FRAMES // 2
QUICK_METHODS = ("no-edit", "sdedit-0.6", "dds", "assd")


@dataclass(frozen=True)
class Video:
    """Measure the video edit against exact answers, beside its baselines and without its parts."""

    json: Path
    """File for settings, rows and means; rewritten after every row."""
    sheet: Path | None = None
    """PNG with a frame of every result."""
    quick: bool = False
    """Six edits instead of 24, and the four main methods unless --only says otherwise."""
    split: Literal["tune", "test"] = "test"
    """Scenes to edit. Choose settings on tune, report on test."""
    only: tuple[str, ...] = ()
    """Names of the methods to run, instead of all."""
    preset: Preset = "quick"
    """Steps of the score-distillation methods, by the video job's name for them."""
    seed: int = 0
    """Seed of all noise."""


def evaluate(
    loaded: LoadedVideoTeacher,
    wanted: Sequence[Edit],
    functions: Mapping[str, EditFunction],
    seed: int = 0,
) -> Iterator[Result]:
    """Run every method on every edit; yields a result as soon as it is there."""
    for edit in wanted:
        source = draw(edit.source, FRAMES, SIZE)
        truth = draw(edit.target, FRAMES, SIZE)
        frames = torch.from_numpy(source.frames)
        x_src = loaded.codec.encode(frames.to(loaded.device))
        task = Task(frames, x_src, video_prompts(video_teacher(MINIATURE), *edit.prompts), seed)
        # Found once for all methods: the first is not to pay for it.
        _ = task.motion
        for name, function in functions.items():
            began = time.perf_counter()
            found = function(task)
            row = score(edit, name, found, source, truth, time.perf_counter() - began)
            shown = torch.stack(
                [frames[SHOWN], torch.from_numpy(truth.frames[SHOWN]), found[SHOWN]]
            )
            yield Result(edit, row, tuple(to_uint8(shown)))


def score(
    edit: Edit, method: str, found: Tensor, source: Drawn, truth: Drawn, seconds: float
) -> Row:
    """Compare a result (F, 3, H, W) in [0, 1] with the source and the true answer.

    Raises FloatingPointError when the result is not finite.
    """
    if not found.isfinite().all():
        raise FloatingPointError(
            f"{method} made NaN or infinity of {edit.prompts[0]!r}; lower its guidance scale, or "
            "run the teacher in fp32"
        )
    before, answer = torch.from_numpy(source.frames), torch.from_numpy(truth.frames)
    mask, centres = torch.from_numpy(truth.mask), torch.from_numpy(truth.centres)
    mask_before = torch.from_numpy(source.mask)
    if edit.kind == "background":
        regions = background_regions(mask)
    else:
        regions = object_regions(mask_before, mask)
    inside = psnr(found, answer, regions.inside)
    own = temporal_error_object(answer, mask, centres)
    standing = still(before, mask_before) & still(answer, mask)
    return Row(
        kind=edit.kind,
        number=edit.number,
        source=edit.prompts[0],
        target=edit.prompts[1],
        method=method,
        psnr_inside=inside,
        gain=inside - psnr(before, answer, regions.inside),
        psnr_outside=psnr(found, before, regions.outside),
        temporal_object=temporal_error_object(found, mask, centres) - own,
        temporal_background=temporal_error_background(found, standing),
        seconds=seconds,
    )


def measure(job: Video) -> list[Result]:
    """Run a job and write its files; progress goes to stderr.

    Raises InputError for an unknown method or a sheet that is not a PNG, before anything is run.
    """
    check_sheet(job.sheet)
    teacher = video_teacher(MINIATURE)
    loaded, recipe = load_video_teacher(MINIATURE), teacher.recipe
    functions = choose(methods(loaded, recipe, STEPS[job.preset]), job, QUICK_METHODS)
    wanted = edits(job.split, job.quick)
    head = settings(job, teacher, steps=STEPS[job.preset], frames=FRAMES, size=SIZE)
    results = evaluate(loaded, wanted, functions, job.seed)
    total = len(wanted) * len(functions)
    return recorded(job, head | {"recipe": asdict(recipe)}, results, total, summary)


def main() -> None:
    job = tyro.extras.subcommand_cli_from_dict(
        {"video": Video, "mesh": Mesh}, prog="python -m miniature.evaluate", description=__doc__
    )
    try:
        if isinstance(job, Mesh):
            found = mesh_table([result.row for result in measure_mesh(job)])
        else:
            found = table([result.row for result in measure(job)])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(found)


if __name__ == "__main__":
    main()
