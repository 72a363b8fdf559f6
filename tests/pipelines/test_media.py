"""Clips, masks and stills, in and out. Every file is made here, with PyAV."""

import errno
import json
import math
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipelines import media
from pipelines.errors import InputError
from pipelines.media import sound as media_sound
from pipelines.media import write as media_write

TICKS = Fraction(1, 1000)
UNEVEN = (0, 40, 110, 130, 200, 290, 300, 410)
RED_709, RED_601 = (63, 102, 240), (82, 90, 240)


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    """Smooth moving ramps, uint8 (F, H, W, 3): content that a codec keeps within a few levels."""
    y = torch.linspace(0, 1, height).view(1, -1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, -1)
    shift = torch.arange(count).view(-1, 1, 1) / count
    channels = [0.2 + 0.6 * x + 0 * y + 0 * shift, 0.2 + 0.6 * y + 0 * x + 0 * shift, 0 * x * y]
    channels[2] = 0.1 + 0.8 * shift + channels[2]
    return (torch.stack(channels, -1) * 255).round().to(torch.uint8)


def clip_of(frames: torch.Tensor, times=None, last=50) -> media.Clip:
    times = tuple(times or range(0, 50 * len(frames), 50))
    rate = len(times) / ((times[-1] - times[0] + last) * TICKS)
    return media.Clip(frames, times, TICKS, last, rate)


def make_file(
    path,
    video=None,
    audio=None,
    count=6,
    size=(32, 48),
    rotation=None,
    hflip=False,
    hertz=48000,
    layout="stereo",
):
    """A file as other programs make them: `video` and `audio` are codec names."""
    container = av.open(str(path), "w")
    streams = []
    if video:
        stream = container.add_stream(video, rate=20)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=hflip)
        frames = [av.VideoFrame.from_ndarray(p.numpy()) for p in pictures(count, *size)]
        streams.append((stream, frames))
    if audio:
        # "strict" lets the experimental Vorbis encoder run.
        stream = container.add_stream(
            audio, rate=hertz, layout=layout, options={"strict": "experimental"}
        )
        tone = np.sin(np.arange(0.3 * hertz) * 2 * math.pi * 440 / hertz).astype(np.float32) / 2
        tones = np.stack([tone, -tone] * stream.channels)[: stream.channels]
        sound = av.AudioFrame.from_ndarray(tones.T.reshape(1, -1), "flt", layout)
        sound.sample_rate, sound.pts = hertz, 0
        streams.append((stream, [sound]))
    packets = []
    for stream, frames in streams:
        for frame in [*frames, None]:
            packets += stream.encode(frame)
    for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
        container.mux(packet)
    container.close()
    return path


def audio_packets(path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (round(float(p.pts * p.time_base), 6), bytes(p))
            for p in container.demux(stream)
            if p.size
        ]


def stored_times(path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    "size, codec", [((32, 48), "h264"), ((31, 45), "vp9"), ((31, 48), "vp9"), ((64, 33), "vp9")]
)
def test_round_trip_keeps_size_count_and_pictures(tmp_path, size, codec):
    frames = pictures(8, *size)
    notes = media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames))
    back = media.read_clip(tmp_path / "out.mp4")
    assert notes == []
    assert back.frames.shape == frames.shape and back.frames.dtype == torch.uint8
    assert (back.frames.int() - frames.int()).abs().float().mean() < 1.5
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec


@pytest.mark.parametrize("size", [(32, 48), (31, 45)])
def test_round_trip_keeps_uneven_times(tmp_path, size):
    frames = pictures(8, *size)
    clip = clip_of(frames, UNEVEN, last=90)
    media.write_clip(tmp_path / "out.mp4", frames, clip)
    assert stored_times(tmp_path / "out.mp4") == [time * TICKS for time in UNEVEN]
    back = media.read_clip(tmp_path / "out.mp4")
    assert [time * back.time_base for time in back.times] == [time * TICKS for time in UNEVEN]
    assert back.last_duration * back.time_base == 90 * TICKS
    assert back.seconds == pytest.approx(0.5)
    assert back.rate == pytest.approx(16)


def test_a_second_generation_has_the_same_times(tmp_path):
    frames = pictures(8, 32, 48)
    media.write_clip(tmp_path / "one.mp4", frames, clip_of(frames, UNEVEN, last=90))
    one = media.read_clip(tmp_path / "one.mp4")
    media.write_clip(tmp_path / "two.mp4", one.frames, one)
    two = media.read_clip(tmp_path / "two.mp4")
    assert (one.times, one.time_base, one.last_duration) == (
        two.times,
        two.time_base,
        two.last_duration,
    )


