"""Clips in: mp4, mov, webm, mkv, avi and gif, decoded to upright RGB frames with exact times.

Knows nothing about diffusion or about what will be done with the frames. Conventions:

* Timestamps are the file's own. A missing or repeated one is put one average frame after its
  predecessor.
* Only the formats named above are opened, and only as local files: a playlist that calls itself
  a video could otherwise make the demuxer read other files or the network.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from pipelines.errors import InputError
from pipelines.media.clip import Clip
from pipelines.media.pixels import rgb, upright

MAX_SIDE = 4096
READABLE = "mp4, mov, webm, mkv, avi or gif"
SETTINGS_KEY = "scorebrush"

_OPTIONS = {"format_whitelist": "mov,mp4,matroska,webm,gif,avi", "protocol_whitelist": "file"}
_FALLBACK_RATE = Fraction(25)


def read_clip(path: Path | str, max_frames: int = 300, max_pixels: int = 2**29) -> Clip:
    """Read a whole clip into memory.

    Args:
        path: a local mp4, mov, webm, mkv, avi or gif file.
        max_frames: the most frames accepted.
        max_pixels: the most pixels accepted, frames x height x width; one pixel takes 3 bytes, so
            the default is 1.5 GiB (258 frames of 1920x1080).

    Returns:
        The clip, with at least two frames.

    Raises:
        InputError: no such file, not a video, no video stream, damaged or cut short, fewer than
            two frames, a side above 4096 pixels, or above one of the limits.
    """
    clip = decode(path, max_frames, max_pixels)
    if len(clip) == 1:
        raise InputError(
            f"{Path(path).name} has only one frame, and a video edit needs at least 2. "
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


def open_source(path: Path | str) -> av.container.InputContainer:
    """Open a local file for reading; use it in a `with` block.

    Raises:
        InputError: no such file, or not one of the formats read here.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check its name.")
    try:
        return av.open(str(path), options=_OPTIONS, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path.name} is not a video that can be opened, or it is damaged. "
            f"Save it again as {READABLE}."
        ) from error


def decode(path: Path | str, max_frames: int, max_pixels: int) -> Clip:
    """`read_clip` that accepts a single frame too; same arguments and errors otherwise."""
    name = Path(path).name
    with open_source(path) as container:
        stream = _video_stream(container, name)
        _check_size(name, stream.width, stream.height)
        stream.thread_type = "AUTO"
        pictures, stamps, transposed = [], [], False
        for frame in _frames(container, stream, name):
            _check_amount(name, len(pictures) + 1, stream, max_frames, max_pixels)
            picture, transposed = upright(rgb(frame), frame)
            if pictures and picture.shape != pictures[0].shape:
                raise InputError(f"{name} changes its frame size midway. Export it at one size.")
            pictures.append(picture)
            stamps.append(frame.dts if frame.pts is None else frame.pts)
            duration = frame.duration
        if not pictures:
            raise InputError(f"{name} has no frame that can be decoded. Export it again.")
        times, last_duration, rate = _timing(stream, stamps, duration)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return Clip(
            frames=_stack(pictures),
            times=times,
            time_base=stream.time_base,
            last_duration=last_duration,
            rate=rate,
            pixel_aspect=1 / aspect if transposed else aspect,
            has_audio=bool(container.streams.audio),
            source=Path(path).absolute(),
        )


def _video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover and stream.codec_context is not None:
            return stream
    raise InputError(f"{name} has no picture in it, only sound or data. Give a clip with video.")


def _check_size(name: str, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise InputError(
            f"{name} is {width}x{height} pixels, and at most {MAX_SIDE} on a side are accepted. "
            "Scale it down first."
        )


def _check_amount(
    name: str, count: int, stream: av.VideoStream, max_frames: int, max_pixels: int
) -> None:
    if count > max_frames:
        raise InputError(
            f"{name} has more than {max_frames} frames, the most accepted. "
            "Cut it shorter, or raise the limit on frames."
        )
    if count * stream.width * stream.height > max_pixels:
        raise InputError(
            f"{name} does not fit in memory at {stream.width}x{stream.height}: at most "
            f"{max_pixels // 2**20} million pixels over all frames are accepted. "
            "Cut it shorter or scale it down."
        )


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, name: str
) -> Iterator[av.VideoFrame]:
    """Decode every frame, and refuse a file of which a part is missing or damaged."""
    damaged = InputError(f"{name} is damaged or cut short. Export or download it again.")
    ends = {}
    try:
        for packet in container.demux():
            if packet.is_corrupt:
                raise damaged
            time = packet.dts if packet.pts is None else packet.pts
            if time is not None:
                end = (time + (packet.duration or 0)) * packet.time_base
                ends[packet.stream.index] = max(end, ends.get(packet.stream.index, end))
            if packet.stream.index == stream.index:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise damaged
                    yield frame
    except av.error.FFmpegError as error:
        raise damaged from error
    # A file cut between two packets decodes without complaint: only its promised length tells.
    slack = max(3 / (stream.average_rate or _FALLBACK_RATE), Fraction(1, 10))
    if stream.duration is not None:
        promised = ((stream.start_time or 0) + stream.duration) * stream.time_base
        reached = ends.get(stream.index, 0)
    else:
        promised = Fraction(container.duration or 0, av.time_base)
        reached = max(ends.values(), default=0)
    if reached + slack < promised or _is_open_gif(container):
        raise damaged


def _is_open_gif(container: av.container.InputContainer) -> bool:
    """A GIF promises no length; a whole one ends with a semicolon (GIF89a, section 27)."""
    if container.format.name != "gif":
        return False
    return not Path(container.name).read_bytes()[-64:].rstrip(b"\0\r\n ").endswith(b";")


def _timing(
    stream: av.VideoStream, stamps: list[int | None], duration: int
) -> tuple[tuple[int, ...], int, Fraction]:
    """(times, duration of the last frame, average rate) from what the file says."""
    nominal = stream.average_rate or stream.guessed_rate or _FALLBACK_RATE
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
    if stream.duration is not None:
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
