"""What no painting can be asked: numbers out of range, and settings that would do nothing.

This module knows nothing about teachers, nor about files.
"""

from dataclasses import replace
from math import inf, isfinite

from pipelines.bounds import check_amounts, check_seed, check_shares, check_steps
from pipelines.errors import InputError
from pipelines.paint.job import PaintMesh
from pipelines.paint.layers import check_threshold
from pipelines.paint.schedule import alone
from pipelines.teachers.painting import PAPER, Painting
from pipelines.teachers.teacher import MeshTeacher


def check_numbers(job: PaintMesh) -> None:
    """Raises InputError for a number no painting can have. The job has no setting left out."""
    check_steps(job.total_steps, "paint nothing")
    check_seed(job.seed)
    check_threshold(job.threshold)
    check_resolution(job.resolution)
    if job.mask_view is not None and not all(map(isfinite, job.mask_view)):
        raise InputError("--mask-view is two angles in degrees; 0 0 is the front.")
    _check_painting(job.painting)
    _check_phases(job)


def check_resolution(side: int) -> None:
    """Raises InputError for a side that no texture is made of."""
    if not 16 <= side <= 8192:
        raise InputError(f"A texture of {side} texels: give 16 to 8192; 1024 is usual.")


def _check_painting(how: Painting) -> None:
    if not 0 < how.low <= min(how.high, how.high_end) or max(how.high, how.high_end) > 999:
        raise InputError(
            f"The noise levels {how.low} to {how.high} and {how.high_end} must lie between 1 and "
            "999, the lowest first."
        )
    if how.views < 1:
        raise InputError(f"{how.views} views show nothing. Give at least 1.")
    if not 0 < how.rate < inf:
        raise InputError(f"The rate {how.rate} must be above 0; {Painting.rate:g} is usual.")
    check_amounts(how, ("guidance_1", "guidance_2", "style_guidance", "detail", "contrast"))
    check_shares(how, ("detail_from", "attached"))
    check_shares(how, ("crop",), least=0.05)


def _check_phases(job: PaintMesh) -> None:
    how = job.painting
    if how.cascade != "phases":
        return
    if not how.detail or not 0 < alone(how, job.total_steps) < job.total_steps:
        raise InputError(
            "In phases the first model works alone, then the second on what it left: give "
            "--detail-from so that both have steps to take (0.5 is half each), and a --detail "
            "above 0."
        )


def check_idle(job: PaintMesh, own: Painting) -> None:
    """Raises InputError for settings that would do nothing. The job has no setting left out.

    own: the teacher's settings, which nobody asked for.
    """
    if job.everywhere and job.edit:
        raise InputError("Give a part to paint (--edit) or paint the whole mesh (--global).")
    if job.everywhere and job.plural:
        raise InputError("--plural is about the part to paint: leave it or --global out.")
    if job.mask is None and (job.mask_view is not None or job.mask_replaces):
        raise InputError("There is no mask to go with --mask-view or --mask-replaces: give --mask.")
    if job.mask_replaces and job.everywhere:
        raise InputError(
            "--mask-replaces does nothing with --global, which paints all of the mask anyway: "
            "leave one of them out."
        )
    if job.preset == "paper" and job.painting != PAPER:
        raise InputError("The preset paper fixes the painting's settings. Choose another preset.")
    if job.unlike and not job.painting.contrast:
        raise InputError(
            f"--unlike {job.unlike!r} does nothing with a contrast of 0: give --contrast too, or "
            "leave --unlike out."
        )
    if not job.unlike and job.painting.contrast not in (0, own.contrast):
        raise InputError(
            f"A --contrast of {job.painting.contrast:g} does nothing without a style to be told "
            "from: give --unlike too, or leave --contrast out."
        )


def without_idle(job: PaintMesh, teacher: MeshTeacher | None) -> PaintMesh:
    """The job without settings that do nothing, for whoever has them all: a page, an older run.

    teacher: the job's, where it is one of the list.
    """
    if job.everywhere:
        job = replace(job, plural=False)
    unlike, own = job.unlike, 0.0
    if teacher is not None:
        unlike, own = unlike or teacher.unlike(job.style), teacher.painting.contrast
    if not unlike and job.painting is not None and job.painting.contrast:
        job = replace(job, painting=replace(job.painting, contrast=own))
    return job
