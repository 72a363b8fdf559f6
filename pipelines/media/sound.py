"""The sound of a clip, carried from its file to a new mp4.

A stream whose codec mp4 can hold and players accept is copied packet by packet, bit for bit. Any
other (Vorbis, PCM) is encoded as AAC. Knows nothing about pictures.
"""

from collections.abc import Callable

import av

from pipelines.errors import InputError

COPIED = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})
_AAC_BITS_PER_CHANNEL = 96_000

_Convert = Callable[[av.Packet], list[av.Packet]]


def add_sound(
    source: av.container.InputContainer, target: av.container.OutputContainer
) -> tuple[list[av.Packet], list[str]]:
    """Add every audio stream of a file to an mp4, and read their packets.

    Args:
        source: the clip's file, freshly opened.
        target: the mp4 being written, before its first packet: an mp4's streams must all exist
            by then, which is why the packets are returned and not written.

    Returns:
        The packets, which already name their stream in `target`, and a note for the user about
        each stream that was not copied as it is.

    Raises:
        InputError: the sound cannot be read.
    """
    converters, notes = {}, []
    for number, stream in enumerate(source.streams.audio, start=1):
        if stream.codec_context is None:
            notes.append(f"Sound stream {number} has an unknown codec and was left out.")
            continue
        codec = stream.codec_context.codec.canonical_name
        converters[stream.index] = (_copied if codec in COPIED else _as_aac)(stream, target)
        if codec not in COPIED:
            notes.append(
                f"Sound stream {number} is {codec}, which players do not accept in mp4; "
                "it was encoded as AAC."
            )
    packets = []
    try:
        for packet in source.demux():
            if packet.stream.index in converters:
                packets += converters[packet.stream.index](packet)
    except av.error.FFmpegError as error:
        raise InputError(
            "The clip's sound is damaged. Export the clip again, or without sound."
        ) from error
    return packets, notes


def _copied(stream: av.AudioStream, target: av.container.OutputContainer) -> _Convert:
    copy = target.add_stream_from_template(stream)
    if stream.language:
        copy.metadata["language"] = stream.language

    def convert(packet: av.Packet) -> list[av.Packet]:
        if packet.dts is None:  # the demuxer's end mark, which holds no data
            return []
        if packet.pts is None:  # audio is never reordered
            packet.pts = packet.dts
        packet.stream = copy
        return [packet]

    return convert


def _as_aac(stream: av.AudioStream, target: av.container.OutputContainer) -> _Convert:
    rate = stream.rate if stream.rate in av.Codec("aac", "w").audio_rates else 48_000
    encoder = target.add_stream("aac", rate=rate, layout=stream.layout.name)
    encoder.bit_rate = _AAC_BITS_PER_CHANNEL * stream.channels

    def convert(packet: av.Packet) -> list[av.Packet]:
        frames = packet.decode()
        if packet.dts is None:  # the demuxer's end mark: drain the encoder too
            frames.append(None)
        return [encoded for frame in frames for encoded in encoder.encode(frame)]

    return convert
