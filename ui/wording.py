"""Sentences of the jobs as the page says them: an option or a prompt becomes its field.

Knows nothing about when they are said.
"""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from pipelines.errors import InputError, LineFull, RunFailed

FIELDS = {
    "anchor": "Anchor",
    "attached": "Attached noise",
    "compile": "Compile the networks",
    "contrast": "Contrast",
    "crop": "Detail crop",
    "detail": "Detail",
    "detail-from": "Detail from",
    "edit": "Part to paint",
    "end": "End",
    "eta": "From DDS to FlowEdit",
    "focus": "Focus",
    "fusion": "Attention fusion",
    "global": "Paint everything",
    "guidance-1": "Guidance, first model",
    "guidance-2": "Guidance, second model",
    "guidance-source": "Guidance, source",
    "guidance-target": "Guidance, target",
    "high": "First noise level",
    "joint": "Joint guidance",
    "mask-feather": "Feather",
    "mask-frame": "Frame",
    "mask-grow": "Grow",
    "mask-invert": "Invert",
    "mask-k": "Smoothing threshold",
    "mask-view": "The file is drawn on the view above",
    "max-faces": "Simplify to faces",
    "moves": "Moves at most",
    "object": "Object",
    "ode": "Step along the noise levels",
    "plural": "The part is a plural",
    "rate": "Learning rate",
    "resolution": "Texture side",
    "side": "Working size",
    "smooth-along-flow": "Smooth along the motion",
    "smoothing": "Smoothing",
    "source": "What it shows",
    "start": "Start",
    "steady": "Steadied over",
    "steps": "Steps",
    "strength": "Strength",
    "style": "Style",
    "style-guidance": "Guidance, colours",
    "target": "What it should show",
    "teacher": "Teacher",
    "unlike": "Unlike",
    "up": "Up",
    "views": "Views",
}
"""The page's field for each option, or prompt, that a sentence may name."""
_NAMED = re.compile(r"--([a-z][a-z0-9-]*)|\b[Tt]he ([a-z]+) prompt\b")


def on_the_page(text: str) -> str:
    """A sentence in the page's own names, with nothing in it that a page would take for markup.

    It may quote what somebody typed, or what is in a file.
    """

    def field(found: re.Match[str]) -> str:
        name = FIELDS.get(found[1] or found[2])
        return found[0] if name is None else f'"{name}"'

    return html.escape(_NAMED.sub(field, text), quote=False)


@contextmanager
def said_on_the_page() -> Iterator[None]:
    """What a user can put right becomes a message on the page."""
    try:
        yield
    except (InputError, RunFailed, LineFull) as error:
        raise gr.Error(on_the_page(str(error)), print_exception=False) from error
