"""Brushing on a picture: the box for it, and the strokes as a file.

Strokes are part of the page's value, as a see-through PNG, from the moment they are drawn; the
picture comes in the same answer that empties them. So what is seen is what is sent, however slow
the machine: gradio's own editor fetches its picture later, and until it has it, what is drawn is
shown but not sent.

Knows nothing about what the strokes are for.
"""

import base64
import binascii
import shutil
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import gradio as gr
from gradio.utils import get_upload_folder
from torch import Tensor

from pipelines.errors import InputError
from pipelines.media import data_uri, read_strokes
from ui.theme import PAGE

_KIND = "data:image/png;base64,"
_PREFIX = "brushed-"
_DAY = 24 * 3600


def brush_box(elem_id: str, label: str) -> gr.HTML:
    """The empty box, hidden until there is a picture to brush on."""
    return gr.HTML(
        "",
        label=label,
        html_template=(PAGE / "brush.html").read_text(),
        js_on_load=(PAGE / "brush.js").read_text(),
        apply_default_css=False,
        visible=False,
        elem_id=elem_id,
        elem_classes="brush-block",
        picture="",
        says="",
    )


def to_brush(picture: Tensor, says: str) -> gr.HTML:
    """The box with a picture, uint8 (H, W, 3), and nothing brushed on it yet.

    says: what is seen.
    """
    return gr.HTML("", picture=data_uri(picture), says=says, visible=True)


def no_brush() -> gr.HTML:
    """The box put away."""
    return gr.HTML("", picture="", visible=False)


def strokes_of(brushed: str | None) -> Path | None:
    """The box's value as a PNG in a folder of its own; None where nothing is brushed.

    Raises InputError for a value that holds no picture.
    """
    if not brushed:
        return None
    try:
        content = base64.b64decode(brushed.removeprefix(_KIND), validate=True)
    except binascii.Error as error:
        raise InputError("What was brushed cannot be read. Brush it again.") from error
    path = kept_folder() / "strokes.png"
    path.write_bytes(content)
    return path if read_strokes(path).any() else None


def kept_folder() -> Path:
    """A folder, for a day, for what comes of brushing."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    return Path(mkdtemp(prefix=_PREFIX, dir=folder))


def _sweep(folder: Path) -> None:
    """Remove what was brushed more than a day ago: gradio keeps count of its own files only."""
    for old in folder.glob(f"{_PREFIX}*"):
        # Another visitor may be sweeping too.
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _DAY:
                shutil.rmtree(old, ignore_errors=True)
