"""Clips, masks and stills, in and out: the one door to PyAV and imageio.

Knows nothing about diffusion, prompts or pages. Frames live in two layouts:

* as stored: uint8 (F, H, W, 3), RGB, 0..255. Clips are read and written in it.
* as computed with: float32 (F, 3, H, W), RGB, [0, 1]. `to_float` and `to_uint8` convert.
"""

from pipelines.media.clip import Clip, Cut, clip_from_frames
from pipelines.media.masks import read_level, read_mask, read_strokes, settle
from pipelines.media.read import read_clip, read_frame, read_numbered_frame, read_settings
from pipelines.media.source import Facts, facts
from pipelines.media.stills import (
    contact_sheet,
    data_uri,
    floats_at,
    read_image,
    resize,
    save_png,
    to_float,
    to_uint8,
    write_preview,
)
from pipelines.media.write import write_clip

__all__ = [
    "Clip",
    "Cut",
    "Facts",
    "clip_from_frames",
    "contact_sheet",
    "data_uri",
    "facts",
    "floats_at",
    "read_clip",
    "read_frame",
    "read_image",
    "read_level",
    "read_mask",
    "read_numbered_frame",
    "read_settings",
    "read_strokes",
    "resize",
    "save_png",
    "settle",
    "to_float",
    "to_uint8",
    "write_clip",
    "write_preview",
]
