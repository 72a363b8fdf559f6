"""HDR clips, as phones record them: read as the SDR they show."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from pipelines import media
from pipelines.events import Note
from pipelines.media import hdr, pixels
from pipelines.video import EditVideo, edit_video

BT2020 = 9
FROM_BT709 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
"""Primaries, ITU-R BT.2087."""


def codes(srgb: tuple[int, int, int], transfer: int) -> np.ndarray:
    """An sRGB colour as a studio puts it into HDR, its white at 203 cd/m2: (3,) in [0, 1]."""
    byte = np.array(srgb) / 255
    light = np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
    light = FROM_BT709 @ light * 203
    if transfer == hdr.PQ:
        power = (light / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    light = light / 1000
    scene = light * max(light @ [0.2627, 0.6780, 0.0593], 1e-12) ** (1 / 1.2 - 1)
    above = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), above)


def frame_of(code: np.ndarray, transfer: int, named: bool = True) -> av.VideoFrame:
    """One colour as a decoder gives it: 10 bit, 4:2:0, limited range."""
    picture = np.broadcast_to((code * 65535).round().astype(np.uint16), (32, 48, 3)).copy()
    frame = av.VideoFrame.from_ndarray(picture, format="rgb48le")
    frame = frame.reformat(format="yuv420p10le", dst_colorspace=Colorspace.BT2020)
    frame.colorspace = BT2020 if named else 2
    frame.color_primaries, frame.color_trc = BT2020, transfer
    return frame


@pytest.mark.parametrize("transfer", [hdr.HLG, hdr.PQ])
@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (128, 128, 128), (220, 0, 0), (30, 200, 60), (20, 40, 225)]
)
def test_colours_come_back_as_they_were_before_they_were_put_into_hdr(transfer, colour):
    for named in (True, False):
        picture = pixels.rgb(frame_of(codes(colour, transfer), transfer, named))
        assert picture.dtype == np.uint8 and picture.shape == (32, 48, 3)
        # A step of 10 bits is up to 2 of these.
        assert np.abs(picture.astype(int) - colour).max() <= (3 if min(colour) else 6)


@pytest.mark.parametrize("transfer, white", [(hdr.HLG, 0.75), (hdr.PQ, 0.58)])
def test_reference_white_is_white_and_light_beyond_it_is_rolled_off(transfer, white):
    """Its codes are those of ITU-R BT.2408, table 1; 96 % is where BT.2446 has it."""
    grey = np.linspace(0, 1, 1025)[None, :, None].repeat(3, axis=2)
    shown = hdr.sdr((grey * 65535).round().astype(np.uint16), transfer)[0]
    assert (np.diff(shown.astype(int), axis=0) >= 0).all()
    assert shown[0, 0] == 0 and shown[-1, 0] >= 254
    assert shown[round(white * 1024)] == pytest.approx(0.96 * 255, abs=1.5)
    # Nothing is cut off: what lies between white and the screen's end can still be told apart.
    assert len(np.unique(shown[round(white * 1024) : round(0.9 * 1024)])) > 7


def test_highlights_keep_their_hue():
    bright = np.array([[[60000, 45000, 30000]]], np.uint16)
    light = hdr._light(hdr.PQ)[bright[0, 0]] @ hdr._TO_BT709.T
    shown = (hdr.sdr(bright, hdr.PQ)[0, 0] / 255 + 0.055) / 1.055
    assert light[0] > 10
    np.testing.assert_allclose(
        shown[1:] ** 2.4 / shown[0] ** 2.4, np.maximum(light, 0)[1:] / light[0], atol=0.01
    )


def test_a_large_picture_is_done_in_bands(monkeypatch):
    picture = np.random.default_rng(0).integers(0, 65536, (37, 16, 3), dtype=np.uint16)
    whole = hdr.sdr(picture, hdr.HLG)
    monkeypatch.setattr(hdr, "_BAND", 100)
    assert (hdr.sdr(picture, hdr.HLG) == whole).all()


def phone_clip(path: Path, colour: tuple[int, int, int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = hdr.HLG, BT2020, BT2020
        for index in range(3):
            frame = frame_of(codes(colour, hdr.HLG), hdr.HLG)
            frame.pts, frame.time_base = index, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_an_hdr_clip_is_read_and_written_as_sdr(tmp_path):
    red = (200, 30, 40)
    clip = media.read_clip(phone_clip(tmp_path / "phone.mkv", red))
    assert clip.hdr
    assert np.abs(clip.frames.numpy().astype(int) - red).max() <= 4
    media.write_clip(tmp_path / "out.mp4", clip.frames, clip)
    back = media.read_clip(tmp_path / "out.mp4")
    assert not back.hdr
    assert np.abs(back.frames.numpy().astype(int) - red).max() <= 6


def test_an_edit_says_that_an_hdr_clip_comes_back_as_sdr(tmp_path):
    path = phone_clip(tmp_path / "phone.mkv", (200, 30, 40))
    words = ("a red ball rolling on the grass", "a blue ball rolling on the grass")
    events = edit_video(EditVideo(path, *words, tmp_path / "run", steps=1))
    assert any("comes back as SDR" in event.text for event in events if isinstance(event, Note))
