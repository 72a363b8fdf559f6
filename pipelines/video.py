"""Edit a clip by saying what it shows and what it should show: ASSD on any clip.

    python -m pipelines.video CLIP --source "..." --target "..." --out RUN_DIR

The clip is worked on at the teacher's size and comes back at its own. What is written is the clip
with what changes, steadied along its motion, so that what the autoencoder loses is not lost and a
frame nothing was asked of comes back exactly. Inside a mask only, where there is one. That holds of
the frames: the file they are written to is encoded anew, at a high quality (H.264, or VP9 where a
side is odd; CRF 14).
"""

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines import command
from pipelines.clip import quick_look
from pipelines.clip.change import working_size
from pipelines.clip.checks import check_asked, check_idle, check_numbers, without_idle
from pipelines.clip.edit import RESULTS, Edit
from pipelines.clip.gate import Gate, read_gate
from pipelines.clip.job import STEPS, EditVideo
from pipelines.clip.motion import averaged, held, motion
from pipelines.errors import InputError
from pipelines.events import Event, Note
from pipelines.media import Clip, floats_at, read_clip
from pipelines.runs import record, run_folder, settings
from pipelines.runs.record import Order
from pipelines.teachers.catalog import video_teacher
from pipelines.teachers.compiling import expect_compiler
from pipelines.teachers.loaded import LoadedVideoTeacher, notes
from pipelines.teachers.loading import announcements, load_video_teacher, step_down
from pipelines.teachers.prompts import video_prompts
from pipelines.teachers.shortage import shortage
from pipelines.teachers.teacher import Recipe, VideoTeacher, as_read, check_prompt
from pipelines.teachers.weights import weights
from sds import parallel
from sds.masks import to_latent_frames

SDR = (
    "The clip is HDR; it is edited and comes back as SDR, with its brightest lights rolled off. "
    "To grade it yourself, export it as SDR first."
)


def edit_video(job: EditVideo, resumes: bool = False) -> Iterator[Event]:
    """Run an edit; yields notes, steps and previews, and `Done` when its files are written.

    resumes: go on with the run in the job's folder (see `pipelines.resume`). A file called `stop`
    in the folder ends the run after the current step, as a full result. Raises InputError for input
    that cannot be used: no run is left behind then. Raises RunFailed when the latents stop being
    finite or the disk is full; the last good state is then kept.
    """
    began = time.monotonic()
    job = settled(job)
    teacher = _check(job)
    downloads = announcements(teacher)
    clip = read_clip(job.clip, cut=job.cut)
    gate = None
    if job.mask is not None:
        gate = read_gate(
            job.mask, clip, job.mask_frame, job.mask_grow, job.mask_feather, job.mask_invert
        )

    def prepare() -> Generator[Note, None, Edit]:
        yield from map(Note, downloads)
        edit = _prepare(job, clip, gate, teacher)
        yield from map(Note, notes(edit.loaded))
        (h, w), (height, width) = edit.frames.shape[-2:], clip.size
        yield Note(f"{len(clip)} frames of {width}x{height}, worked at {w}x{h}")
        if clip.hdr:
            yield Note(SDR)
        return edit

    files = {"clip": job.clip} | ({} if job.mask is None else {"mask": job.mask})
    inputs = {f"{name}/{path.name}": path for name, path in files.items()}
    order = Order(job.out, describe(job), inputs, RESULTS, resumes, began)
    yield from record.run(order, prepare)


def usual(teacher: str) -> dict[str, Any]:
    """The settings that a teacher brings where the job leaves them out.

    Raises InputError where there is no such teacher.
    """
    chosen = video_teacher(teacher)
    return {f.name: getattr(chosen.recipe, f.name) for f in fields(Recipe)} | {"side": chosen.side}


def settled(job: EditVideo) -> EditVideo:
    """The job with no setting left out. Raises InputError where there is no such teacher."""
    own = usual(job.teacher)
    return replace(job, **{name: v for name, v in own.items() if getattr(job, name) is None})


