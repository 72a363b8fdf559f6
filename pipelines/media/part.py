"""The frames of a part of a video file, one by one as they are decoded, each with its second.

A file of which a piece is missing or damaged is refused, where that is met. Knows nothing about
what becomes of the frames.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av

from pipelines.errors import InputError
from pipelines.media.clip import Cut
from pipelines.media.source import (
    FALLBACK_RATE,
    check_size,
    damaged,
    is_open_gif,
    open_source,
    seek,
    video_stream,
)

MAX_FRAMES = 300
MAX_PIXELS = 2**29
"""Of all frames together. One pixel takes 3 bytes: 1.5 GiB, 258 frames of 1920x1080."""
_SLACK = Fraction(1, 1000)
"""Seconds: people write 0.333 for a third."""

Opened = tuple[av.container.InputContainer, av.VideoStream]


@contextmanager
def open_part(path: Path | str, cut: Cut) -> Iterator[Opened]:
    """A file and its pictures, ready to be decoded from a part's start on."""
    name = Path(path).name
    check_cut(cut)
    with open_source(path) as container:
        stream = video_stream(container, name)
        check_size(name, stream.width, stream.height)
        stream.thread_type = "AUTO"
        seek(container, stream, cut)
        yield container, stream


def timed_frames(
    container: av.container.InputContainer, stream: av.VideoStream, name: str, cut: Cut
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Every frame from the part's start on, also beyond its end, with its second in the clip."""
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


def is_over(cut: Cut, second: Fraction) -> bool:
    """Whether a frame at this second of the clip comes after the part."""
    return cut.end is not None and second >= Fraction(cut.end) - _SLACK


def check_amount(
    name: str, count: int, stream: av.VideoStream, max_frames: int, max_pixels: int
) -> None:
    """Raises InputError for more frames than are read at once."""
    if count > max_frames:
        raise InputError(
            f"{name} has more than {max_frames} frames, the most accepted. "
            "Take a part of it, or every second frame."
        )
    if count * stream.width * stream.height > max_pixels:
        raise InputError(
            f"{name} does not fit in memory at {stream.width}x{stream.height}: at most "
            f"{max_pixels // 10**6} million pixels over all frames are accepted. "
            "Take a part of it, or scale it down."
        )


def empty(name: str, cut: Cut) -> InputError:
    """What to say of a part without a frame."""
    if cut == Cut():
        return InputError(f"{name} has no frame that can be decoded. Export it again.")
    until = "its end" if cut.end is None else f"{cut.end:g} s"
    return InputError(
        f"{name} has no frame that begins between {cut.start:g} s and {until}. Choose another part."
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