@pytest.mark.parametrize("count", range(2, 9))
def test_the_last_frame_is_shown_as_long_as_before(tmp_path, count):
    frames = pictures(count, 32, 48)
    media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames, last=130))
    back = media.read_clip(tmp_path / "out.mp4")
    assert back.last_duration * back.time_base == 130 * TICKS
    assert back.seconds == pytest.approx((50 * (count - 1) + 130) / 1000)


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25)])
def test_broadcast_rates_are_exact(tmp_path, rate):
    clip = media.clip_from_frames(pictures(5, 32, 48), rate)
    media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    back = media.read_clip(tmp_path / "out.mp4")
    assert back.rate == rate
    assert media.clip_from_frames(clip.frames, float(rate)).rate == rate
    assert [time * back.time_base for time in back.times] == [i / rate for i in range(5)]


def test_saturated_colours_survive(tmp_path):
    """The written matrix is the one that is read: BT.601 against BT.709 would be off by 20."""
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])
    frames = colours.to(torch.uint8).view(4, 1, 1, 3).expand(4, 32, 48, 3).contiguous()
    media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames))
    back = media.read_clip(tmp_path / "out.mp4").frames
    assert (back.int() - frames.int()).abs().max() <= 4


@pytest.mark.parametrize(
    ("height", "named", "red"),
    # Pure red in each matrix, limited range (ITU-R BT.709-6 and BT.601-7, section 3).
    [(720, 2, RED_709), (720, 6, RED_601), (480, 2, RED_601), (480, 1, RED_709)],
)
def test_an_unnamed_matrix_is_bt709_in_hd_and_bt601_below(height, named, red):
    frame = av.VideoFrame(64, height, "yuv420p")
    for plane, level in zip(frame.planes, red, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    frame.colorspace = named
    picture = media.pixels.rgb(frame)
    assert np.abs(picture.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
def test_sound_is_copied_bit_for_bit(tmp_path, container, codec):
    source = make_file(tmp_path / f"in.{container}", "libx264", codec)
    clip = media.read_clip(source)
    assert clip.has_audio
    notes = media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    before, after = audio_packets(source), audio_packets(tmp_path / "out.mp4")
    assert notes == []
    assert [data for _, data in after] == [data for _, data in before] and len(after) > 5
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1e-3)


def test_opus_in_webm_is_copied_bit_for_bit(tmp_path):
    source = make_file(tmp_path / "in.webm", "libvpx-vp9", "libopus")
    clip = media.read_clip(source)
    assert media.write_clip(tmp_path / "out.mp4", clip.frames, clip) == []
    before, after = audio_packets(source), audio_packets(tmp_path / "out.mp4")
    assert [data for _, data in after] == [data for _, data in before] and len(after) > 5


@pytest.mark.parametrize("codec, container", [("pcm_s16le", "mov"), ("vorbis", "mkv")])
def test_other_sound_becomes_aac_and_says_so(tmp_path, codec, container):
    source = make_file(tmp_path / f"in.{container}", "libx264", codec)
    clip = media.read_clip(source)
    notes = media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert len(notes) == 1 and "AAC" in notes[0] and codec in notes[0]
    with av.open(str(tmp_path / "out.mp4")) as file:
        stream = file.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == "aac" and stream.rate == 48000
        samples = np.concatenate([f.to_ndarray() for f in file.decode(stream)], axis=1)
    # 14400 samples of a 440 Hz sine of amplitude 1/2 (Vorbis's last block may be cut short).
    assert 14400 - 2048 <= samples.shape[1] <= 14400 + 2048
    middle = samples[0, 4000:8800]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / math.sqrt(2), rel=0.1)
    assert np.abs(np.fft.rfft(middle)).argmax() == 440 * len(middle) // 48000


# 0: as though nobody knew at which rate mp4 begins to refuse it.
@pytest.mark.parametrize("least", [16_000, 0])
@pytest.mark.parametrize("name", ["in.avi", "in.mkv"])
def test_sound_that_cannot_be_copied_becomes_aac_and_says_so(tmp_path, monkeypatch, name, least):
    clip = media.read_clip(make_file(tmp_path / name, "libx264", "libmp3lame", hertz=8000))
    monkeypatch.setattr(media_sound, "_MP3_RATE", least)
    notes = media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert len(notes) == 1 and "mp3" in notes[0] and "AAC" in notes[0]
    assert len(media.read_clip(tmp_path / "out.mp4")) == 6
    with av.open(str(tmp_path / "out.mp4")) as file:
        stream = file.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == "aac" and stream.rate == 8000


