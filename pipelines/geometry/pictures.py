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
        small = picture.size[0] * picture.size[1] <= MAX_PIXELS
        if small:
            clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
            return np.array(picture.convert("RGBA" if clear else "RGB"))
    except Image.DecompressionBombError:
        # Pillow's own bound, above ours.
        pass
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    raise InputError(f"The texture {name} has more than 8192 x 8192 pixels. Shrink it first.")


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """uint8 (h, w, 3 or 4) as PNG, without loss."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, format="PNG")
    return out.getvalue()


def resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (H, W, C) to size (h, w), bilinear; C is 1, 3 or 4. Exact at its own size."""
    if picture.shape[:2] == size:
        return picture
    flat = picture[..., 0] if picture.shape[2] == 1 else picture
    small = Image.fromarray(np.ascontiguousarray(flat))
    out = small.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(out).reshape(*size, picture.shape[2])
