"""What no painting can be asked: numbers out of range, and settings that would do nothing.

This module knows nothing about teachers, nor about files.
"""

from math import inf

from pipelines.bounds import check_amounts, check_seed, check_shares, check_steps
from pipelines.errors import InputError
from pipelines.paint.job import PaintMesh
from pipelines.paint.layers import check_threshold
from pipelines.teachers.painting import PAPER, Painting


def check_numbers(job: PaintMesh) -> None:
    """Raises InputError for a number no painting can have. The job has no setting left out."""
    check_steps(job.total_steps, "paint nothing")
    check_seed(job.seed)
    check_threshold(job.threshold)
    if not 16 <= job.resolution <= 8192:
        raise InputError(f"A texture of {job.resolution} texels: give 16 to 8192; 1024 is usual.")
    _check_painting(job.painting)


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


def check_idle(job: PaintMesh) -> None:
    """Raises InputError for settings that would do nothing. The job has no setting left out."""
    if job.everywhere and job.edit:
        raise InputError("Give a part to paint (--edit) or paint the whole mesh (--global).")
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