def test_sound_that_no_mp4_takes_is_left_out_and_says_so(tmp_path):
    source = make_file(tmp_path / "in.mkv", "libx264", "pcm_s16le", layout="9 channels")
    clip = media.read_clip(source)
    assert clip.has_audio
    notes = media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert notes == ["The sound does not fit into an mp4 and was left out."]
    assert len(media.read_clip(tmp_path / "out.mp4")) == 6
    assert not media.facts(tmp_path / "out.mp4").sound


def test_a_full_disk_is_not_taken_for_sound_that_does_not_fit(tmp_path, monkeypatch):
    def full(stream, frames, like):
        raise av.error.OSError(errno.ENOSPC, "No space left on device")

    clip = media.read_clip(make_file(tmp_path / "in.mp4", "libx264", "aac"))
    monkeypatch.setattr(media_write, "_encode", full)
    with pytest.raises(OSError, match="No space"):
        media.write_clip(tmp_path / "out.mp4", clip.frames, clip)


@pytest.mark.parametrize(
    "name, video, audio, known, unknown",
    [
        ("in.mkv", "libx264", "aac", b"A_AAC", b"A_XYZ"),
        ("in.mov", "libx264", "pcm_s16le", b"sowt", b"what"),
    ],
)
def test_sound_that_nobody_knows_is_left_out_and_says_so(
    tmp_path, name, video, audio, known, unknown
):
    source = make_file(tmp_path / name, video, audio)
    data = source.read_bytes()
    assert data.count(known) == 1
    source.write_bytes(data.replace(known, unknown))
    clip = media.read_clip(source)
    notes = media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert notes == ["Sound stream 1 has an unknown codec and was left out."]
    assert len(media.read_clip(tmp_path / "out.mp4")) == len(clip) == 6
    assert not media.facts(tmp_path / "out.mp4").sound


def test_every_sound_stream_is_kept_also_before_the_pictures(tmp_path):
    container = av.open(str(tmp_path / "in.mp4"), "w")
    sounds = [container.add_stream("aac", rate=48000, layout="mono") for _ in range(2)]
    video = container.add_stream("libx264", rate=20, width=48, height=32)
    packets = []
    for picture in pictures(4, 32, 48):
        packets += video.encode(av.VideoFrame.from_ndarray(picture.numpy()))
    packets += video.encode(None)
    for level, stream in enumerate(sounds):
        frame = av.AudioFrame.from_ndarray(
            np.full((1, 4096), level / 4, np.float32), "fltp", "mono"
        )
        frame.sample_rate = 48000
        packets += stream.encode(frame) + stream.encode(None)
    container.mux(packets)
    container.close()
    clip = media.read_clip(tmp_path / "in.mp4")
    assert len(clip) == 4
    media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    for index in range(2):
        data = []
        for name in ("in.mp4", "out.mp4"):
            with av.open(str(tmp_path / name)) as file:
                stream = file.streams.audio[index]
                data.append([bytes(p) for p in file.demux(stream) if p.size])
        assert data[0] == data[1] and data[0]


def test_settings_come_back(tmp_path):
    frames = pictures(3, 32, 48)
    settings = {"prompt": 'a dog, 犬 "quoted"\nnew line; = #', "steps": 20, "scale": [1.5, None]}
    media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames), settings)
    media.write_clip(tmp_path / "bare.mp4", frames, clip_of(frames))
    assert media.read_settings(tmp_path / "out.mp4") == settings
    assert media.read_settings(tmp_path / "bare.mp4") is None


@pytest.mark.parametrize("comment", ["holiday", json.dumps({"other": 1}), "[1, 2]", "3"])
def test_another_programs_comment_is_not_settings(tmp_path, comment):
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=20, width=48, height=32)
        for picture in pictures(2, 32, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.numpy())))
        container.mux(stream.encode(None))
    assert media.read_settings(tmp_path / "in.mp4") is None


