"""Edit a clip by saying what it shows and what it should show: ASSD on any clip.

    python -m pipelines.video CLIP --source "..." --target "..." --out RUN_DIR

The clip is worked on at the teacher's size and comes back at its own. What is written is
`source + decode(x) - decode(x_src)`: the change, so that what the autoencoder loses is not lost
and a frame nothing was asked of comes back exactly. Inside a mask only, where there is one.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor

from pipelines import command, runs
from pipelines.catalog import (
    LoadedVideoTeacher,
    VideoTeacher,
    check_prompt,
    load_video_teacher,
    video_teacher,
)
from pipelines.change import apply_change, psnr_outside, working_size
from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Event, Note, Preview, Step
from pipelines.flow import optical_flow
from pipelines.gate import Gate, read_gate
from pipelines.media import Clip, floats_at, read_clip, to_uint8, write_clip
from sds import optical_flow as flows_of
from sds.assd import Method, Prompts, assd_gradient
from sds.descent import HIGH, LOW, descend
from sds.optical_flow import Flows
from sds.optimize import NonFinite

Preset = Literal["quick", "standard", "fine"]
STEPS: dict[Preset, int] = {"quick": 10, "standard": 40, "fine": 120}
PREVIEW_EVERY = 1.5
"""Seconds between previews."""
PREVIEW_FRAMES = 4


@dataclass(frozen=True)
class EditVideo:
    """Edit a clip by saying what it shows and what it should show."""

    clip: tyro.conf.Positional[Path]
    """The clip to edit: mp4, webm, mov, gif, avi or mkv."""
    source: str
    """What the clip shows."""
    target: str
    """What it should show."""
    out: Path
    """Folder for result.mp4, settings.json and metrics.json."""
    teacher: str = "miniature"
    """Which diffusion models judge the edit."""
    preset: Preset = "standard"
    """How many steps are taken, unless --steps says it."""
    steps: int | None = None
    """Steps of the optimisation."""
    seed: int = 0
    """Seed of all noise; the same seed repeats the run."""
    strength: float = 1.0
    """How far each step goes; 1 is the measured default."""
    high: int = HIGH
    """Noise level the run starts at, 1 to 999: higher changes shapes, lower keeps them."""
    low: int = LOW
    """Noise level the run ends at."""
    mask: Path | None = None
    """Where the edit may happen: a picture drawn on one frame, or a clip of masks."""
    mask_frame: int = 0
    """The frame a mask picture was drawn on, counted from 0; it is carried along the motion."""
    mask_grow: float = 2.0
    """Pixels the mask is grown by before it is feathered."""
    mask_feather: float = 2.0
    """Width of the mask's soft edge, in pixels."""
    method: Method = field(default_factory=Method)

    @property
    def total_steps(self) -> int:
        """Steps the run will take."""
        return STEPS[self.preset] if self.steps is None else self.steps


@dataclass(frozen=True, eq=False)
class Workpiece:
    """An edit's inputs, brought to the teacher."""

    clip: Clip
    gate: Gate | None
    """Where the edit may happen; None is everywhere."""
    frames: Tensor
    """(F, 3, h, w) in [0, 1] at the working size."""
    x_src: Tensor
    """(1, C, F, h/f, w/f) fp32 latents of the clip."""
    latent_gate: Tensor | None
    """(1, 1, F, h/f, w/f): the same on the latent grid."""
    flows: Flows | None
    """Optical flow on the latent grid, where the method wants it."""
    prompts: Prompts


def edit_video(job: EditVideo) -> Iterator[Event]:
    """Run an edit; yields notes, steps and previews, and `Done` when its files are written.

    A file called `stop` in the run's folder ends it after the current step, as a full result.
    Raises InputError for input that cannot be used, before anything is written, and RunFailed when
    the latents stop being finite; the last good state is then written first.
    """
    teacher = _check(job)
    clip = read_clip(job.clip)
    gate = None
    if job.mask is not None:
        gate = read_gate(job.mask, clip, job.mask_frame, job.mask_grow, job.mask_feather)
    runs.open_folder(job.out)
    loaded = load_video_teacher(teacher.name)
    piece = _prepare(job, clip, gate, teacher, loaded)
    size = piece.frames.shape[-2:]
    yield Note(
        f"{len(clip)} frames of {clip.size[1]}x{clip.size[0]}, worked at {size[1]}x{size[0]}"
    )
    x = piece.x_src.clone()
    failure, began, done = None, time.monotonic(), 0
    try:
        for event in _optimise(job, loaded, piece, x):
            done = event.index + 1
            yield event
    except NonFinite as error:
        failure = error
    seconds = time.monotonic() - began
    settings = describe(job)
    frames = apply_change(clip, loaded.change(x, piece.x_src), gate)
    notes = write_clip(job.out / "result.mp4", frames, clip, settings)
    yield from (Note(text) for text in notes)
    metrics = _metrics(piece, frames, done, seconds)
    runs.write_json(job.out / "settings.json", settings)
    runs.write_json(job.out / "metrics.json", metrics)
    if failure is not None:
        raise RunFailed(f"{failure} The last good state is in {job.out}.") from failure
    yield Done(job.out / "result.mp4", settings, metrics)


