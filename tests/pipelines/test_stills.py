"""Pictures that strangers give: what is read, how large, and that no value is lost on the way."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.errors import InputError
from pipelines.geometry import pictures
from pipelines.media import read_image, stills


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", ["PPM", "EPS"])
def test_only_formats_that_pillow_decodes_safely_are_opened(kind, tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path, format=kind)
    with pytest.raises(InputError, match=r"^a\.png is not an image that can be read\. Save"):
        stills.load_rgba(path)


@pytest.mark.parametrize("side", [8193, 60_000])
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(side, tmp_path):
    path = tmp_path / "a.png"
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"a\.png has more than 8192 x 8192 pixels\. Shrink"):
        stills.load_rgba(path)


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_grey_of_16_bits_is_scaled(name, tmp_path):
    values = np.array([[0, 255, 257, 25_700, 32_768, 65_535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    expected = [0, 1, 1, 100, 128, 255]
    picture = read_image(tmp_path / name)
    assert picture[0].tolist() == [[v, v, v] for v in expected]
    texture = pictures.decode((tmp_path / name).read_bytes(), name)
    assert np.array_equal(texture, picture.numpy())


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK", "1"])
def test_every_kind_of_pixel_comes_out_as_rgba(mode, tmp_path):
    name = "a.tiff" if mode == "CMYK" else "a.png"
    given = Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode)
    given.save(tmp_path / name)
    assert torch.equal(stills.load_rgba(tmp_path / name), torch.full((2, 3, 4), 255).byte())


def test_a_still_is_turned_upright_and_a_texture_stays_as_it_is_stored(tmp_path):
    path = tmp_path / "a.png"
    values = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(values).save(path, exif=exif)
    assert np.array_equal(read_image(path).numpy(), np.rot90(values, -1))
    assert np.array_equal(pictures.decode(path.read_bytes(), "a.png"), values)


def test_a_damaged_picture_is_no_picture(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        path
    )
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match="not an image that can be read"):
        stills.load_rgba(path)
