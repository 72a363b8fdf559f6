"""Video files, opened as strangers' files should be: only known formats, only local, checked first.

A playlist that calls itself a video could otherwise make the demuxer read other files or the
network. Knows nothing about what is read from them.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from pipelines.errors import InputError
from pipelines.media.clip import Cut
from pipelines.media.files import expect_file

MAX_SIDE = 4096
READABLE = "mp4, mov, webm, mkv or avi"
"""What to save a clip as. A GIF is read too, but the page takes none."""
FALLBACK_RATE = Fraction(25)

_OPTIONS = {"format_whitelist": "mov,mp4,matroska,webm,gif,avi", "protocol_whitelist": "file"}
# Microseconds and bytes of a file that are looked at until each stream has begun. By itself the
# library looks at 5 s and 5 MB, and takes pictures that begin later to begin at 0.
_OPTIONS |= {"analyzeduration": "3600000000", "probesize": "100000000"}
_SEEKABLE = ("mp4", "matroska")
"""Formats whose index leads to a frame's exact place."""


@dataclass(frozen=True)
class Facts:
    """What a video file says about itself; not every file says it exactly."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    rate: float
    """Frames per second."""
    seconds: float
    sound: bool
    codec: str
    """How its pictures are kept, by FFmpeg's name: "h264"."""

    def frames(self, cut: Cut) -> int:
        """About how many frames a part of it has."""
        end = self.seconds if cut.end is None else min(cut.end, self.seconds)
        return max(round((end - cut.start) * self.rate / cut.every), 0)


def facts(path: Path | str) -> Facts:
    """Ask a file without decoding it. Raises InputError as `read_clip` does."""
    name = Path(path).name
    with open_source(path) as container:
        stream = video_stream(container, name)
        check_size(name, stream.width, stream.height)
        rate = stream.average_rate or stream.guessed_rate or FALLBACK_RATE
        if stream.duration is not None:
            seconds = stream.duration * stream.time_base
        elif container.duration is not None:
            seconds = Fraction(container.duration, av.time_base)
        else:
            rate, seconds = _measured(container, stream)
        size, sound = (stream.height, stream.width), bool(container.streams.audio)
        codec = stream.codec_context.codec.canonical_name
        return Facts(size, float(rate), float(seconds), sound, codec)


def open_source(path: Path | str) -> av.container.InputContainer:
    """Open a local file for reading; use it in a `with` block.

    Raises:
        InputError: no such file, or not one of the formats read here.
    """
    path = Path(path).absolute()
    expect_file(path)
    try:
        return av.open(str(path), options=_OPTIONS, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path.name} is not a video that can be opened, or it is damaged. "
            f"Save it again as {READABLE}."
        ) from error


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover and stream.codec_context is not None:
            return stream
    # Where the end of an mp4 is gone, which says what is in it, not even sound is found.
    what = "only sound" if container.streams.audio else "or it is damaged"
    raise InputError(f"{name} has no picture in it, {what}. Give a clip with video.")


def check_size(name: str, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise InputError(
            f"{name} is {width}x{height} pixels, and at most {MAX_SIDE} on a side are accepted. "
            "Scale it down first."
        )


def seek(container: av.container.InputContainer, stream: av.VideoStream, cut: Cut) -> None:
    """Skip most of what lies before the part, where the format can."""
    # A second early: what is found is the key frame in decoding order, which is not quite time's.
    second = Fraction(cut.start) - 1
    target = (stream.start_time or 0) + int(second / stream.time_base)
    seekable = any(name in container.format.name for name in _SEEKABLE)
    # The library counts no further than that; all is read then, and the part found empty.
    if seekable and second > 0 and target < 2**63:
        try:
            container.seek(target, stream=stream)
        except av.error.FFmpegError:
            # A clip that was cut out of another may begin before its first key frame.
            container.seek(target, stream=stream, backward=False)


def _measured(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[Fraction, Fraction]:
    """(frames per second, seconds) of what a browser recorded, whose file says neither."""
    times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    span = (max(times, default=0) - min(times, default=0)) * stream.time_base
    rate = (len(times) - 1) / span if span else FALLBACK_RATE
    return rate, len(times) / rate


def damaged(name: str) -> InputError:
    return InputError(f"{name} is damaged or cut short. Export or download it again.")


def is_open_gif(container: av.container.InputContainer) -> bool:
    """A GIF promises no length; a whole one ends with a semicolon (GIF89a, section 27)."""
    if container.format.name != "gif":
        return False
    return not Path(container.name).read_bytes()[-64:].rstrip(b"\0\r\n ").endswith(b";")