def describe(job: EditVideo) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON."""
    settings = asdict(replace(job, steps=job.total_steps))
    # Names, not paths: the file may be shown to others than whoever owns the folders.
    names = {key: value.name for key, value in settings.items() if isinstance(value, Path)}
    return {"job": "video", **settings, **names, "versions": runs.versions()}


def _check(job: EditVideo) -> VideoTeacher:
    teacher = video_teacher(job.teacher)
    check_prompt(teacher, job.source, "source")
    check_prompt(teacher, job.target, "target")
    if job.total_steps < 1:
        raise InputError(f"{job.steps} steps make no edit. Give at least 1.")
    if not 0 < job.strength < float("inf"):
        raise InputError(f"Strength {job.strength} must be above 0; 1 is the default.")
    if not 0 < job.low <= job.high < 1000:
        raise InputError(
            f"The noise levels {job.low} to {job.high} must rise and lie between 1 and 999."
        )
    return teacher


def _prepare(
    job: EditVideo,
    clip: Clip,
    gate: Gate | None,
    teacher: VideoTeacher,
    loaded: LoadedVideoTeacher,
) -> Workpiece:
    size = working_size(clip.size, teacher.side)
    small = floats_at(clip.frames, size)
    x_src = loaded.codec.encode(small.to(loaded.device))
    grid = x_src.shape[-2:]
    flows = None
    if job.method.smooth_along_flow:
        flows = flows_of.resize(optical_flow(small), grid).to(loaded.device)
    return Workpiece(
        clip=clip,
        gate=gate,
        frames=small,
        x_src=x_src,
        latent_gate=None if gate is None else gate.latent(grid).to(x_src.device),
        flows=flows,
        prompts=loaded.prompts(job.source, job.target),
    )


def _optimise(
    job: EditVideo, loaded: LoadedVideoTeacher, piece: Workpiece, x: Tensor
) -> Iterator[Step | Preview]:
    """Move `x` in place, one step per teacher call."""
    steps = job.total_steps

    def gradient(x: Tensor, t: int, generator: torch.Generator) -> Tensor:
        asked = (loaded.teachers, piece.prompts, job.method, x, piece.x_src, t, generator)
        return assd_gradient(*asked, piece.flows).gradient

    shown = _spread(len(piece.clip), PREVIEW_FRAMES)
    began = last = time.monotonic()
    descent = descend(
        gradient,
        x,
        piece.x_src,
        steps,
        job.seed,
        job.strength,
        piece.latent_gate,
        job.low,
        job.high,
    )
    for step in descent:
        now = time.monotonic()
        yield Step(step.index, steps, now - began, float(step.value))
        if step.index == 0 or step.index + 1 == steps or now - last > PREVIEW_EVERY:
            change = loaded.change(x[:, :, shown], piece.x_src[:, :, shown])
            yield Preview(step.index, to_uint8((piece.frames[shown] + change).clamp(0, 1)))
            last = time.monotonic()
        if runs.stop_asked(job.out):
            return


def _spread(count: int, wanted: int) -> list[int]:
    """`wanted` frame numbers spread evenly over a clip, fewer if it is shorter."""
    wanted = min(count, wanted)
    return [round((k + 0.5) * count / wanted - 0.5) for k in range(wanted)]


def _metrics(piece: Workpiece, frames: Tensor, steps: int, seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        "seconds_per_step": round(seconds / max(steps, 1), 4),
        "steps": steps,
        "peak_memory_mb": round(runs.peak_memory_mb(), 1),
        "psnr_outside_mask": psnr_outside(frames, piece.clip, piece.gate),
    }


def main() -> None:
    job = tyro.cli(
        EditVideo,
        prog="python -m pipelines.video",
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    sys.exit(command.run(edit_video(job)))


if __name__ == "__main__":
    main()
