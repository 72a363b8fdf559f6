"""Pictures and previews: layouts, resizing, PNG, animated GIF and WebP, contact sheets.

Knows nothing about video files.
"""

import base64
import math
from pathlib import Path
from typing import BinaryIO

import imageio.v3 as iio
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from pipelines.errors import InputError
from pipelines.media.files import expect_file, replacing

MAX_PIXELS = 8192 * 8192
"""Of a still."""
FORMATS = ("PNG", "JPEG", "WEBP", "TGA", "BMP", "TIFF", "GIF")
"""What is read. Pillow knows more, some of which start other programs."""


def to_float(frames: Tensor) -> Tensor:
    """uint8 (..., H, W, 3) in 0..255 -> float32 (..., 3, H, W) in [0, 1]."""
    return frames.movedim(-1, -3).float() / 255


def to_uint8(frames: Tensor) -> Tensor:
    """float (..., 3, H, W) in [0, 1] -> uint8 (..., H, W, 3), rounded; values outside clip."""
    return (frames.movedim(-3, -1).float() * 255).round().clamp(0, 255).to(torch.uint8).contiguous()


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with an antialiased bicubic filter, up or down; the same size is returned as it is.

    Args:
        frames: float (F, C, H, W) in [0, 1].
        size: (height, width) wanted.

    Returns:
        float (F, C, height, width) in [0, 1]; the filter's overshoot at edges is clipped.
    """
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    resized = functional.interpolate(
        frames, size=tuple(size), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp(0, 1)


def floats_at(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """A clip at another size: uint8 (F, H, W, 3) to float32 (F, 3, h, w) in [0, 1].

    A few frames at a time: a long clip at full size does not fit in memory as floats.
    """
    return torch.cat([resize(to_float(part), size) for part in frames.split(8)])


def read_image(path: Path | str) -> Tensor:
    """A still as uint8 (H, W, 3), RGB 0..255, turned upright, transparent parts over white.

    Raises:
        InputError: no such file, not an image, or more than MAX_PIXELS.
    """
    rgba = load_rgba(path)
    color, alpha = rgba[..., :3].float(), rgba[..., 3:].float() / 255
    return (color * alpha + 255 * (1 - alpha)).round().to(torch.uint8)


def load_rgba(path: Path | str) -> Tensor:
    """A still as uint8 (H, W, 4), straight alpha; errors as `read_image`."""
    path = Path(path)
    expect_file(path)
    picture = decode(path, path.name, upright=True)
    if picture is None:
        raise InputError(
            f"{path.name} is not an image that can be read. Save it again as PNG or JPEG."
        )
    return torch.from_numpy(np.array(picture.convert("RGBA")))


def decode(file: Path | BinaryIO, name: str, upright: bool) -> Image.Image | None:
    """A picture of one of FORMATS as RGB, or as RGBA where it has alpha; None for any other file.

    name: for messages. upright: turn it as its EXIF data say. Raises InputError above MAX_PIXELS,
    before it is decoded.
    """
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.size[0] * picture.size[1] <= MAX_PIXELS:
                turned = ImageOps.exif_transpose(picture) if upright else picture
                mode = "RGBA" if picture.has_transparency_data else "RGB"
                return _eight_bits(turned).convert(mode)
    except Image.DecompressionBombError:
        # Pillow's own bound, above ours.
        pass
    except Exception:
        # A damaged file can fail anywhere in a decoder, in any way.
        return None
    raise InputError(f"The picture {name} has more than 8192 x 8192 pixels. Shrink it first.")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits brought to 8, where Pillow would cut at 255; any other picture as it is."""
    if not picture.mode.startswith("I;16"):
        return picture
    return Image.fromarray((np.asarray(picture) / 257).round().astype(np.uint8))


def save_png(path: Path | str, picture: Tensor) -> None:
    """Write a PNG, without loss: uint8 (H, W, 3) colour, or (H, W) grey.

    Raises:
        InputError: another suffix than .png.
    """
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"Stills are written as PNG: give {Path(path).with_suffix('.png').name}.")
    with replacing(path) as part:
        iio.imwrite(part, picture.numpy(force=True), plugin="pillow")


def write_preview(path: Path | str, frames: Tensor, rate: float) -> None:
    """Write an endlessly looping animation for a page that cannot show video.

    Args:
        path: ending in .webp (smaller, all colours) or .gif (256 colours, plays anywhere).
        frames: uint8 (F, H, W, 3), RGB 0..255.
        rate: frames per second. GIF counts in 1/100 s, and viewers slow down above 50.

    Raises:
        InputError: another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in (".gif", ".webp"):
        raise InputError(f"Previews are .gif or .webp: give {path.with_suffix('.webp').name}.")
    pictures, milliseconds = frames.numpy(force=True), 1000 / rate
    with replacing(path) as part:
        if path.suffix.lower() == ".gif":
            iio.imwrite(part, pictures, plugin="pillow", duration=milliseconds, loop=0)
        else:
            iio.imwrite(
                part, pictures, plugin="pillow", duration=round(milliseconds), loop=0, quality=85
            )


def contact_sheet(frames: Tensor, columns: int, gap: int = 4, fill: int = 255) -> Tensor:
    """Frames side by side in rows.

    Args:
        frames: uint8 (F, H, W, 3).
        columns: frames in a row, at least 1.
        gap: pixels between frames.
        fill: their grey, 0..255.

    Returns:
        uint8 (rows * (H + gap) - gap, columns * (W + gap) - gap, 3), rows = ceil(F / columns).
    """
    count, height, width, _ = frames.shape
    rows = math.ceil(count / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = torch.full(shape, fill, dtype=torch.uint8)
    for index, frame in enumerate(frames):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = frame
    return sheet


def data_uri(picture: Tensor, alpha: Tensor | None = None) -> str:
    """A picture as an address that holds it: uint8 (H, W, 3) as JPEG.

    With alpha, uint8 (H, W, 1), 0 where it is see-through, as PNG.
    """
    if alpha is None:
        kind, options = "jpeg", {"quality": 85}
    else:
        kind, options = "png", {"compress_level": 1}
        picture = torch.cat([picture, alpha], dim=2)
    pixels = picture.contiguous().numpy(force=True)
    encoded = iio.imwrite("<bytes>", pixels, plugin="pillow", extension=f".{kind}", **options)
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def write_thumbnail(path: Path | str, frames: Tensor, side: int = 320) -> None:
    """Write a few frames as one small JPEG, two in a row: uint8 (F, H, W, 3).

    side: the most pixels it has along its longer side.
    """
    sheet = contact_sheet(frames, columns=min(len(frames), 2), gap=2)
    scale = min(1.0, side / max(sheet.shape[:2]))
    size = tuple(max(round(n * scale), 1) for n in sheet.shape[:2])
    small = to_uint8(resize(to_float(sheet[None]), size))[0]
    with replacing(path) as part:
        iio.imwrite(part, small.numpy(force=True), plugin="pillow", quality=85)
