"""A mask by hand: pause on a frame or name one, brush on it, see it carried through the clip.

Knows nothing about running an edit.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal

import gradio as gr
from gradio.components import Component

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
from ui.brush import brush_box, no_brush, strokes_of, to_brush
from ui.folds import fold
from ui.wording import on_the_page, said_on_the_page

Where = Literal["everywhere", "mask"]
NO_CLIP = "There is no clip. Upload one or pick an example."
_NO_MASK = "There is no mask. Paint one on a frame, upload one, or let the edit happen everywhere."
_DEFAULT = {f.name: f.default for f in fields(EditVideo)}
_HEIGHT = 320
_NEAR = 0.1
"""Seconds."""


def mask_fold(clip: gr.Video, cut: dict[str, Component]) -> dict[str, Component]:
    """Build the fold and wire it; its inputs by the name of the setting."""
    with fold("Mask", "change only what you paint; the rest stays, but for encoding.", "masking"):
        where = gr.Radio(
            [("Everywhere", "everywhere"), ("Inside the mask only", "mask")],
            value="everywhere",
            label="Where the edit may happen",
        )
        with gr.Row():
            begin = gr.Button(
                "Mask the paused frame", elem_id="mask-frame", size="md", min_width=140
            )
            frame = gr.Number(
                _DEFAULT["mask_frame"],
                label="Frame",
                info="Counted from 0. Type one to paint on it, or that of the file below.",
                precision=0,
                minimum=0,
                min_width=200,
            )
        brushed = brush_box("brush", "Paint what may change")
        mask = gr.File(
            label="Or a picture or a clip; white may change",
            file_types=["image", "video"],
            height=160,
            elem_id="mask-file",
        )
        inputs = {"where": where, "brushed": brushed, "mask": mask, "mask_frame": frame}
        # What is painted belongs to the frame it was painted on, whatever the number says by now.
        inputs["drawn"] = gr.State(None)
        inputs |= _edges()
        show = gr.Button("Show the mask on the clip", elem_id="show-mask", size="md")
        shown = gr.Video(
            label="The mask on every frame",
            height=_HEIGHT,
            visible=False,
            interactive=False,
            autoplay=True,
            loop=True,
            buttons=[],
            elem_id="mask-shown",
        )
    _wire(inputs, clip, cut, begin, show, shown)
    return inputs


def _edges() -> dict[str, Component]:
    with gr.Row():
        return {
            "mask_grow": gr.Number(
                _DEFAULT["mask_grow"],
                label="Grow",
                info="Pixels; below 0 shrinks.",
                min_width=110,
            ),
            "mask_feather": gr.Number(
                _DEFAULT["mask_feather"],
                label="Feather",
                info="Pixels; the soft edge reaches 3 times as far.",
                minimum=0,
                min_width=110,
            ),
            "mask_invert": gr.Checkbox(
                _DEFAULT["mask_invert"],
                label="Invert",
                info="What is painted stays.",
                min_width=110,
            ),
        }


def _wire(
    inputs: dict[str, Component],
    clip: gr.Video,
    cut: dict[str, Component],
    begin: gr.Button,
    show: gr.Button,
    shown: gr.Video,
) -> None:
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    part = list(cut.values())
    begin.click(
        begin_mask,
        [clip, *part],
        [inputs[name] for name in ("where", "brushed", "drawn", "mask_frame", "mask")],
        concurrency_limit=4,
        api_visibility="private",
    )
    inputs["mask_frame"].input(
        open_frame,
        [clip, *part, inputs["mask"], inputs["mask_frame"]],
        [inputs[name] for name in ("where", "brushed", "drawn")],
        concurrency_limit=4,
        trigger_mode="always_last",
        api_visibility="private",
    )
    asked = ("brushed", "drawn", "mask", "mask_frame", "mask_grow", "mask_feather", "mask_invert")
    show.click(
        show_mask,
        [clip, *part, *(inputs[name] for name in asked)],
        shown,
        # What is shown is not there yet, and a button shows no progress.
        show_progress="minimal",
        show_progress_on=inputs["mask"],
        concurrency_limit=2,
        api_visibility="private",
    )
    inputs["mask"].upload(
        lambda: ("mask", no_brush()),
        None,
        [inputs["where"], inputs["brushed"]],
        **quiet,
    )
    # Another clip, or another part of it, and what was painted is on a frame that is not there.
    fresh = [inputs[name] for name in no_mask()]
    gr.on(
        [clip.upload, clip.clear],
        lambda: tuple(no_mask().values()),
        None,
        fresh,
        **quiet,
    )
    # It shows a mask that is no longer the one that is asked for. Also where an example or a run of
    # another clip is opened, which brings a mask of its own.
    changes = [inputs[n].input for n in ("where", *asked[3:])]
    gr.on(
        [clip.change, inputs["mask"].upload, inputs["mask"].clear, begin.click, *changes],
        lambda: gr.Video(None, visible=False),
        None,
        shown,
        **quiet,
    )
    gr.on(
        [number.input for number in cut.values()],
        lambda: (no_brush(), gr.Video(None, visible=False)),
        None,
        [inputs["brushed"], shown],
        **quiet,
    )


def no_mask() -> dict[str, Any]:
    """The fold's inputs where there is no mask."""
    return {
        "where": "everywhere",
        "brushed": no_brush(),
        "drawn": None,
        "mask_frame": _DEFAULT["mask_frame"],
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
