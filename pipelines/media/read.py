"""Clips in: mp4, mov, webm, mkv, avi and gif, decoded to upright RGB frames with exact times.

Knows nothing about diffusion or about what will be done with the frames. Conventions:

* Timestamps are the file's own. A missing or repeated one is put one average frame after its
  predecessor.
* A part of a clip that has a start begins at time 0; its sound is found by `Clip.sound`.
"""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from pipelines.errors import InputError
from pipelines.media.clip import Clip, Cut
from pipelines.media.part import (
    MAX_FRAMES,
    MAX_PIXELS,
    check_amount,
    empty,
    is_over,
    open_part,
    timed_frames,
)
from pipelines.media.pixels import is_hdr, rgb, upright
from pipelines.media.source import FALLBACK_RATE, open_source

SETTINGS_KEY = "scorebrush"
_ALL = Cut()
_CLOCK = 2e-3
"""Seconds that a player's clock may be early: a frame counts as shown a little before its time."""


def read_clip(
    path: Path | str, max_frames: int = MAX_FRAMES, max_pixels: int = MAX_PIXELS, cut: Cut = _ALL
) -> Clip:
    """Read a clip, or a part of it, into memory.

    Args:
        path: a local mp4, mov, webm, mkv, avi or gif file.
        max_frames: the most frames accepted.
        max_pixels: the most pixels accepted, frames x height x width.
        cut: which part; what lies outside it counts for neither limit.

    Returns:
        The clip, with at least two frames.

    Raises:
        InputError: no such file, not a video, no video stream, damaged or cut short, fewer than
            two frames, a side above 4096 pixels, above one of the limits, or a part that is empty
            or not in the clip.
    """
    clip = decode(path, max_frames, max_pixels, cut)
    if len(clip) == 1:
        name = Path(path).name
        if cut != _ALL:
            raise InputError(
                f"The part of {name} has only one frame, and a video edit needs at least 2. "
                "Take a longer part, or more of its frames."
            )
        raise InputError(
            f"{name} has only one frame, and a video edit needs at least 2. "
            "Give a clip, not a still picture."
        )
    return clip


def read_frame(path: Path | str, second: float, cut: Cut = _ALL) -> tuple[torch.Tensor, int]:
    """The frame that is shown at a moment of a part, without reading what comes after it.

    Args:
        path: as for `read_clip`.
        second: on the clip's own clock. Before the part it is the first frame, after it the last.
        cut: which part.

    Returns:
        The frame, uint8 (H, W, 3), and its number k: `read_clip(path, cut=cut).frames[k]`.

    Raises:
        InputError: as `read_clip`, for what it reads.
    """
    return _read_until(path, cut, lambda start, number: start > second + _CLOCK)


def read_numbered_frame(path: Path | str, number: int, cut: Cut = _ALL) -> torch.Tensor:
    """The frame `read_clip(path, cut=cut).frames[number]`, without reading what comes after it.

    Raises:
        InputError: as `read_clip`, for what it reads, or a number that no frame has.
    """
    frame, last = _read_until(path, cut, lambda start, reached: reached > number)
    if number != last:
        raise InputError(f"{Path(path).name} has no frame {number}: give 0 to {last}.")
    return frame


