"""Clips in: mp4, mov, webm, mkv, avi and gif, decoded to upright RGB frames with exact times.

Knows nothing about diffusion or about what will be done with the frames. Conventions:

* Timestamps are the file's own. A missing or repeated one is put one average frame after its
  predecessor.
* A part of a clip that has a start begins at time 0; its sound is found by `Clip.sound`.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from pipelines.errors import InputError
from pipelines.media.clip import Clip, Cut
from pipelines.media.pixels import rgb, upright
from pipelines.media.source import (
    FALLBACK_RATE,
    check_size,
    damaged,
    is_open_gif,
    open_source,
    seek,
    video_stream,
)

SETTINGS_KEY = "scorebrush"
MAX_FRAMES = 300
MAX_PIXELS = 2**29
"""Of all frames together. One pixel takes 3 bytes: 1.5 GiB, 258 frames of 1920x1080."""

_ALL = Cut()
_SLACK = Fraction(1, 1000)
"""Seconds: people write 0.333 for a third."""


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
    check_cut(cut)
    with open_source(path) as container:
        stream = video_stream(container, name)
        check_size(name, stream.width, stream.height)
        stream.thread_type = "AUTO"
        seek(container, stream, cut)
        pictures, stamps, transposed, following = [], [], False, None
        for second, frame in _timed(container, stream, name, cut):
            stamp = frame.dts if frame.pts is None else frame.pts
            if cut.end is not None and second >= Fraction(cut.end) - _SLACK:
                following = stamp
                break
            if len(stamps) % cut.every == 0:
                _check_amount(name, len(pictures) + 1, stream, max_frames, max_pixels)
                picture, transposed = upright(rgb(frame), frame)
                if pictures and picture.shape != pictures[0].shape:
                    raise InputError(
                        f"{name} changes its frame size midway. Export it at one size."
                    )
                pictures.append(picture)
            stamps.append(stamp)
            duration = frame.duration
        if not pictures:
            _raise_empty(name, cut)
        times, last_duration, rate = _timing(stream, stamps, duration, following)
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
            sound=(
                offset * stream.time_base,
                None if following is None else end * stream.time_base,
            ),
        )


def check_cut(cut: Cut) -> None:
    """Raises InputError for a part that no clip has."""
    if not 0 <= cut.start < float("inf"):
        raise InputError(f"The part starts at {cut.start} s. Give 0 or more seconds.")
    if cut.end is not None and not cut.start < cut.end < float("inf"):
        raise InputError(
            f"The part ends at {cut.end} s and starts at {cut.start} s. Let it end after its start."
        )
    if cut.every < 1:
        raise InputError(f"Every {cut.every}-th frame is none. Give 1 for all frames, 2 for half.")


def _raise_empty(name: str, cut: Cut) -> None:
    if cut == _ALL:
        raise InputError(f"{name} has no frame that can be decoded. Export it again.")
    until = "its end" if cut.end is None else f"{cut.end:g} s"
    raise InputError(
        f"{name} has no frame between {cut.start:g} s and {until}. Choose a part that is in it."
    )


def _timed(
    container: av.container.InputContainer, stream: av.VideoStream, name: str, cut: Cut
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Every frame from the part's start on, with its second in the clip."""
    first, step = stream.start_time, 1 / (stream.average_rate or FALLBACK_RATE)
    for index, frame in enumerate(_frames(container, stream, name)):
        stamp = frame.dts if frame.pts is None else frame.pts
        if first is None and stamp is not None:
            first = stamp
        second = index * step if stamp is None else (stamp - first) * stream.time_base
        if second < Fraction(cut.start) - _SLACK:
            continue
        # Before the part it may be: a clip entered midway lacks what those frames refer to.
        if frame.is_corrupt:
            raise damaged(name)
        yield second, frame


def _check_amount(
    name: str, count: int, stream: av.VideoStream, max_frames: int, max_pixels: int
) -> None:
    if count > max_frames:
        raise InputError(
            f"{name} has more than {max_frames} frames, the most accepted. "
            "Take a part of it, or every second frame."
        )
    if count * stream.width * stream.height > max_pixels:
        raise InputError(
            f"{name} does not fit in memory at {stream.width}x{stream.height}: at most "
            f"{max_pixels // 2**20} million pixels over all frames are accepted. "
            "Take a part of it, or scale it down."
        )


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, name: str
) -> Iterator[av.VideoFrame]:
    """Decode every frame, and refuse a file of which a part is missing or damaged.

    Whether a frame itself is damaged is for the reader to ask.
    """
    ends = {}
    try:
        for packet in container.demux():
            if packet.is_corrupt:
                raise damaged(name)
            time = packet.dts if packet.pts is None else packet.pts
            if time is not None:
                end = (time + (packet.duration or 0)) * packet.time_base
                ends[packet.stream.index] = max(end, ends.get(packet.stream.index, end))
            if packet.stream.index == stream.index:
                yield from packet.decode()
    except av.error.FFmpegError as error:
        raise damaged(name) from error
    # A file cut between two packets decodes without complaint: only its promised length tells.
    slack = max(3 / (stream.average_rate or FALLBACK_RATE), Fraction(1, 10))
    if stream.duration is not None:
        promised = ((stream.start_time or 0) + stream.duration) * stream.time_base
        reached = ends.get(stream.index, 0)
    else:
        promised = Fraction(container.duration or 0, av.time_base)
        reached = max(ends.values(), default=0)
    if reached + slack < promised or is_open_gif(container):
        raise damaged(name)


def _timing(
    stream: av.VideoStream, stamps: list[int | None], duration: int, following: int | None = None
) -> tuple[tuple[int, ...], int, Fraction]:
    """(times, duration of the last frame, average rate) from what the file says.

    following: the stamp of the frame after the last one, None where that is the clip's last.
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
