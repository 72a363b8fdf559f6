"""A mask by hand: pause on a frame or name one, brush on it, see it carried through the clip.

Knows nothing about what its parts do (`ui.video_mask_actions`).
"""

from dataclasses import fields

import gradio as gr
from gradio.components import Component

from pipelines.video import EditVideo
from ui.brush import brush_box, no_brush
from ui.folds import fold
from ui.video_mask_actions import begin_mask, no_mask, open_frame, show_mask

_DEFAULT = {f.name: f.default for f in fields(EditVideo)}
_HEIGHT = 320


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
