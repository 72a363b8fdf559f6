"""The sound of a clip, carried from its file to a new mp4.

A stream whose codec mp4 can hold and players accept is copied packet by packet, bit for bit. Any
other (Vorbis, PCM, MP3 of a low rate) is encoded as AAC. Of a part of a clip only its own sound is
carried: to the sample where it is encoded, to the packet (about 20 ms, never early) where it is
copied. Knows nothing about pictures.
"""

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

COPIED = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})
_MP3_RATE = 16_000
"""Hz: mp4 does not hold MP3 of a lower rate, which is of MPEG-2.5."""
_AAC_BITS_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""By channel count: plain PCM does not say where its channels are heard."""

_Convert = Callable[[av.Packet], list[av.Packet]]
_Part = tuple[Fraction, Fraction | None]


def add_sound(
    source: av.container.InputContainer,
    target: av.container.OutputContainer,
    part: _Part,
    copies: bool = True,
) -> tuple[list[av.Packet], list[str]]:
    """Add every audio stream of a file to an mp4, and read their packets.

    Args:
        source: the clip's file, freshly opened.
        target: the mp4 being written, before its first packet: an mp4's streams must all exist
            by then, which is why the packets are returned and not written.
        part: from where to where in the file, in seconds on its clock; None is its end. What is
            written begins at 0.
        copies: whether what can be copied is; else all of it is encoded.

    Returns:
        The packets, which already name their stream in `target`, and a note for the user about
        each stream that was not copied as it is. Sound that cannot be decoded is silent: by now the
        pictures are made, and would be lost with it.
    """
    converters, notes, damaged = {}, [], {}
    for number, stream in enumerate(source.streams.audio, start=1):
        if stream.codec_context is None:
            notes.append(f"Sound stream {number} has an unknown codec and was left out.")
            continue
        codec = stream.codec_context.codec.canonical_name
        copied = copies and codec in COPIED and (codec != "mp3" or stream.rate >= _MP3_RATE)
        convert = (_copied if copied else _as_aac)(stream, target, part)
        converters[stream.index] = (number, convert)
        if not copied:
            notes.append(
                f"Sound stream {number} is {codec}, which an mp4 or its players do not accept as "
                "it is; it was encoded as AAC."
            )
    packets = []
    for packet in source.demux():
        if packet.stream.index in converters:
            number, convert = converters[packet.stream.index]
            try:
                packets += convert(packet)
            except av.error.FFmpegError:
                damaged[number] = f"Sound stream {number} is damaged, and silent where it is."
    return packets, [*notes, *damaged.values()]


def _copied(stream: av.AudioStream, target: av.container.OutputContainer, part: _Part) -> _Convert:
    copy = target.add_stream_from_template(stream)
    if stream.language:
        copy.metadata["language"] = stream.language
    start, end = part

    def convert(packet: av.Packet) -> list[av.Packet]:
        if packet.dts is None:  # the demuxer's end mark, which holds no data
            return []
        second = packet.pts * packet.time_base
        # Without a start the encoder's priming before 0 belongs to the clip.
        if (start and second < start) or (end is not None and second >= end):
            return []
        shift = round(start / packet.time_base)
        packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
        return [packet]

    return convert


def _as_aac(stream: av.AudioStream, target: av.container.OutputContainer, part: _Part) -> _Convert:
    rate = stream.rate if stream.rate in av.Codec("aac", "w").audio_rates else 48_000
    encoder = target.add_stream("aac", rate=rate, layout=_layout(stream.layout))
    encoder.bit_rate = _AAC_BITS_PER_CHANNEL * stream.channels
    whole = part == (0, None)

    def convert(packet: av.Packet) -> list[av.Packet]:
        frames = packet.decode()
        if not whole:
            frames = [inside for frame in frames if (inside := _inside(frame, part)) is not None]
        if packet.dts is None:  # the demuxer's end mark: drain the encoder too
            frames.append(None)
        return [encoded for frame in frames for encoded in encoder.encode(frame)]

    return convert


def _layout(layout: av.AudioLayout) -> str:
    unnamed = layout.name.endswith("channels")
    return _LAYOUTS.get(layout.nb_channels, layout.name) if unnamed else layout.name


def _inside(frame: av.AudioFrame, part: _Part) -> av.AudioFrame | None:
    """The samples of a frame that lie in the part, at their time from its start."""
    start, end = part
    begin = frame.pts * frame.time_base
    first = max(round((start - begin) * frame.rate), 0)
    last = frame.samples if end is None else min(round((end - begin) * frame.rate), frame.samples)
    if first >= last:
        return None
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        channels = len(frame.layout.channels)
        first, last = first * channels, last * channels
    few = np.ascontiguousarray(samples[:, first:last])
    inside = av.AudioFrame.from_ndarray(few, frame.format.name, _layout(frame.layout))
    inside.sample_rate, inside.time_base = frame.rate, Fraction(1, frame.rate)
    inside.pts = round(max(begin - start, Fraction(0)) * frame.rate)
    return inside
