"""Clips out: mp4 at the frames' exact size, with a source's timestamps and sound.

Even sizes are H.264 4:2:0, which plays everywhere. H.264 4:2:0 cannot have an odd size, so those
are VP9 4:2:0 in mp4. H.264 4:4:4 could hold them too and plays in Chromium, but its profile is
refused by the decoders that Safari and most of Firefox rely on.

Knows nothing about what was done to the frames.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import av
import torch
from torch import Tensor

from pipelines.errors import InputError
from pipelines.media.clip import Clip
from pipelines.media.files import replacing
from pipelines.media.pixels import BT709, yuv420
from pipelines.media.read import SETTINGS_KEY
from pipelines.media.sound import add_sound
from pipelines.media.source import open_source

# No B-frames: mp4 keeps durations in decoding order, and would lose how long the last frame shows.
_H264 = {"crf": "14", "preset": "fast", "bf": "0"}
_VP9 = {"crf": "14", "b": "0", "deadline": "good", "cpu-used": "4"}
_LIMITED_RANGE = 1


def write_clip(
    path: Path | str, frames: Tensor, like: Clip, settings: dict | None = None
) -> list[str]:
    """Write frames as an mp4 with the timing and the sound of a clip.

    The file appears complete or not at all, and may replace the clip's own source.

    Args:
        path: where to write, ending in .mp4.
        frames: uint8 (F, H, W, 3), RGB 0..255, F as in `like`. The file has their size.
        like: the clip they are an edit of: timestamps, pixel aspect, and the file whose audio
            streams are copied packet by packet where an mp4 takes them.
        settings: embedded as JSON in the file's comment; `read_settings` gives it back.

    Returns:
        Notes for the user, one sentence each, about what could not be kept as it was.

    Raises:
        InputError: another suffix than .mp4, or the source with the sound is gone or damaged.
        ValueError: other shape, dtype or frame count.
        TypeError: settings that JSON cannot hold.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise InputError(f"Clips are written as mp4: give {path.with_suffix('.mp4').name}.")
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(
            f"frames must be uint8 (F, H, W, 3), not {frames.dtype} {tuple(frames.shape)}; "
            "to_uint8 makes them from float (F, 3, H, W)"
        )
    if len(frames) != len(like):
        raise ValueError(f"got {len(frames)} frames for a clip of {len(like)}; give one for each")
    comment = None if settings is None else json.dumps({SETTINGS_KEY: settings})
    with replacing(path) as part:
        if not like.has_audio:
            return _mux(part, frames, like, comment)
        for copies in (True, False):
            try:
                with open_source(like.source) as source:
                    return _mux(part, frames, like, comment, source, copies)
            except av.error.FFmpegError as error:
                # The disk's, not the sound's.
                if isinstance(error, OSError):
                    raise
        # By now the pictures are made, and would be lost with their sound.
        notes = _mux(part, frames, like, comment)
        return [*notes, "The sound does not fit into an mp4 and was left out."]


def _mux(
    part: Path,
    frames: Tensor,
    like: Clip,
    comment: str | None,
    source: av.container.InputContainer | None = None,
    copies: bool = True,
) -> list[str]:
    """Write the file; returns the notes. source, copies: as for `add_sound`; None is silent."""
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as target:
        if comment is not None:
            target.metadata["comment"] = comment
        stream = _video_stream(target, frames, like)
        notes, packets = [], []
        if source is not None:
            packets, notes = add_sound(source, target, like.sound, copies)
        packets += _encode(stream, frames, like)
        # Interleaved by time, so that a player can start before it has the whole file.
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            target.mux(packet)
    return notes


def _video_stream(
    target: av.container.OutputContainer, frames: Tensor, like: Clip
) -> av.VideoStream:
    height, width = frames.shape[1:3]
    odd = height % 2 or width % 2
    stream = target.add_stream(
        "libvpx-vp9" if odd else "libx264",
        rate=like.rate.limit_denominator(100_000),
        options=_VP9 if odd else _H264,
    )
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base = like.time_base
    context.sample_aspect_ratio = like.pixel_aspect
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _encode(stream: av.VideoStream, frames: Tensor, like: Clip) -> Iterator[av.Packet]:
    """Encode all frames at the clip's times."""
    ends = [*like.times[1:], like.times[-1] + like.last_duration]
    durations = {time: end - time for time, end in zip(like.times, ends, strict=True)}
    for picture, time in zip(frames, like.times, strict=True):
        frame = yuv420(picture.numpy(force=True))
        frame.pts, frame.time_base = time, like.time_base
        yield from _lasting(stream.encode(frame), durations)
    yield from _lasting(stream.encode(None), durations)


def _lasting(packets: list[av.Packet], durations: dict[int, int]) -> list[av.Packet]:
    """Give each packet its frame's duration: encoders assume the average one."""
    for packet in packets:
        packet.duration = durations[packet.pts]
    return packets