def test_the_index_comes_first(tmp_path):
    frames = pictures(3, 32, 48)
    media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames))
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    frames = pictures(5, 32, 48)
    media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames))
    before = (tmp_path / "out.mp4").read_bytes()
    calls = []

    def break_at_third(picture):
        calls.append(None)
        if len(calls) == 3:
            raise RuntimeError("encoder")
        return yuv420(picture)

    yuv420 = media_write.yuv420
    monkeypatch.setattr(media_write, "yuv420", break_at_third)
    with pytest.raises(RuntimeError, match="encoder"):
        media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames))
    with pytest.raises(TypeError):
        media.write_clip(tmp_path / "out.mp4", frames, clip_of(frames), {"bad": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == before


def test_a_clip_can_be_written_over_its_source(tmp_path):
    source = make_file(tmp_path / "in.mp4", "libx264", "aac")
    sound = audio_packets(source)
    clip = media.read_clip(source)
    media.write_clip(source, clip.frames, clip, {"steps": 1})
    assert media.read_settings(source) == {"steps": 1}
    assert [data for _, data in audio_packets(source)] == [data for _, data in sound]


def test_clip_from_frames_refuses_what_is_no_clip():
    for frames in (torch.zeros(3, 8, 8, 3), torch.zeros(0, 8, 8, 3).to(torch.uint8)):
        with pytest.raises(ValueError, match="must be uint8"):
            media.clip_from_frames(frames, 20)
    with pytest.raises(ValueError, match="above 0"):
        media.clip_from_frames(pictures(2, 8, 8), 0)


def test_write_refuses_what_does_not_fit(tmp_path):
    frames = pictures(3, 32, 48)
    with pytest.raises(ValueError, match="2 frames for a clip of 3"):
        media.write_clip(tmp_path / "out.mp4", frames[:2], clip_of(frames))
    with pytest.raises(ValueError, match="to_uint8"):
        media.write_clip(tmp_path / "out.mp4", media.to_float(frames), clip_of(frames))
    with pytest.raises(InputError, match=r"out\.mp4"):
        media.write_clip(tmp_path / "out.webm", frames, clip_of(frames))
    source = make_file(tmp_path / "in.mp4", "libx264", "aac")
    clip = media.read_clip(source)
    source.unlink()
    with pytest.raises(InputError, match="There is no file"):
        media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_is_applied(tmp_path, rotation, hflip):
    """The file's angle is counter-clockwise, and so is numpy's; the flip comes after the turn."""
    source = make_file(tmp_path / "in.mp4", "libx264", rotation=rotation, hflip=hflip, count=3)
    stored = pictures(3, 32, 48).numpy()
    expected = np.rot90(stored, rotation // 90, axes=(1, 2))
    expected = expected[:, :, ::-1] if hflip else expected
    clip = media.read_clip(source)
    assert tuple(clip.frames.shape) == expected.shape
    assert np.abs(clip.frames.numpy().astype(int) - expected).mean() < 3
    media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    again = media.read_clip(tmp_path / "out.mp4")
    assert again.size == clip.size
    assert (again.frames.int() - clip.frames.int()).abs().float().mean() < 3


def test_pixel_aspect_survives_and_turns_with_the_picture(tmp_path):
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=20, width=48, height=32)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)
        for picture in pictures(2, 32, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.numpy())))
        container.mux(stream.encode(None))
    clip = media.read_clip(tmp_path / "in.mp4")
    assert clip.size == (48, 32) and clip.pixel_aspect == Fraction(3, 4)
    media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert media.read_clip(tmp_path / "out.mp4").pixel_aspect == Fraction(3, 4)


@pytest.mark.parametrize(
    "name, codec",
    [
        ("in.mp4", "libx264"),
        ("in.mov", "libx264"),
        ("in.mkv", "libx264"),
        ("in.webm", "libvpx-vp9"),
        ("in.avi", "mpeg4"),
        ("in.avi", "libx264"),
    ],
)
def test_every_container_is_read(tmp_path, name, codec):
    clip = media.read_clip(make_file(tmp_path / name, codec))
    assert tuple(clip.frames.shape) == (6, 32, 48, 3)
    assert (clip.frames.int() - pictures(6, 32, 48).int()).abs().float().mean() < 6
    gaps = {(b - a) * clip.time_base for a, b in pairwise(clip.times)}
    assert gaps == {Fraction(1, 20)}
    assert clip.rate == pytest.approx(20) and clip.seconds == pytest.approx(0.3, abs=0.002)
    media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    assert stored_times(tmp_path / "out.mp4") == [time * clip.time_base for time in clip.times]


