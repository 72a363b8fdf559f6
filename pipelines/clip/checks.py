"""What no edit can be asked: nothing at all, numbers out of range, and settings that would do
nothing.

This module knows nothing about teachers, nor about what is in files: a mask's edges are checked
with it (`gate`).
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path

from pipelines.bounds import check_amounts, check_seed, check_shares, check_steps, option
from pipelines.clip.job import EditVideo
from pipelines.errors import InputError
from pipelines.media.masks import is_still
from pipelines.media.source import MAX_SIDE
from sds.assd import Method

OF_MASK = ("mask_frame", "mask_grow", "mask_feather", "mask_invert")
"""Settings that do nothing without a mask."""
OF_PICTURE = ("mask_frame",)
"""Settings that do nothing with a clip of masks."""
OF_SMOOTHING = ("smooth_along_flow", "mask_k")
"""Settings of the method that do nothing where smoothing is off."""


def check_numbers(job: EditVideo) -> None:
    """Raises InputError for a number that no edit can have. The job has no setting left out."""
    check_steps(job.total_steps, "make no edit")
    check_seed(job.seed)
    if not 0 < job.strength < inf:
        raise InputError(f"Strength {job.strength} must be above 0; 1 is the default.")
    if not 0 < job.low <= job.high < 1000:
        raise InputError(
            f"The noise levels {job.low} to {job.high} must rise and lie between 1 and 999."
        )
    if job.moves < 0:
        raise InputError(f"--moves {job.moves}: give how often, or 0 for every step.")
    if job.steady < 1 or job.steady % 2 == 0:
        raise InputError(
            f"--steady {job.steady} has no frame in its middle. Give an odd number; 1 is off."
        )
    check_side(job.side)
    if job.mask_frame < 0:
        raise InputError(f"--mask-frame is {job.mask_frame}: give 0 for the clip's first frame.")
    _check_method(job.method)


def check_side(side: int) -> None:
    """Raises InputError for a size that nothing is worked at."""
    if not 32 <= side <= MAX_SIDE:
        raise InputError(f"Working at {side} pixels a side: give 32 to {MAX_SIDE}.")


def _check_method(method: Method) -> None:
    check_amounts(method, ("guidance_source", "guidance_target", "joint", "focus", "anchor"))
    check_shares(method, ("fusion", "eta"))
    if not isfinite(method.mask_k):
        raise InputError(f"--mask-k is {method.mask_k}: give a number; {Method.mask_k:g} is usual.")


def check_asked(job: EditVideo, source: str, target: str) -> None:
    """Raises InputError where nothing would change, from the first step to the last.

    Both branches then answer the same, whatever the seed, the mask and the rest. Scales of guidance
    that differ do ask for something: more, or less, of what the words say. source, target: the
    prompts as the teacher reads them. The job has no setting left out.
    """
    if source.split() != target.split():
        return
    if job.method.guidance_source == job.method.guidance_target:
        raise InputError(
            "The source prompt and the target prompt say the same, so nothing would change. Say in "
            "the target prompt what should be different."
        )


def check_idle(job: EditVideo) -> None:
    """Raises InputError for settings that would do nothing. The job has no setting left out."""
    idle = ", ".join(_given(job, _idle_with(job.mask)))
    if idle and job.mask is None:
        raise InputError(f"There is no mask to go with {idle}: give --mask.")
    if idle:
        raise InputError(
            f"{idle} would do nothing: {job.mask.name} has a mask for every frame. Leave it out."
        )
    if job.method.smoothing == "off" and (idle := _given(job.method, OF_SMOOTHING)):
        raise InputError(
            f"{' and '.join(idle)} would do nothing: give --smoothing residual or shared, or leave "
            "that out."
        )


def without_idle(job: EditVideo) -> EditVideo:
    """The job without settings that do nothing, for whoever has them all: a page, an older run."""
    job = replace(job, **{name: getattr(EditVideo, name) for name in _idle_with(job.mask)})
    if job.method is not None and job.method.smoothing == "off":
        plain = {name: getattr(Method, name) for name in OF_SMOOTHING}
        job = replace(job, method=replace(job.method, **plain))
    return job


def _idle_with(mask: Path | None) -> Sequence[str]:
    """The settings of a mask that do nothing with this one."""
    if mask is None:
        return OF_MASK
    return () if is_still(mask) else OF_PICTURE


def _given(said: EditVideo | Method, names: Sequence[str]) -> list[str]:
    """The options of those settings that are not left at their defaults."""
    return [option(n) for n in names if getattr(said, n) != getattr(type(said), n)]
