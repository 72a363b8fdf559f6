"""A clip in memory: its frames, and when each of them is shown.

Time is kept in integers. Frame i is shown from `times[i] * time_base` seconds until the next
frame, the last one for `last_duration * time_base` seconds. A variable frame rate so survives
exactly. Knows nothing about files.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cut:
    """Which part of a clip is taken, to the millisecond: the frames that begin within it.

    One that began before is left out, also where it is still shown; the last ends with the part.
    """

    start: float = 0.0
    """Seconds from the clip's first frame at which the part begins."""
    end: float | None = None
    """Seconds at which it ends; None is the clip's own end."""
    every: int = 1
    """Take every n-th frame of the part: it lasts as long, at a lower frame rate."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip: what `read_clip` gives, and what `write_clip` needs to write an edit of it back."""

    frames: Tensor
    """uint8 (F, H, W, 3), RGB 0..255, upright: the file's rotation is already applied."""
    times: tuple[int, ...]
    """F presentation times in units of `time_base`, strictly increasing."""
    time_base: Fraction
    """Seconds per unit of time."""
    last_duration: int
    """How long the last frame is shown, in units of `time_base`, at least 1."""
    rate: Fraction
    """Average frames per second."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height; 1 for nearly every clip."""
    has_audio: bool = False
    """Whether `source` has sound, which `write_clip` then copies."""
    source: Path | None = None
    """The file it was read from; None for a clip made in memory."""
    cut: Cut = Cut()
    """Which part of `source` it is. Where a part has a start, its first frame's time is 0."""
    hdr: bool = False
    """Whether `source` is HDR: `frames` are the SDR that it shows, and are written as such."""
    sound: tuple[Fraction, Fraction | None] = (Fraction(0), None)
    """From where to where in `source`, in seconds on its own clock, the clip's sound is; None is
    its end."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def seconds(self) -> float:
        """From the first frame's start to the last frame's end."""
        return float((self.times[-1] - self.times[0] + self.last_duration) * self.time_base)

    def __len__(self) -> int:
        """F, the number of frames."""
        return len(self.times)


def clip_from_frames(frames: Tensor, rate: Fraction | float) -> Clip:
    """A silent clip of constant frame rate.

    Args:
        frames: uint8 (F, H, W, 3), RGB 0..255.
        rate: frames per second, above 0; kept as the nearest fraction over at most 1001, the
            denominator of the broadcast rates (30000/1001).

    Raises:
        ValueError: other shape or dtype, or a rate that is not positive.
    """
    rate = Fraction(rate).limit_denominator(1001)
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(
            f"frames must be uint8 (F, H, W, 3), not {frames.dtype} {tuple(frames.shape)}; "
            "to_uint8 makes them from float (F, 3, H, W)"
        )
    if rate <= 0:
        raise ValueError(f"rate must be above 0 frames per second, not {rate}")
    return Clip(frames, tuple(range(len(frames))), 1 / rate, 1, rate)