def test_gif_keeps_its_delays_and_lays_alpha_over_white(tmp_path):
    from PIL import Image

    images = []
    for opaque in (10, 20, 30):
        rgba = np.zeros((20, 30, 4), np.uint8)
        rgba[:, :opaque] = (200, 0, 0, 255)
        images.append(Image.fromarray(rgba))
    images[0].save(
        tmp_path / "in.gif",
        save_all=True,
        append_images=images[1:],
        duration=[100, 50, 300],
        disposal=2,
    )
    clip = media.read_clip(tmp_path / "in.gif")
    assert [time * clip.time_base for time in clip.times] == [0, Fraction(1, 10), Fraction(3, 20)]
    assert clip.last_duration * clip.time_base == Fraction(3, 10)
    assert clip.frames[0, 0, 5].tolist() == [200, 0, 0]
    assert clip.frames[0, 0, 25].tolist() == [255, 255, 255]
    assert clip.frames[2, 0, 25].tolist() == [200, 0, 0]


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", ["in.mp4", "fast.mp4", "in.mkv", "in.webm", "in.avi", "in.gif"])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    path = tmp_path / name
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    if name == "fast.mp4":
        frames = pictures(40, 32, 48)
        media.write_clip(path, frames, clip_of(frames))
    elif name == "in.gif":
        media.write_preview(path, pictures(40, 32, 48), 20)
    else:
        make_file(path, codec, count=40)
    assert len(media.read_clip(path)) == 40
    with pytest.raises(InputError, match="damaged"):
        media.read_clip(cut(path, share))


def test_wherever_a_file_is_cut_it_is_damaged_or_whole(tmp_path):
    """Within what says which streams there are, too; only what is said of the file may be gone."""
    path, part = tmp_path / "in.mp4", tmp_path / "part.mp4"
    make_file(path, "libx264", count=4)
    data = path.read_bytes()
    for size in range(300, len(data), 23):
        part.write_bytes(data[:size])
        try:
            assert len(media.read_clip(part)) == 4 and size > 0.9 * len(data)
        except InputError as error:
            assert re.search("damaged|no frame that can be decoded", str(error))


def test_unusable_files_are_refused_with_a_remedy(tmp_path):
    cases = {"missing.mp4": "There is no file"}
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nin.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "empty.mp4").write_bytes(b"")
    cases |= {name: "not a video" for name in ("text.mp4", "list.mp4", "empty.mp4")}
    make_file(tmp_path / "sound.mp4", None, "aac")
    cases["sound.mp4"] = "no picture"
    make_file(tmp_path / "one.mp4", "libx264", count=1)
    cases["one.mp4"] = "at least 2"
    for name, message in cases.items():
        with pytest.raises(InputError, match=message):
            media.read_clip(tmp_path / name)


def test_limits_are_named(tmp_path):
    make_file(tmp_path / "in.mp4", "libx264", count=6)
    make_file(tmp_path / "in.mkv", "libx264", count=6)
    for name in ("in.mp4", "in.mkv"):
        assert len(media.read_clip(tmp_path / name, max_frames=6)) == 6
        with pytest.raises(InputError, match="more than 5 frames"):
            media.read_clip(tmp_path / name, max_frames=5)
        assert len(media.read_clip(tmp_path / name, max_pixels=6 * 32 * 48)) == 6
        with pytest.raises(InputError, match="does not fit in memory"):
            media.read_clip(tmp_path / name, max_pixels=6 * 32 * 48 - 1)


def test_more_than_4096_on_a_side_is_refused_before_decoding(tmp_path, monkeypatch):
    make_file(tmp_path / "in.mp4", "mpeg4", count=2, size=(16, 4112))
    monkeypatch.setattr(media.read, "rgb", lambda frame: pytest.fail("decoded"))
    with pytest.raises(InputError, match="4112x16 pixels, and at most 4096"):
        media.read_clip(tmp_path / "in.mp4")


def test_missing_and_repeated_timestamps_are_filled_in():
    class Stream:
        average_rate, time_base, duration = Fraction(20), Fraction(1, 1000), None

    times, last, rate = media.read._timing(Stream, [None, None, 90, 400, 150, None, 150], 0)
    assert times == (0, 50, 90, 150, 200, 250, 400)
    assert last == 50 and rate == Fraction(7 * 1000, 450)


