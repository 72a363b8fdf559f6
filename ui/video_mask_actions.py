"""What the mask's fold does on the video tab: a frame to brush on, the mask carried through the
clip, and the mask as a job takes it.

Knows nothing about layout, nor about running an edit.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal

import gradio as gr

from pipelines.clip.gate import read_gate, write_gate
from pipelines.errors import InputError
from pipelines.media import (
    Cut,
    read_clip,
    read_frame,
    read_numbered_frame,
    read_strokes,
    save_png,
)
from pipelines.video import EditVideo
from ui.brush import no_brush, strokes_of, to_brush
from ui.wording import on_the_page, said_on_the_page

Where = Literal["everywhere", "mask"]
NO_CLIP = "There is no clip. Upload one or pick an example."
_NO_MASK = "There is no mask. Paint one on a frame, upload one, or let the edit happen everywhere."
_NEAR = 0.1
"""Seconds."""


def no_mask() -> dict[str, Any]:
    """The fold's inputs where there is no mask."""
    return {
        "where": "everywhere",
        "brushed": no_brush(),
        "drawn": None,
        "mask_frame": EditVideo.mask_frame,
        "mask": None,
    }


def cut_of(start: float | None, end: float | None, every: int | None) -> Cut:
    """The part that the page's numbers say; what is left empty is as if nothing was said."""
    return Cut(start or 0.0, end or None, int(every or 1))


def begin_mask(
    clip: gr.Video, start: float | None, end: float | None, every: int | None
) -> tuple[str, gr.HTML, int, int, None]:
    """The frame that the clip is paused on, ready to be painted on."""
    with said_on_the_page():
        path, second = _paused(clip)
        cut = cut_of(start, end, every)
        _expect_within(cut, second)
        picture, frame = read_frame(path, second, cut)
    return "mask", to_brush(picture, f"Frame {frame}"), frame, frame, None


def open_frame(
    clip: str | None,
    start: float | None,
    end: float | None,
    every: int | None,
    mask: str | None,
    mask_frame: int | None,
) -> tuple[Any, ...]:
    """The frame whose number is typed, ready to be painted on; it may also be that of a file."""
    if clip is None or mask is not None or mask_frame is None:
        return (gr.skip(),) * 3
    try:
        picture = read_numbered_frame(clip, mask_frame, cut_of(start, end, every))
    except InputError as error:
        gr.Warning(on_the_page(str(error)))
        return gr.skip(), no_brush(), None
    return "mask", to_brush(picture, f"Frame {mask_frame}"), mask_frame


def _paused(clip: SimpleNamespace) -> tuple[Path, float]:
    """The clip's file and the second it is paused at."""
    if not clip.value:
        raise InputError(NO_CLIP)
    return Path(clip.value), float(clip.playback_position or 0)


def _expect_within(cut: Cut, second: float) -> None:
    """Raises InputError where a clip is paused outside the part, by more than one notices."""
    until = float("inf") if cut.end is None else cut.end
    if not cut.start - _NEAR <= second <= until + _NEAR:
        raise InputError(
            f"The clip is paused at {second:.1f} s, which is not in the part that is edited. "
            "Pause it inside the part, or choose another part."
        )


def show_mask(
    clip: str | None,
    start: float | None,
    end: float | None,
    every: int | None,
    brushed: str | None,
    drawn: int | None,
    mask: str | None,
    mask_frame: int | None,
    mask_grow: float | None,
    mask_feather: float | None,
    mask_invert: bool,
) -> Iterator[gr.Video]:
    """The clip, small, with the mask laid over every frame."""
    with said_on_the_page(), TemporaryDirectory() as folder:
        if clip is None:
            raise InputError(NO_CLIP)
        part = read_clip(Path(clip), cut=cut_of(start, end, every))
        path, frame = mask_of("mask", brushed, drawn, mask, int(mask_frame or 0))
        edges = (mask_grow or 0.0, mask_feather or 0.0, mask_invert)
        gate = read_gate(path, part, frame, *edges)
        write_gate(Path(folder) / "mask.mp4", part, gate)
        # The page has its own copy by the time this goes on, and the folder goes.
        yield gr.Video(str(Path(folder) / "mask.mp4"), visible=True)


def mask_of(
    where: Where, brushed: str | None, drawn: int | None, mask: str | None, mask_frame: int
) -> tuple[Path | None, int]:
    """The file of the mask that the page shows, None for none, and the frame it is of.

    What is painted comes first, with the frame it was `drawn` on. Raises InputError where there
    should be a mask and is none.
    """
    if where == "everywhere":
        return None, mask_frame
    painted = _painted(brushed)
    if painted is not None:
        return painted, drawn
    if mask is None:
        raise InputError(_NO_MASK)
    return Path(mask), mask_frame


def _painted(brushed: str | None) -> Path | None:
    """What was painted, as the file of a mask; None where nothing was."""
    strokes = strokes_of(brushed)
    if strokes is None:
        return None
    path = strokes.with_name("mask.png")
    save_png(path, read_strokes(strokes))
    return path
