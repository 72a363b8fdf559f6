"""A part of a clip: which frames, which times, which sound."""

import io
import math
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from pipelines import media
from pipelines.errors import InputError
from pipelines.media import Cut
from tests.pipelines.test_media import (
    TICKS,
    audio_packets,
    clip_of,
    make_file,
    pictures,
    stored_times,
)

RATE, COUNT = 10, 40


def clip_file(path, codec="libx264", audio=None, gap=10):
    """A clip of 4 s whose frame k has the grey 5 k + 20, and whose sound is silent until 2 s."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        video.codec_context.gop_size, video.bit_rate = gap, 2_000_000
        packets = []
        for k in range(COUNT):
            grey = np.full((32, 48, 3), 5 * k + 20, np.uint8)
            packets += video.encode(av.VideoFrame.from_ndarray(grey))
        packets += video.encode(None)
        if audio:
            sound = container.add_stream(audio, rate=48000, layout="stereo")
            second = np.arange(4 * 48000) / 48000
            tone = np.sin(2 * math.pi * 440 * second) * (second >= 2) / 2
            both = np.stack([tone, tone])
            if audio == "pcm_s16le":
                interleaved = (both * 32767).astype(np.int16).T.reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(interleaved, "s16", "stereo")
            else:
                frame = av.AudioFrame.from_ndarray(both.astype(np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48000, 0
            packets += [*sound.encode(frame), *sound.encode(None)]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def recorded(path, late=0, live=True, gap=10):
    """The frames of `clip_file`, one a second, the first so many seconds after the sound.

    live: as a browser writes it, which cannot go back to say how long it became.
    """
    whole, file = clip_file(path.with_name("all.webm"), "libvpx-vp9", gap=gap), io.BytesIO()
    file.seekable = lambda: not live
    with av.open(str(whole)) as source, av.open(file, "w", format="webm") as container:
        video = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream("libopus", rate=48000, layout="mono")
        quiet = np.zeros((1, 48000 * (late + COUNT)), np.float32)
        frame = av.AudioFrame.from_ndarray(quiet, "flt", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        packets = [*sound.encode(frame), *sound.encode(None)]
        for packet in source.demux():
            if packet.size:
                packet.pts = packet.dts = RATE * packet.pts + round(late / packet.time_base)
                packet.stream = video
                packets.append(packet)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    path.write_bytes(file.getvalue())
    return path


def spoil(path, number, since=0.0):
    """Damage a picture of a file, from a share of its bytes on; numbered as they are decoded."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    data = bytearray(path.read_bytes())
    begin, end = packet.pos + round(since * packet.size), packet.pos + packet.size
    data[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(data)


def numbers(clip):
    """Which frames of `clip_file` these are."""
    return [round((float(f.float().mean()) - 20) / 5) for f in clip.frames]


def loudness(path):
    """(second, mean square) of every 10 ms of a file's sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        out = []
        for frame in container.decode(stream):
            samples = frame.to_ndarray().astype(float).mean(0)
            begin = float(frame.pts * frame.time_base)
            size = frame.rate // 100
            for k in range(0, len(samples) - size + 1, size):
                out.append((begin + k / frame.rate, float((samples[k : k + size] ** 2).mean())))
        return out


@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264")])
@pytest.mark.parametrize("gap", [1, 10, 40])
def test_a_part_is_exactly_its_frames(tmp_path, name, codec, gap):
    path = clip_file(tmp_path / name, codec, gap=gap)
    part = media.read_clip(path, cut=Cut(2.5, 3.2))
    assert numbers(part) == [25, 26, 27, 28, 29, 30, 31]
    assert part.times[0] == 0 and part.rate == RATE
    assert part.seconds == pytest.approx(0.7, abs=2e-3)
    assert numbers(media.read_clip(path, cut=Cut(3.85 - 0.25))) == [36, 37, 38, 39]
    assert numbers(media.read_clip(path, cut=Cut(0, 0.333))) == [0, 1, 2, 3]


@pytest.mark.parametrize("name, codec", [("a.avi", "mpeg4"), ("a.webm", "libvpx")])
def test_formats_without_a_good_index_are_read_through(tmp_path, name, codec):
    part = media.read_clip(clip_file(tmp_path / name, codec), cut=Cut(2.5, 3.2))
    assert numbers(part) == [25, 26, 27, 28, 29, 30, 31]


def test_every_third_frame_lasts_as_long(tmp_path):
    path = clip_file(tmp_path / "a.mp4")
    part = media.read_clip(path, cut=Cut(1.0, 2.0, every=3))
    assert numbers(part) == [10, 13, 16, 19]
    assert part.rate == Fraction(RATE, 3)
    assert part.seconds == pytest.approx(1.0)
    media.write_clip(tmp_path / "out.mp4", part.frames, part)
    assert [float(t) for t in stored_times(tmp_path / "out.mp4")] == pytest.approx(
        [0, 0.3, 0.6, 0.9]
    )
    assert media.read_clip(tmp_path / "out.mp4").seconds == pytest.approx(1.0)


def test_uneven_times_survive(tmp_path):
    frames = pictures(8, 32, 48)
    uneven = (0, 40, 110, 130, 200, 290, 300, 410)
    media.write_clip(tmp_path / "in.mp4", frames, clip_of(frames, uneven, last=90))
    part = media.read_clip(tmp_path / "in.mp4", cut=Cut(0.1, 0.3))
    assert [t * part.time_base for t in part.times] == [t * TICKS for t in (0, 20, 90, 180)]
    assert part.last_duration * part.time_base == 10 * TICKS


# The frame after the part begins late; or there is none, and its last one is shown for long.
@pytest.mark.parametrize("times", [(0, 100, 600, 700, 4000), (0, 100, 600, 700)])
@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
def test_a_part_ends_where_its_last_frame_goes_on(tmp_path, times, audio):
    source = media.read_clip(clip_file(tmp_path / "sound.mkv", audio=audio))
    frames = pictures(len(times), 32, 48)
    sounding = replace(clip_of(frames, times, last=3300), has_audio=True, source=source.source)
    media.write_clip(tmp_path / "in.mp4", frames, sounding)
    part = media.read_clip(tmp_path / "in.mp4", cut=Cut(0.5, 2.2))
    assert [t * part.time_base for t in part.times] == [0, Fraction(1, 10)]
    assert part.seconds == pytest.approx(1.6, abs=1e-3)
    assert part.rate == pytest.approx(2 / 1.6, rel=1e-3)
    media.write_clip(tmp_path / "out.mp4", part.frames, part)
    assert media.facts(tmp_path / "out.mp4").seconds == pytest.approx(1.6, abs=1e-3)
    assert loudness(tmp_path / "out.mp4")[-1][0] == pytest.approx(1.6, abs=0.05)


def test_the_sound_of_a_part_may_outlast_its_pictures(tmp_path):
    source = media.read_clip(clip_file(tmp_path / "sound.mkv", audio="aac"))
    frames = pictures(8, 32, 48)
    media.write_clip(
        tmp_path / "in.mp4", frames, replace(clip_of(frames), has_audio=True, source=source.source)
    )
    part = media.read_clip(tmp_path / "in.mp4", cut=Cut(0, 3))
    assert part.seconds == pytest.approx(0.4)
    media.write_clip(tmp_path / "out.mp4", part.frames, part)
    assert loudness(tmp_path / "out.mp4")[-1][0] == pytest.approx(3, abs=0.05)


def test_a_frame_that_began_before_the_part_is_not_of_it(tmp_path):
    frames = pictures(4, 32, 48)
    media.write_clip(tmp_path / "in.mp4", frames, clip_of(frames, (0, 100, 3100, 3200)))
    with pytest.raises(InputError, match="no frame that begins between 1 s and 2 s"):
        media.read_clip(tmp_path / "in.mp4", cut=Cut(1, 2))


@pytest.mark.parametrize(
    "name, codec",
    [("a.mp4", "aac"), ("a.mkv", "pcm_s16le"), ("a.mov", "pcm_s16le"), ("a.mkv", "wavpack")],
)
def test_a_part_keeps_its_own_sound_in_step(tmp_path, name, codec):
    path = clip_file(tmp_path / name, audio=codec)
    part = media.read_clip(path, cut=Cut(1.5, 2.7))
    media.write_clip(tmp_path / "out.mp4", part.frames, part)
    heard = loudness(tmp_path / "out.mp4")
    onset = next(second for second, power in heard if power > 1e-3)
    assert onset == pytest.approx(0.5, abs=0.02)
    assert heard[-1][0] == pytest.approx(1.2, abs=0.05)
    assert min(second for second, _ in heard) < 0.03


def test_sound_that_is_damaged_is_silent_there_and_loses_no_pictures(tmp_path):
    path = clip_file(tmp_path / "a.mkv", audio="wavpack")
    clip = media.read_clip(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        (loud,) = (packet for packet in packets if packet.pts * packet.time_base == 2)
    data = bytearray(path.read_bytes())
    data[loud.pos + 20 : loud.pos + loud.size] = b"\xff" * (loud.size - 20)
    path.write_bytes(data)
    notes = media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert "Sound stream 1 is damaged, and silent where it is." in notes and len(notes) == 2
    assert numbers(media.read_clip(tmp_path / "out.mp4")) == list(range(COUNT))
    heard = loudness(tmp_path / "out.mp4")
    # An encoder's block on the edge has something of what comes after.
    assert not any(2.05 < second < 2.45 for second, power in heard if power > 1e-3)
    assert all(power > 0.05 for second, power in heard if 2.6 < second < 3.9)
    assert heard[-1][0] == pytest.approx(4, abs=0.02)


def test_all_frames_sampled_keep_all_sound(tmp_path):
    path = clip_file(tmp_path / "a.mp4", audio="aac")
    whole, half = media.read_clip(path), media.read_clip(path, cut=Cut(every=2))
    media.write_clip(tmp_path / "whole.mp4", whole.frames, whole)
    media.write_clip(tmp_path / "half.mp4", half.frames, half)
    assert audio_packets(tmp_path / "half.mp4") == audio_packets(tmp_path / "whole.mp4")


def test_only_the_part_counts_for_the_limits(tmp_path):
    path = clip_file(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="Take a part of it"):
        media.read_clip(path, max_frames=10)
    assert len(media.read_clip(path, max_frames=10, cut=Cut(1, 2))) == 10
    assert len(media.read_clip(path, max_frames=10, cut=Cut(every=4))) == 10


@pytest.mark.parametrize(
    "cut, sentence",
    [
        (Cut(9), "no frame that begins between 9 s and its end"),
        (Cut(1e300), r"no frame that begins between 1e\+300 s and its end"),
        (Cut(1.02, 1.08), "no frame that begins between 1.02 s and 1.08 s"),
        (Cut(1, 1.1), "has only one frame"),
        (Cut(2, 1), "Let it end after its start"),
        (Cut(2, 2), "Let it end after its start"),
        (Cut(-1), "Give 0 or more seconds"),
        (Cut(every=0), "Give 1 for all frames"),
    ],
)
def test_parts_that_are_not_there_say_so(tmp_path, cut, sentence):
    with pytest.raises(InputError, match=sentence):
        media.read_clip(clip_file(tmp_path / "a.mp4"), cut=cut)


def test_a_clip_of_masks_is_cut_like_its_clip(tmp_path):
    path = clip_file(tmp_path / "a.mp4")
    masks = torch.zeros(COUNT, 32, 48, 3, dtype=torch.uint8)
    for k, mask in enumerate(masks):
        mask[:, k:] = 255
    media.write_clip(tmp_path / "masks.mp4", masks, clip_of(masks, range(0, 100 * COUNT, 100), 100))
    part = media.read_clip(path, cut=Cut(1, 3, every=5))
    whole = media.read_mask(tmp_path / "masks.mp4", part)
    assert [int(48 - (m[16] > 127).sum()) for m in whole] == [10, 15, 20, 25]
    media.write_clip(tmp_path / "few.mp4", masks[[10, 15, 20, 25]], part)
    few = media.read_mask(tmp_path / "few.mp4", part)
    assert [int(48 - (m[16] > 127).sum()) for m in few] == [10, 15, 20, 25]


def test_a_clip_of_a_part_s_masks_may_be_shorter_than_the_part_begins(tmp_path):
    part = media.read_clip(clip_file(tmp_path / "a.mp4"), cut=Cut(3, 3.4))
    masks = torch.zeros(4, 32, 48, 3, dtype=torch.uint8)
    for k, mask in enumerate(masks):
        mask[:, 10 + 5 * k :] = 255
    media.write_clip(tmp_path / "few.mp4", masks, part)
    few = media.read_mask(tmp_path / "few.mp4", part)
    assert [int(48 - (m[16] > 127).sum()) for m in few] == [10, 15, 20, 25]
    # Neither the part's nor the whole's.
    media.write_clip(tmp_path / "three.mp4", masks[:3], clip_of(masks[:3]))
    with pytest.raises(InputError, match="has 3 frames and the clip has 4"):
        media.read_mask(tmp_path / "three.mp4", part)


# A picture that was begun is drawn as far as it goes; of another there is nothing.
@pytest.mark.parametrize("since", [0.3, 0.0])
def test_a_damaged_picture_is_refused(tmp_path, since):
    path = clip_file(tmp_path / "a.mp4")
    spoil(path, 15, since)
    with pytest.raises(InputError, match=r"a\.mp4 is damaged"):
        media.read_clip(path)


def test_a_damaged_picture_before_the_part_is_no_matter(tmp_path):
    path = clip_file(tmp_path / "a.mp4")
    spoil(path, 15, 0.3)
    assert numbers(media.read_clip(path, cut=Cut(2.5, 2.8))) == [25, 26, 27]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("gap", [10, COUNT])
def test_a_part_counts_from_the_first_picture_however_long_after_the_sound(live, gap, tmp_path):
    path = recorded(tmp_path / "late.webm", late=8, live=live, gap=gap)
    assert numbers(media.read_clip(path, cut=Cut(0.5, 3))) == [1, 2]
    part = media.read_clip(path, cut=Cut(25, 28))
    assert numbers(part) == [25, 26, 27] and part.sound == (33, 36)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_clip_that_begins_before_its_first_key_frame(name, tmp_path):
    path = tmp_path / name
    with (
        av.open(str(clip_file(tmp_path / f"whole_{name}", gap=30))) as source,
        av.open(str(path), "w") as container,
    ):
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux() if packet.size][3:]:
            packet.stream = stream
            container.mux(packet)
    # It begins with frame 3, and what comes before the key frame cannot be shown.
    shown = numbers(media.read_clip(path))
    assert 25 < shown[0] < 32 and shown[-1] == 39
    assert numbers(media.read_clip(path, cut=Cut(1.5))) == shown
    assert numbers(media.read_clip(path, cut=Cut(2.9, 3.3))) == [32, 33, 34, 35]


@pytest.mark.parametrize("name, codec", [("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_facts_of_formats_that_say_less(tmp_path, name, codec):
    facts = media.facts(clip_file(tmp_path / name, codec))
    assert (facts.rate, facts.seconds) == (RATE, pytest.approx(4))


@pytest.mark.parametrize("late", [0, 8])
def test_facts_of_what_a_browser_recorded_are_counted(tmp_path, late):
    facts = media.facts(recorded(tmp_path / "live.webm", late))
    assert (facts.size, facts.rate, facts.seconds, facts.sound) == ((32, 48), 1, COUNT, True)
    assert facts.frames(Cut(10, 20, every=5)) == 2


def test_facts_come_without_decoding(tmp_path):
    facts = media.facts(clip_file(tmp_path / "a.mp4", audio="aac"))
    assert (facts.size, facts.rate) == ((32, 48), RATE)
    assert facts.seconds == pytest.approx(4) and facts.sound and facts.codec == "h264"
    silent = media.facts(clip_file(tmp_path / "b.webm", "libvpx-vp9"))
    assert not silent.sound and silent.codec == "vp9"
    assert facts.frames(Cut()) == COUNT
    assert facts.frames(Cut(1, 2, every=5)) == 2
    assert facts.frames(Cut(3.5, 60)) == 5
    assert facts.frames(Cut(9)) == 0


def expect_the_reader_s(path, cut):
    """At every moment of a part, and a little before and after, the frame is the reader's."""
    part = media.read_clip(path, cut=cut)
    starts = [cut.start + float((t - part.times[0]) * part.time_base) for t in part.times]
    for k, start in enumerate(starts):
        until = starts[k + 1] if k + 1 < len(part) else start + 0.1
        for second in (start, start + 0.3 * (until - start), until - 3e-3):
            frame, number = media.read_frame(path, second, cut)
            assert number == k and frame.equal(part.frames[k]), (second, number, k)
        assert media.read_numbered_frame(path, k, cut).equal(part.frames[k])
    with pytest.raises(InputError, match=f"has no frame {len(part)}: give 0 to {len(part) - 1}"):
        media.read_numbered_frame(path, len(part), cut)


@pytest.mark.parametrize("cut", [Cut(), Cut(2.5), Cut(1.0, 3.2, 3)])
@pytest.mark.parametrize(
    "name, codec",
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")],
)
def test_a_frame_is_the_reader_s(tmp_path, name, codec, cut):
    expect_the_reader_s(clip_file(tmp_path / name, codec), cut)


@pytest.mark.parametrize("rotation, hflip", [(90, False), (-90, True), (180, False)])
def test_a_frame_is_turned_as_the_reader_turns_it(tmp_path, rotation, hflip):
    path = make_file(tmp_path / "in.mp4", "libx264", rotation=rotation, hflip=hflip)
    expect_the_reader_s(path, Cut())


def test_a_frame_of_a_clip_of_uneven_times_is_the_reader_s(tmp_path):
    frames = pictures(8, 32, 48)
    uneven = (0, 40, 110, 130, 200, 290, 300, 410)
    media.write_clip(tmp_path / "in.mp4", frames, clip_of(frames, uneven, last=90))
    expect_the_reader_s(tmp_path / "in.mp4", Cut())


def test_a_moment_outside_the_part_shows_its_end(tmp_path):
    path = clip_file(tmp_path / "a.mp4")
    assert [media.read_frame(path, at, Cut(2.5, 3.2))[1] for at in (0, 2.49, 3.3, 9)] == [
        0,
        0,
        6,
        6,
    ]
    # Between two frames the part begins with the later one, which a player does not show yet.
    assert media.read_frame(path, 2.57, Cut(2.55, 3.2))[1] == 0
    assert media.read_frame(path, 2.65, Cut(2.55, 3.2))[1] == 0
    with pytest.raises(InputError, match=r"no frame that begins between 5 s"):
        media.read_frame(path, 5, Cut(5))


def test_a_frame_is_read_without_what_comes_after(tmp_path, monkeypatch):
    whole = clip_file(tmp_path / "whole.mkv").read_bytes()
    # Broken off behind its half, which whoever reads on to its end refuses.
    path = tmp_path / "half.mkv"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(InputError, match="damaged or cut short"):
        media.read_clip(path)
    turned, rgb = [], media.read.rgb
    monkeypatch.setattr(media.read, "rgb", lambda frame: turned.append(frame) or rgb(frame))
    assert media.read_frame(path, 0.5)[1] == 5 and len(turned) == 1
    assert media.read_numbered_frame(path, 5).equal(media.read_frame(path, 0.5)[0])


def test_a_frame_counts_for_the_limits(tmp_path, monkeypatch):
    path = clip_file(tmp_path / "a.mp4")
    monkeypatch.setattr(media.read, "MAX_FRAMES", 10)
    assert media.read_frame(path, 0.9)[1] == 9
    with pytest.raises(InputError, match="more than 10 frames"):
        media.read_frame(path, 1.0)
