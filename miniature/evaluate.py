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
from typing import Any, Literal

import torch
import tyro
from torch import Tensor

from miniature.baselines import EditFunction, Task, methods
from miniature.draw import Drawn, draw
from miniature.edits import Edit, edits
from miniature.measuring import check_sheet, finite, machine, pick
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
from miniature.report import Result, Row, sheet, summary, table
from pipelines.clip.job import STEPS, Preset
from pipelines.errors import InputError
from pipelines.media import save_png, to_uint8
from pipelines.runs import run_folder
from pipelines.runs.product import commit
from pipelines.teachers.catalog import MINIATURE, video_teacher
from pipelines.teachers.loaded import LoadedVideoTeacher
from pipelines.teachers.loading import load_video_teacher
from pipelines.teachers.prompts import video_prompts
from pipelines.teachers.teacher import Recipe

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


def choose(functions: Mapping[str, EditFunction], job: Video) -> dict[str, EditFunction]:
    """The methods a job asks for. Raises InputError for a name there is not."""
    names = job.only or (QUICK_METHODS if job.quick else tuple(functions))
    return pick(functions, names)


def settings(job: Video, recipe: Recipe) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON; where its files went is left out."""
    chosen = {key: v for key, v in asdict(job).items() if key not in ("json", "sheet")}
    return {
        "settings": chosen | {"steps": STEPS[job.preset], "frames": FRAMES, "size": SIZE},
        "recipe": asdict(recipe),
        "commit": commit(),
        "machine": machine(),
        "versions": run_folder.versions(),
    }


def scores(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows and their means as JSON, where an infinite PSNR is null."""
    return {"rows": [finite(asdict(row)) for row in rows], "summary": finite(summary(rows))}


def measure(job: Video) -> list[Result]:
    """Run a job and write its files; progress goes to stderr.

    Raises InputError for an unknown method or a sheet that is not a PNG, before anything is run.
    """
    check_sheet(job.sheet)
    loaded, recipe = load_video_teacher(MINIATURE), video_teacher(MINIATURE).recipe
    functions = choose(methods(loaded, recipe, STEPS[job.preset]), job)
    wanted = edits(job.split, job.quick)
    for path in filter(None, (job.json, job.sheet)):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Asked for once: the checkout may move on while this runs.
    head = settings(job, recipe)
    results: list[Result] = []
    for result in evaluate(loaded, wanted, functions, job.seed):
        results.append(result)
        row = result.row
        run_folder.write_json(job.json, head | scores([r.row for r in results]))
        count = f"{len(results)}/{len(wanted) * len(functions)}"
        said = f"{count} {row.method}: {row.source} -> {row.target}: {row.gain:+.2f} dB"
        print(f"{said}, {row.seconds:.1f} s", file=sys.stderr, flush=True)
    if job.sheet is not None:
        save_png(job.sheet, sheet(results))
    return results


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
