"""Edit a clip by saying what it shows and what it should show: ASSD on any clip.

    python -m pipelines.video CLIP --source "..." --target "..." --out RUN_DIR

The clip is worked on at the teacher's size and comes back at its own. What is written is
`source + decode(x) - decode(x_src)`: the change, so that what the autoencoder loses is not lost
and a frame nothing was asked of comes back exactly. Inside a mask only, where there is one.
"""

import hashlib
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor

from pipelines import command
from pipelines.clip import quick_look
from pipelines.clip.change import apply_change, psnr_outside, working_size
from pipelines.clip.comparison import Panel, grey, panel_size, write_comparison
from pipelines.clip.flow import optical_flow
from pipelines.clip.gate import Gate, read_gate
from pipelines.errors import InputError
from pipelines.events import Event, Note, Preview
from pipelines.media import Clip, Cut, floats_at, read_clip, to_uint8, write_clip
from pipelines.runs import record, run_folder, settings
from pipelines.runs.record import Order
from pipelines.teachers.catalog import default_video_teacher, video_teacher
from pipelines.teachers.loading import (
    LoadedVideoTeacher,
    announcements,
    load_video_teacher,
    step_down,
)
from pipelines.teachers.prompts import video_prompts
from pipelines.teachers.teacher import Recipe, VideoTeacher, check_prompt
from pipelines.teachers.thrift import said
from sds import optical_flow as flows_of
from sds.assd import Method, Prompts, assd_gradient
from sds.descent import descend
from sds.masks import to_latent_frames
from sds.optical_flow import Flows
from sds.optimize import State, Step

Preset = Literal["quick", "standard", "fine"]
STEPS: dict[Preset, int] = {"quick": 10, "standard": 40, "fine": 120}
PREVIEW_FRAMES = 4
RESULT = "result.mp4"


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
    teacher: str = default_video_teacher()
    """Which diffusion models judge the edit: a name of the list, or the folder or hub id of a model
    of the same shape; two of them as VIDEO+IMAGE."""
    preset: Preset = "standard"
    """How many steps are taken, unless --steps says it."""
    steps: int | None = None
    """Steps of the optimisation."""
    seed: int = 0
    """Seed of all noise; the same seed repeats the run."""
    strength: float = 1.0
    """How far each step goes; 1 is the measured default."""
    high: int | None = None
    """Noise level the run starts at, 1 to 999: higher changes shapes, lower keeps them. The
    teacher's own if left out."""
    low: int | None = None
    """Noise level the run ends at. The teacher's own if left out."""
    ode: bool | None = None
    """Step from noise level to noise level, as a sampler does; flow teachers only. The teacher's
    own way if left out."""
    side: int | None = None
    """Work at about side x side pixels; fewer take less memory. The teacher's own if left out."""
    mask: Path | None = None
    """Where the edit may happen: a picture drawn on one frame, or a clip of masks."""
    mask_frame: int = 0
    """The frame a mask picture was drawn on, counted from 0 in what is edited; it is carried along
    the motion."""
    mask_grow: float = 2.0
    """Pixels the mask is grown by before it is feathered."""
    mask_feather: float = 2.0
    """Width of the mask's soft edge, in pixels."""
    mask_invert: bool = False
    """The mask says what stays, instead of what may change."""
    cut: Cut = field(default_factory=Cut)
    method: Method | None = None
    """The teacher's own if left out."""

    @property
    def total_steps(self) -> int:
        """Steps the run will take."""
        return STEPS[self.preset] if self.steps is None else self.steps


