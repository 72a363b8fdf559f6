"""A user's mask: a picture for the whole clip or for a mesh, or a clip with one mask a frame.

White is the region to edit, black is kept, grey is in between; where a picture is transparent it
is kept. Knows nothing about growing, feathering or moving masks.
"""

from pathlib import Path

import torch
from torch import Tensor

from pipelines.errors import InputError
from pipelines.media.clip import Clip, Cut
from pipelines.media.part import MAX_PIXELS
from pipelines.media.read import decode
from pipelines.media.stills import load_rgba

_STILLS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff")
_LUMA = torch.tensor([0.2126, 0.7152, 0.0722])  # BT.709
# Lossy codecs return black as 1 or 2 of 255. A mask must be exactly 0 where nothing may change.
_BLACK, _WHITE = 8 / 255, 247 / 255
TINT, OPACITY = (255, 45, 120), 0.55
"""How a mask is laid over pictures: a colour that few of them have, RGB."""


def read_mask(path: Path | str, clip: Clip) -> Tensor:
    """Read the mask of a clip.

    Args:
        path: an image (png, jpg, webp, bmp, tif), or a clip: of as many frames as `clip`, or, where
            that is a part, of the whole that it is a part of.
        clip: the clip it belongs to; the mask must have its size.

    Returns:
        White is the region to edit: float32 (H, W) in [0, 1] from an image, uint8 (F, H, W) from a
        clip, as which a long one fits in memory. Values within 8/255 of either end are moved to it.

    Raises:
        InputError: no such file, unreadable, other size, other frame count, or nothing in it.
    """
    name = Path(path).name
    if is_still(path):
        mask = settle(read_level(path))
    else:
        levels = (settle(_level(frame)) for frame in _frames(path, clip))
        mask = torch.stack([(level * 255).round().to(torch.uint8) for level in levels])
    _check(name, mask, clip)
    return mask


def is_still(path: Path | str) -> bool:
    """Whether a mask's file is a picture, by its name; it is a clip of masks otherwise."""
    return Path(path).suffix.lower() in _STILLS


def read_level(path: Path | str) -> Tensor:
    """A mask's picture: float32 (H, W) in [0, 1], 0 where it is transparent, whatever its colour.

    Raises InputError for no picture.
    """
    rgba = load_rgba(path)
    return _level(rgba[..., :3]) * (rgba[..., 3].float() / 255)


def settle(mask: Tensor) -> Tensor:
    """Values within 8/255 of 0 or 1 are moved to it. float, any shape."""
    return mask.where(mask >= _BLACK, 0.0).where(mask <= _WHITE, 1.0)


def read_strokes(path: Path | str) -> Tensor:
    """What was painted on a transparent picture, in any colour: uint8 (H, W), 0 or 255.

    A brush's soft edge belongs to it from half its opacity on. Raises InputError for no picture.
    """
    alpha = load_rgba(path)[..., 3]
    return ((alpha > alpha.max() // 2) * 255).to(torch.uint8)


def _frames(path: Path | str, clip: Clip) -> Tensor:
    """uint8 (F, H, W, 3): the masks of the clip's own part, or the file as it is."""
    # Read past the clip's length, so that the message can name the mask's own.
    limits = {"max_frames": 10 * len(clip), "max_pixels": MAX_PIXELS}
    if clip.cut != Cut():
        try:
            part = decode(path, cut=clip.cut, **limits).frames
            if len(part) == len(clip):
                return part
        except InputError:
            pass  # Shorter than the part begins: it may still be drawn for the part alone.
    return decode(path, **limits).frames


def _level(frame: Tensor) -> Tensor:
    """uint8 (H, W, 3) -> luminance, float32 (H, W) in [0, 1]."""
    return frame.float() @ _LUMA / 255


def _check(name: str, mask: Tensor, clip: Clip) -> None:
    (height, width), (clip_height, clip_width) = mask.shape[-2:], clip.size
    if (height, width) != (clip_height, clip_width):
        raise InputError(
            f"The mask {name} is {width}x{height} pixels and the clip is "
            f"{clip_width}x{clip_height}. Give a mask of the clip's size."
        )
    if mask.ndim == 3 and len(mask) != len(clip):
        raise InputError(
            f"The mask {name} has {len(mask)} frames and the clip has {len(clip)}. "
            "Give one mask for each frame, or a single image."
        )
    if not mask.any():
        raise InputError(
            f"The mask {name} is empty. Paint the region to edit white, "
            "or leave the mask out to edit the whole clip."
        )
