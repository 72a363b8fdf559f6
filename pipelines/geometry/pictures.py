"""Texture pictures: bytes to uint8 arrays and back.

This module knows nothing about meshes.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.errors import InputError
from pipelines.media import stills

Shown = dict[bytes, NDArray[np.uint8] | None]
"""What `decode_once` gave so far, by the bytes it came from."""


MOST_PIXELS = 2**29
"""Of all pictures of a mesh together, which take 3 or 4 bytes each: 32 of 4096 x 4096."""


def decode(content: bytes, name: str) -> NDArray[np.uint8] | None:
    """A picture as uint8 (h, w, 3), or (h, w, 4) with its alpha; first row on top.

    None where it is damaged or of another format. Raises InputError above `stills.MAX_PIXELS`.
    """
    # UVs point into the picture as it is stored: EXIF data do not turn it.
    picture = stills.decode(io.BytesIO(content), name, upright=False)
    return None if picture is None else np.array(picture)


def decode_once(content: bytes, name: str, shown: Shown) -> NDArray[np.uint8] | None:
    """`decode`, but parts that show one picture share one array.

    Raises InputError too where they have more than MOST_PIXELS together.
    """
    if content not in shown:
        shown[content] = decode(content, name)
        if sum(p.shape[0] * p.shape[1] for p in shown.values() if p is not None) > MOST_PIXELS:
            raise InputError(
                f"The pictures of the mesh have more than {MOST_PIXELS // 10**6} million pixels "
                "together and do not fit into memory. Shrink them first."
            )
    return shown[content]


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
