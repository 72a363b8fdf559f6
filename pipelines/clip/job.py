"""What can be asked of a video edit. This module knows nothing about how one is done."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from pipelines.media import Cut
from pipelines.teachers.catalog import default_video_teacher
from sds.assd import Method

Preset = Literal["quick", "standard", "fine"]
STEPS: dict[Preset, int] = {"quick": 10, "standard": 40, "fine": 120}


@dataclass(frozen=True)
class EditVideo:
    """Edit a clip by saying what it shows and what it should show."""

    clip: tyro.conf.Positional[Path]
    """The clip to edit: mp4, webm, mov, gif, avi or mkv; of at most 300 frames, 4096 pixels a side,
    and 536 million pixels over all frames (258 frames of 1920x1080)."""
    source: str
    """What the clip shows."""
    target: str
    """What it should show."""
    out: Path
    """Folder for result.mp4, settings.json and metrics.json."""
    teacher: str = default_video_teacher()
    """Which diffusion models judge the edit: a name of the list, or the folder or hub id of a model
    of the same shape; as VIDEO+IMAGE a ModelScope-shaped model or a motion adapter with a Stable
    Diffusion."""
    compile: bool = False
    """Compile the blocks that the teacher's networks repeat: a slow start, then faster steps. Needs
    a C++ compiler, and Triton on a GPU."""
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
    moves: int | None = None
    """How often the clip moves at most. Of more steps several ask about the same clip, each with a
    noise of its own, before it moves; 0 moves at every step. The teacher's own if left out."""
    steady: int | None = None
    """Frames over which what the teachers say, and in the end the change, is averaged along the
    clip's motion, an odd number: it takes noise and flicker away. 1 leaves them. Where a latent
    holds 4 frames, what the teachers say is averaged from 9 on. The teacher's own if left out."""
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
    """Standard deviation of the blur that softens the mask's edge, in pixels; it reaches three
    times as far."""
    mask_invert: bool = False
    """The mask says what stays, instead of what may change; its soft edge then lies outside it."""
    cut: Cut = field(default_factory=Cut)
    method: Method | None = None
    """The teacher's own if left out."""

    @property
    def total_steps(self) -> int:
        """Steps the run will take."""
        return STEPS[self.preset] if self.steps is None else self.steps