def _read_until(
    path: Path | str, cut: Cut, after: Callable[[Fraction, int], bool]
) -> tuple[torch.Tensor, int]:
    """The last frame of a part before one that `after` says, and its number; or else the first.

    after: whether a frame, by its second and its number, comes after the one that is wanted.
    """
    name, shown, number = Path(path).name, None, 0
    with open_part(path, cut) as (container, stream):
        for index, (start, frame) in enumerate(timed_frames(container, stream, name, cut)):
            over = shown is not None and after(start, index // cut.every)
            if over or is_over(cut, start):
                break
            if index % cut.every == 0:
                shown, number = frame, index // cut.every
                check_amount(name, number + 1, stream, MAX_FRAMES, MAX_PIXELS)
        if shown is None:
            raise empty(name, cut)
        return torch.from_numpy(upright(rgb(shown), shown)[0].copy()), number


def read_settings(path: Path | str) -> dict | None:
    """The settings that `write_clip` embedded in a file, or None where there are none.

    Raises:
        InputError: no such file, or not a video.
    """
    with open_source(path) as container:
        comment = container.metadata.get("comment", "")
    try:
        content = json.loads(comment)
    except ValueError:
        return None
    return content.get(SETTINGS_KEY) if isinstance(content, dict) else None


def decode(path: Path | str, max_frames: int, max_pixels: int, cut: Cut = _ALL) -> Clip:
    """`read_clip` that accepts a single frame too; same arguments and errors otherwise."""
    name = Path(path).name
    with open_part(path, cut) as (container, stream):
        pictures, stamps, transposed, hdr, following = [], [], False, False, None
        # Of the frame that begins last: those of an AVI may come out of order.
        begun = Fraction(0)
        for second, frame in timed_frames(container, stream, name, cut):
            stamp = frame.dts if frame.pts is None else frame.pts
            if is_over(cut, second):
                following = stamp
                break
            if len(stamps) % cut.every == 0:
                check_amount(name, len(pictures) + 1, stream, max_frames, max_pixels)
                picture, transposed = upright(rgb(frame), frame)
                hdr = hdr or is_hdr(frame)
                if pictures and picture.shape != pictures[0].shape:
                    raise InputError(
                        f"{name} changes its frame size midway. Export it at one size."
                    )
                pictures.append(picture)
            stamps.append(stamp)
            duration, begun = frame.duration, max(begun, second)
        if not pictures:
            raise empty(name, cut)
        room = None if cut.end is None else (Fraction(cut.end) - begun) / stream.time_base
        times, last_duration, rate = _timing(stream, stamps, duration, following, room)
        end = times[-1] + last_duration
        offset = times[0] if cut.start > 0 else 0
        kept = tuple(time - offset for time in times[:: cut.every])
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return Clip(
            frames=_stack(pictures),
            times=kept,
            time_base=stream.time_base,
            last_duration=end - offset - kept[-1],
            rate=rate / cut.every,
            pixel_aspect=1 / aspect if transposed else aspect,
            has_audio=bool(container.streams.audio),
            source=Path(path).absolute(),
            cut=cut,
            hdr=hdr,
            sound=(
                offset * stream.time_base,
                None if room is None else max(end, times[-1] + room) * stream.time_base,
            ),
        )


def _timing(
    stream: av.VideoStream,
    stamps: list[int | None],
    duration: int,
    following: int | None = None,
    room: Fraction | None = None,
) -> tuple[tuple[int, ...], int, Fraction]:
    """(times, duration of the last frame, average rate) from what the file says.

    following: the stamp of the frame after the last one, None where that is the clip's last; room:
    from the last one's begin to the part's end, None where that is the clip's.
    """
    nominal = stream.average_rate or stream.guessed_rate or FALLBACK_RATE
    step = max(1, round(1 / (nominal * stream.time_base)))
    # AVI stores no presentation times, and with B-frames the decoder's guesses come out of order.
    known = iter(sorted(stamp for stamp in stamps if stamp is not None))
    times = []
    for stamp in stamps:
        time = None if stamp is None else next(known)
        follows = time is not None and (not times or time > times[-1])
        times.append(time if follows else times[-1] + step if times else 0)
    # A container's own last duration may be a decoding-order artefact; its length is not.
    last = duration or step
    if following is not None:
        last = max(following - times[-1], 0) or last
    elif stream.duration is not None:
        last = max((stream.start_time or 0) + stream.duration - times[-1], 0) or last
    if room is not None:
        last = max(min(last, round(room)), 1)
    span = times[-1] - times[0]
    paces = (Fraction(max(len(times) - 1, 1), span or last), Fraction(len(times), span + last))
    honest = any(abs(pace / (nominal * stream.time_base) - 1) < Fraction(1, 100) for pace in paces)
    return tuple(times), last, nominal if honest else paces[1] / stream.time_base


def _stack(pictures: list[np.ndarray]) -> torch.Tensor:
    """(F, H, W, 3), emptying the list as it goes so that the clip is not in memory twice."""
    frames = np.empty((len(pictures), *pictures[0].shape), dtype=np.uint8)
    for index in range(len(pictures)):
        frames[index], pictures[index] = pictures[index], None
    return torch.from_numpy(frames)
