"""An edit with everything in memory: its steps, its previews, and the files it ends with.

This module knows nothing about how the clip, the mask and the teacher came to be there.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.clip import quick_look
from pipelines.clip.change import apply_change, edited, psnr_outside, steadied
from pipelines.clip.gate import Gate
from pipelines.clip.job import EditVideo
from pipelines.clip.motion import Motion
from pipelines.events import Preview
from pipelines.media import Clip, to_uint8, write_clip
from pipelines.media.comparison import COMPARISON, Panel, grey, panel_size, write_comparison
from pipelines.teachers.loaded import LoadedVideoTeacher
from pipelines.teachers.loading import step_down
from sds.assd import Prompts, assd_score, finished
from sds.descent import descend
from sds.optimize import State, Step

PREVIEW_FRAMES = 4
RESULT = "result.mp4"
RESULTS = (RESULT, COMPARISON)
"""Every file that an edit ends with."""


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
    shown: Tensor
    """The same, as it would be if it moved now: what previews show, and what a run that is stopped
    between two moves ends with."""
    latent_gate: Tensor | None
    """(1, 1, f, h/8, w/8): the gate on the latent grid."""
    motion: Motion | None
    """How the clip moves on the latent grid, where that is asked for."""
    smoothed: Tensor
    """(1, 1, f, h/8, w/8) in [0, 1]: the last step's adaptive mask, 0 where there is none."""
    prompts: Prompts
    colours: Tensor | None
    """(C, 3): what latents look like (`quick_look`); None where previews are decoded."""

    def optimise(self, since: State | None) -> Iterator[Step]:
        """Move `x` in place, one step per teacher call."""
        if since is not None:
            self.smoothed.copy_(since["smoothed"])
            # As it was encoded then: in tiles it comes out otherwise.
            self.x_src.copy_(since["x_src"])
        job, question = self.job, self._question()
        flows = None if self.motion is None else self.motion.flows

        def gradient(x: Tensor, t: int, generator: torch.Generator) -> Tensor:
            kept = None if question is None else self.loaded.references(question)
            score = assd_score(
                self.loaded.teachers,
                self.prompts,
                job.method,
                x,
                self.x_src,
                t,
                generator,
                flows=flows,
                references=kept,
            )
            if score.adaptive_mask is not None:
                self.smoothed.copy_(score.adaptive_mask)
            return score.said

        descent = descend(
            gradient,
            self.x,
            self.x_src,
            steps=job.total_steps,
            seed=job.seed,
            strength=job.strength,
            gate=self.latent_gate,
            low=job.low,
            high=job.high,
            since=since,
            sigma=self.loaded.teachers.video.schedule.sigma if job.ode else None,
            moves=job.moves,
            finish=lambda said: finished(job.method, self._along(said), self.x, self.x_src),
        )
        last, more = None, {"smoothed": self.smoothed, "x_src": self.x_src}
        try:
            with closing(descent):
                for last in descent:
                    self.shown.copy_(last.ahead())
                    yield replace(last, state=lambda step=last: step.state() | more)
        finally:
            # No step was left to take, or the last one went bad and was undone.
            if last is None or not self.shown.isfinite().all():
                self.shown.copy_(self.x)

    def step_down(self) -> list[str]:
        """Do without something the teacher takes memory for."""
        return step_down(self.loaded)

    @property
    def remedy(self) -> str:
        """What the user can lower where memory is short."""
        return f"lower --side (now {self.job.side}), or edit fewer frames (--start, --end)"

    @property
    def calmer(self) -> str:
        """What the user can lower where numbers grow beyond all bounds."""
        return "lower --guidance-target or --strength"

    def preview(self, index: int) -> Preview:
        """A few frames, decoded, or as their latents look where decoding takes long."""
        shown = self._shown
        latent = self._latent_of(shown)
        source = self.frames[shown]
        if self.colours is None:
            before = self._decoded_source
            frames = edited(source, before, self.loaded.frames_at(self.shown, shown) - before)
        else:
            few = (v[:, :, latent] for v in (self.shown, self.x_src))
            frames = source + quick_look.change(self.colours, *few, source.shape[-2:])
        masks = {name: mask[0, 0, latent].cpu() for name, mask in self._masks().items()}
        return Preview(index, to_uint8(frames), masks)

    def write(self, said: dict[str, Any]) -> tuple[Path, list[str], dict[str, Any]]:
        """The clip, the same beside its source, and how much changed where it should not."""
        result, clip = self.job.out / RESULT, self.clip
        # A clip that was padded to be encoded is decoded longer.
        before, change = (self.loaded.pictures(z)[: len(clip)] for z in (self.x_src, self.shown))
        change -= before
        change = steadied(change, self.frames, self.job.steady, self.loaded.device)
        frames = apply_change(clip, before, change, self.gate)
        notes = write_clip(result, frames, clip, said)
        panels = write_comparison(self.job.out, self._panels(frames), clip)
        facts = {
            "psnr_outside_mask": psnr_outside(frames, clip, self.gate),
            "frames": len(clip),
            "working_size": list(self.frames.shape[-2:]),
            "panels": panels,
        }
        return result, notes, facts

    @property
    def _shown(self) -> list[int]:
        """The frames that previews show."""
        return _spread(len(self.clip), PREVIEW_FRAMES)

    @cached_property
    def _decoded_source(self) -> Tensor:
        """Those frames of the source as the autoencoder gives them back: the same all the time."""
        return self.loaded.frames_at(self.x_src, self._shown)

    def _along(self, said: Tensor) -> Tensor:
        """What the teachers said, averaged along the motion."""
        return said if self.motion is None else self.motion.mean(said, self.job.steady)

    def _question(self) -> str | None:
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


def _spread(count: int, wanted: int) -> list[int]:
    """`wanted` frame numbers spread evenly over a clip, fewer if it is shorter."""
    wanted = min(count, wanted)
    return [round((k + 0.5) * count / wanted - 0.5) for k in range(wanted)]
