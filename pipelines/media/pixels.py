"""Between a decoder's or encoder's picture and upright RGB bytes.

Conventions:

* A YUV picture that does not name its matrix is BT.709 from 720 lines on, BT.601 below, as
  browsers and players take it. What is written always names BT.709, limited range.
* A picture whose transfer is HLG or PQ is HDR, of BT.2020's primaries as BT.2100 says, and comes
  as the SDR it shows (`hdr`).
* Transparent pixels (animated GIFs) are laid over white.

Knows nothing about files or time.
"""

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from pipelines.media import hdr

# The codes of ITU-T H.273: matrix, primaries and transfer share 1 for BT.709 and 2 for "unnamed".
BT709 = 1
_UNNAMED = 2
_HD_LINES = 720
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def rgb(frame: av.VideoFrame) -> np.ndarray:
    """One decoded picture as uint8 (H, W, 3), RGB 0..255, not yet turned upright."""
    if frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
        rgba = frame.to_ndarray(format="rgba").astype(np.uint16)
        alpha = rgba[..., 3:]
        return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    matrix = None
    if not frame.format.is_rgb and frame.colorspace == _UNNAMED:
        if is_hdr(frame):
            matrix = Colorspace.BT2020
        elif frame.height >= _HD_LINES:
            matrix = Colorspace.ITU709
    picture = frame.to_ndarray(
        format="rgb48le" if is_hdr(frame) else "rgb24",
        src_colorspace=matrix,
        interpolation=Interpolation.BICUBIC | _EXACT,
    )
    return hdr.sdr(picture, frame.color_trc) if is_hdr(frame) else picture


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether the picture is HDR, which `rgb` makes SDR."""
    return frame.color_trc in (hdr.HLG, hdr.PQ)


def upright(picture: np.ndarray, frame: av.VideoFrame) -> tuple[np.ndarray, bool]:
    """Apply the frame's display matrix to its picture.

    The matrix sends the pixel (x, y) to (a x + c y, b x + d y). Files use its eight right-angled
    forms: a transposition where b and c rule, then a flip along each negative axis.

    Args:
        picture: (H, W, 3).
        frame: the decoded frame, for its side data.

    Returns:
        The picture as it is meant to be seen (a view), and whether width and height were swapped.
    """
    matrix = next((d for d in frame.side_data if d.type == SideDataType.DISPLAYMATRIX), None)
    if matrix is None:
        return picture, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    transposed = abs(b) > abs(a)
    if transposed:
        picture = picture.swapaxes(0, 1)
    along_x, along_y = (c, b) if transposed else (a, d)
    return picture[:: -1 if along_y < 0 else 1, :: -1 if along_x < 0 else 1], transposed


def yuv420(picture: np.ndarray) -> av.VideoFrame:
    """uint8 (H, W, 3), RGB 0..255, as a BT.709 4:2:0 picture for an encoder."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA | _EXACT,
    )
