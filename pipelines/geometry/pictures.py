"""Texture pictures: bytes to uint8 arrays and back.

This module knows nothing about meshes.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipelines.errors import InputError

MAX_PIXELS = 8192 * 8192
FORMATS = ("PNG", "JPEG", "WEBP", "TGA", "BMP", "TIFF", "GIF")


def decode(content: bytes, name: str) -> NDArray[np.uint8] | None:
    """A picture as uint8 (h, w, 3), or (h, w, 4) with its alpha; first row on top.

    None where it is damaged or of another format. Raises InputError above MAX_PIXELS.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        _check_size(picture.size, name)
        clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
        return np.asarray(picture.convert("RGBA" if clear else "RGB"))
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """uint8 (h, w, 3 or 4) as PNG, without loss."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, format="PNG")
    return out.getvalue()


def resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (H, W, C) to size (h, w), bilinear; C is 1, 3 or 4."""
    flat = picture[..., 0] if picture.shape[2] == 1 else picture
    small = Image.fromarray(np.ascontiguousarray(flat))
    out = small.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(out).reshape(*size, picture.shape[2])


def with_alpha(texture: NDArray[np.uint8], picture: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The texture with the alpha of the picture it replaces, where that has one and it has none."""
    if picture is None or picture.shape[2] == 3 or texture.shape[2] == 4:
        return texture
    return np.concatenate([texture, resize(picture[..., 3:], texture.shape[:2])], axis=2)


def _check_size(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(name)


def _too_large(name: str) -> InputError:
    return InputError(f"The texture {name} has more than 8192 x 8192 pixels. Shrink it first.")