def half_mask(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(height, width, dtype=torch.uint8)
    mask[:, : width // 2] = 255
    return mask


def test_a_mask_image_is_read_exactly(tmp_path):
    clip = clip_of(pictures(3, 32, 48))
    level = half_mask(32, 48)
    level[0, 40] = 128
    media.save_png(tmp_path / "mask.png", level)
    mask = media.read_mask(tmp_path / "mask.png", clip)
    assert mask.dtype == torch.float32
    assert torch.allclose(mask, level / 255, atol=1e-6)


def test_a_mask_clip_is_exactly_zero_where_nothing_may_change(tmp_path):
    clip = clip_of(pictures(4, 32, 48))
    level = half_mask(32, 48)
    level = torch.stack([level.roll(8 * i, 1) for i in range(4)])
    media.write_clip(tmp_path / "mask.mp4", level[..., None].expand(-1, -1, -1, 3), clip)
    mask = media.read_mask(tmp_path / "mask.mp4", clip)
    assert mask.shape == (4, 32, 48) and mask.dtype == torch.uint8
    assert ((mask > 127) == (level > 127)).all()
    assert (mask == level).float().mean() > 0.75 and mask.min() == 0 and mask.max() == 255


def test_unusable_masks_are_refused_with_a_remedy(tmp_path):
    clip = clip_of(pictures(4, 32, 48))
    media.save_png(tmp_path / "size.png", half_mask(16, 24))
    media.save_png(tmp_path / "empty.png", torch.zeros(32, 48, dtype=torch.uint8))
    short = half_mask(32, 48)[None, ..., None].expand(3, -1, -1, 3)
    media.write_clip(tmp_path / "short.mp4", short, clip_of(short))
    media.write_clip(tmp_path / "empty.mp4", clip.frames * 0, clip)
    (tmp_path / "text.png").write_text("not an image")
    for name, message in {
        "size.png": "24x16 pixels and the clip is 48x32",
        "empty.png": "is empty",
        "empty.mp4": "is empty",
        "short.mp4": "3 frames and the clip has 4",
        "text.png": "not an image",
        "missing.png": "There is no file",
    }.items():
        with pytest.raises(InputError, match=message):
            media.read_mask(tmp_path / name, clip)


def test_png_is_lossless(tmp_path):
    picture = torch.randint(0, 256, (9, 7, 3), generator=torch.Generator().manual_seed(0))
    picture = picture.to(torch.uint8)
    media.save_png(tmp_path / "a.png", picture)
    assert torch.equal(media.read_image(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_previews_are_animations(tmp_path, name):
    from PIL import Image

    frames = pictures(5, 32, 48)
    media.write_preview(tmp_path / name, frames, 20)
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 5 and image.info["loop"] == 0
        image.seek(1)
        image.load()
        assert image.info["duration"] == 50
        second = torch.from_numpy(np.array(image.convert("RGB")))
    assert (second.int() - frames[1].int()).abs().float().mean() < 8
    with pytest.raises(InputError, match=r"a\.webp"):
        media.write_preview(tmp_path / "a.bmp", frames, 20)


def test_float_and_bytes_are_inverse():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(2, -1, -1, 3)
    assert torch.equal(media.to_uint8(media.to_float(levels)), levels)
    assert media.to_float(levels).shape == (2, 3, 16, 16)
    assert media.to_uint8(torch.tensor([-0.5, 0.5, 2.0]).view(3, 1, 1)).tolist() == [
        [[0, 128, 255]]
    ]


def test_resize_keeps_constants_and_means_and_does_not_alias():
    constant = torch.full((1, 3, 20, 30), 0.3)
    for size in ((7, 11), (41, 63)):
        assert torch.allclose(media.resize(constant, size), torch.tensor(0.3), atol=1e-5)
    board = (torch.arange(64).view(1, -1) + torch.arange(64).view(-1, 1)) % 2
    board = board.float().expand(1, 3, 64, 64)
    # The finest checkerboard is above what 16x16 can hold: only its mean, 1/2, may remain.
    assert (media.resize(board, (16, 16))[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.01
    # A cubic filter reproduces straight lines: pixel centre (i + 1/2) / n.
    ramp = ((torch.arange(16) + 0.5) / 16).expand(1, 3, 16, 16)
    wide = media.resize(ramp, (16, 48))[0, 0, 0]
    assert torch.allclose(wide[9:-9], ((torch.arange(48) + 0.5) / 48)[9:-9], atol=1e-4)
    assert media.resize(board, (64, 64)) is board


def test_contact_sheet_places_every_frame():
    frames = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 4, 6, 3)
    sheet = media.contact_sheet(frames, columns=3, gap=2)
    assert sheet.shape == (10, 22, 3)
    assert sheet[::6, ::8, 0].tolist() == [[0, 1, 2], [3, 4, 255]]
    assert (sheet[4:6] == 255).all()