@dataclass(frozen=True, eq=False)
class Edit:
    """An edit with everything loaded and brought to the teacher: what `record.run` drives.

    Its job has no setting left out.
    """

    job: EditVideo
    loaded: LoadedVideoTeacher
    clip: Clip
    gate: Gate | None
    """Where the edit may happen; None is everywhere."""
    frames: Tensor
    """(F, 3, h, w) in [0, 1] at the working size."""
    x_src: Tensor
    """(1, C, f, h/8, w/8) fp32 latents of the clip, or whatever the teacher's autoencoder makes."""
    x: Tensor
    """The same, edited so far."""
    latent_gate: Tensor | None
    """(1, 1, f, h/8, w/8): the gate on the latent grid."""
    flows: Flows | None
    """Optical flow on the latent grid, where the method wants it."""
    smoothed: Tensor
    """(1, 1, f, h/8, w/8) in [0, 1]: the last step's adaptive mask, 0 where there is none."""
    prompts: Prompts
    colours: Tensor | None
    """(C, 3): what latents look like (`quick_look`); None where previews are decoded."""

    def optimise(self, since: State | None) -> Iterator[Step]:
        """Move `x` in place, one step per teacher call."""
        job, clip = self.job, self._clip()
        if since is not None:
            self.smoothed.copy_(since["smoothed"])

        def gradient(x: Tensor, t: int, generator: torch.Generator) -> Tensor:
            asked = (self.loaded.teachers, self.prompts, job.method, x, self.x_src, t, generator)
            kept = None if clip is None else self.loaded.references(clip)
            score = assd_gradient(*asked, self.flows, kept)
            if score.adaptive_mask is not None:
                self.smoothed.copy_(score.adaptive_mask)
            return score.gradient

        descent = descend(
            gradient,
            self.x,
            self.x_src,
            job.total_steps,
            job.seed,
            job.strength,
            self.latent_gate,
            job.low,
            job.high,
            since,
            self.loaded.teachers.video.schedule.sigma if job.ode else None,
        )
        for step in descent:
            yield replace(step, state=lambda step=step: step.state() | {"smoothed": self.smoothed})

    def step_down(self) -> list[str]:
        """Do without something the teacher takes memory for."""
        return step_down(self.loaded)

    @property
    def remedy(self) -> str:
        """What the user can lower where memory is short."""
        return f"lower --side (now {self.job.side}), or edit fewer frames (--start, --end)"

    def preview(self, index: int) -> Preview:
        """A few frames, decoded, or as their latents look where decoding takes long."""
        shown = _spread(len(self.clip), PREVIEW_FRAMES)
        latent = self._latent_of(shown)
        if self.colours is None:
            change = self.loaded.change_at(self.x, self.x_src, shown)
        else:
            few, size = (v[:, :, latent] for v in (self.x, self.x_src)), self.frames.shape[-2:]
            change = quick_look.change(self.colours, *few, size)
        masks = {name: mask[0, 0, latent].cpu() for name, mask in self._masks().items()}
        return Preview(index, to_uint8((self.frames[shown] + change).clamp(0, 1)), masks)

    def write(self, said: dict[str, Any]) -> tuple[Path, list[str], dict[str, Any]]:
        """The clip, the same beside its source, and how much changed where it should not."""
        result, clip = self.job.out / RESULT, self.clip
        change = self.loaded.change(self.x, self.x_src)[: len(clip)]
        frames = apply_change(clip, change, self.gate)
        notes = write_clip(result, frames, clip, said)
        panels = write_comparison(self.job.out, self._panels(frames), clip)
        facts = {
            "psnr_outside_mask": psnr_outside(frames, clip, self.gate),
            "frames": len(clip),
            "working_size": list(self.frames.shape[-2:]),
            "panels": panels,
        }
        return result, notes, facts

    def _clip(self) -> str | None:
        """A name for all that the reference branch is asked but noise; None where it is the edit's.

        Equal questions must be asked together, to be answered the same to the last bit.
        """
        both = [self.prompts, self.prompts.image or self.prompts]
        if all(prompts.source.equal(prompts.target) for prompts in both):
            return None
        said = hashlib.sha256(str(self.job.method.guidance_source).encode())
        for tensor in (self.x_src, *(t for p in both for t in (p.source, p.empty))):
            said.update(tensor.float().cpu().numpy().tobytes())
        return said.hexdigest()

    def _latent_of(self, frames: Iterable[int]) -> list[int]:
        """The latent frames that hold these frames of the clip."""
        return [-(-frame // self.loaded.codec.stride) for frame in frames]

    def _masks(self) -> dict[str, Tensor]:
        """What can be laid over the frames, on the latent grid: (1, 1, f, h, w) each."""
        masks = {} if self.latent_gate is None else {"mask": self.latent_gate}
        if self.job.method.smoothing != "off":
            masks["smoothed"] = self.smoothed
        return masks

    def _panels(self, frames: Tensor) -> dict[str, Panel]:
        size = panel_size(self.clip.size)
        panels: dict[str, Panel] = {
            "before": lambda few: self.clip.frames[few],
            "after": lambda few: frames[few],
        }
        if self.gate is not None:
            gate = self.gate.shrunk(size)
            panels["mask"] = lambda few: grey(gate.at(few), size)
        if self.job.method.smoothing != "off":
            latent = self._latent_of(range(len(self.clip)))
            smoothed = self.smoothed[0, :, latent].transpose(0, 1)
            panels["smoothed"] = lambda few: grey(smoothed[few], size)
        return panels


def edit_video(job: EditVideo, resumes: bool = False) -> Iterator[Event]:
    """Run an edit; yields notes, steps and previews, and `Done` when its files are written.

    resumes: go on with the run in the job's folder (see `pipelines.resume`). A file called `stop`
    in the folder ends the run after the current step, as a full result. Raises InputError for input
    that cannot be used, before anything is written, and RunFailed when the latents stop being
    finite or the disk is full; the last good state is then kept.
    """
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
        yield from map(Note, said(edit.loaded.thrift))
        (h, w), (height, width) = edit.frames.shape[-2:], clip.size
        yield Note(f"{len(clip)} frames of {width}x{height}, worked at {w}x{h}")
        return edit

    files = {"clip": job.clip} | ({} if job.mask is None else {"mask": job.mask})
    inputs = {f"{name}/{path.name}": path for name, path in files.items()}
    yield from record.run(Order(job.out, describe(job), inputs, resumes), prepare)


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
    return {"job": "video", **said, "versions": run_folder.versions()}


def recall(said: Mapping[str, Any], files: Mapping[str, Path]) -> EditVideo:
    """The job that was described. files: where its files are, and `out`, by their settings."""
    job = settings.recall(EditVideo, said, files)
    return replace(job, steps=None) if job.steps == STEPS[job.preset] else job


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
    if not 32 <= job.side <= 4096:
        raise InputError(f"Working at {job.side} pixels a side: give 32 to 4096.")
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
    return teacher


def _prepare(job: EditVideo, clip: Clip, gate: Gate | None, teacher: VideoTeacher) -> Edit:
    # First, so that the text encoder is gone when the networks come.
    prompts = video_prompts(teacher, job.source, job.target)
    loaded = load_video_teacher(teacher.name)
    stride = loaded.codec.stride
    small = floats_at(clip.frames, working_size(clip.size, job.side, loaded.multiple))
    x_src = _encoded(loaded, small.to(loaded.device))
    count, *grid = x_src.shape[2:]
    # The last frame of each latent.
    held = [min(stride * k, len(small) - 1) for k in range(count)]
    colours = None if loaded.decodes_fast else quick_look.fit(x_src, small[held])
    latent_gate = flows = None
    if gate is not None:
        latent_gate = to_latent_frames(gate.latent(grid), stride, count).to(loaded.device)
    if job.method.smooth_along_flow and len(small) > 1:
        flows = flows_of.resize(optical_flow(small[held]), grid).to(loaded.device)
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
        latent_gate=latent_gate,
        flows=flows,
        smoothed=torch.zeros_like(x_src[:, :1]),
        prompts=prompts,
        colours=colours,
    )


def _encoded(loaded: LoadedVideoTeacher, frames: Tensor) -> Tensor:
    """The clip's latents; where that takes too much memory, with less of it from here on."""
    with suppress(torch.OutOfMemoryError):
        return loaded.codec.encode(frames)
    step_down(loaded)
    return loaded.codec.encode(frames)


def _spread(count: int, wanted: int) -> list[int]:
    """`wanted` frame numbers spread evenly over a clip, fewer if it is shorter."""
    wanted = min(count, wanted)
    return [round((k + 0.5) * count / wanted - 0.5) for k in range(wanted)]


def main() -> None:
    job = command.parse(EditVideo, "pipelines.video", usual, __doc__)
    sys.exit(command.run(edit_video(job), job.out))


if __name__ == "__main__":
    main()