def describe(job: EditVideo) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON."""
    said = settings.describe(replace(settled(job), steps=job.total_steps))
    versions = run_folder.versions() | {"weights": weights(video_teacher(job.teacher))}
    return {"job": "video", **said, "versions": versions}


def recall(said: Mapping[str, Any], files: Mapping[str, Path]) -> EditVideo:
    """The job that was described. files: where its files are, and `out`, by their settings."""
    # What a run did not know of yet was off.
    job = settings.recall(EditVideo, {"moves": 0, "steady": 1, **said}, files)
    # What did nothing was taken once, and is refused now.
    job = without_idle(job)
    return replace(job, steps=None) if job.steps == STEPS[job.preset] else job


def _check(job: EditVideo) -> VideoTeacher:
    teacher = video_teacher(job.teacher)
    check_prompt(teacher, job.source, "source")
    check_prompt(teacher, job.target, "target")
    check_numbers(job)
    check_asked(job, *as_read(teacher, (job.source, job.target)))
    check_idle(job)
    flow = teacher.shape == "wan"
    if not flow and (job.ode or job.method.eta):
        raise InputError(
            f"--ode and --eta are for flow teachers such as wan-1.3b, and {teacher.name} is none. "
            "Leave them out."
        )
    if teacher.shape == "cogvideox" and job.method.fusion != 1:
        raise InputError(
            f"In {teacher.name} words and picture share their attention, so the edit cannot attend "
            "to the source alone. Leave attention fusion off: --fusion 1."
        )
    if job.compile:
        expect_compiler()
    return teacher


def _prepare(job: EditVideo, clip: Clip, gate: Gate | None, teacher: VideoTeacher) -> Edit:
    # First, so that the text encoder is gone when the networks come.
    prompts = video_prompts(teacher, job.source, job.target)
    loaded = load_video_teacher(teacher.name, job.compile)
    if not loaded.teachers.video.schedule.alpha[job.high]:
        raise InputError(
            f"At noise level {job.high} {teacher.name} is shown nothing but noise. Lower --high."
        )
    stride = loaded.codec.stride
    small = floats_at(clip.frames, working_size(clip.size, job.side, loaded.multiple))
    x_src = _encoded(loaded, small.to(loaded.device))
    count, *grid = x_src.shape[2:]
    colours = None
    if not loaded.decodes_fast:
        colours = quick_look.fit(x_src, held(small, count, stride))
    latent_gate = None
    if gate is not None:
        latent_gate = to_latent_frames(gate.latent(grid), stride, count).to(loaded.device)
    follows = job.method.smooth_along_flow or averaged(job.steady, stride) > 1
    # The file that was given may be gone by the time its sound is needed.
    (kept,) = run_folder.input_files(job.out, {"clip": job.clip.name}).values()
    return Edit(
        job=job,
        loaded=loaded,
        clip=replace(clip, source=kept),
        gate=gate,
        frames=small,
        x_src=x_src,
        x=x_src.clone(),
        shown=x_src.clone(),
        latent_gate=latent_gate,
        motion=motion(small, x_src, stride) if follows else None,
        smoothed=torch.zeros_like(x_src[:, :1]),
        prompts=prompts,
        colours=colours,
    )


def _encoded(loaded: LoadedVideoTeacher, frames: Tensor) -> Tensor:
    """The clip's latents; while that takes too much memory, with less of it from here on."""
    while True:
        try:
            return loaded.codec.encode(frames)
        except RuntimeError as error:
            short = shortage(error)
        # Outside of the handler, which holds on to what was too much.
        if not step_down(loaded):
            raise torch.OutOfMemoryError(short)


def main() -> None:
    job = command.parse(EditVideo, "pipelines.video", usual, __doc__)
    parallel.leave(command.run(edit_video(job), job.out))


if __name__ == "__main__":
    main()
