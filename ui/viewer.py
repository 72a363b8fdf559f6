"""Before and after as a slider over moving pictures, with masks to lay over them.

Shows what `pipelines.media.comparison` writes. Knows nothing about jobs.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.media import facts
from pipelines.media.comparison import COMPARISON
from ui.theme import PAGE


def viewer(elem_id: str, visible: bool = True) -> gr.HTML:
    """The empty viewer, to be placed on the page."""
    return gr.HTML(
        None,
        label="Before and after",
        html_template=(PAGE / "viewer.html").read_text(),
        js_on_load=(PAGE / "viewer.js").read_text(),
        apply_default_css=False,
        visible=visible,
        elem_id=elem_id,
        elem_classes="viewer-block",
    )


def compared(folder: Path, metrics: dict[str, Any]) -> dict[str, Any] | None:
    """The viewer's value for the run in a folder; None where it wrote no comparison."""
    path = folder / COMPARISON
    if "panels" not in metrics or not path.is_file():
        return None
    file = gr.FileData(path=str(path), mime_type="video/mp4", orig_name=path.name)
    return {"video": file.model_dump(), "panels": metrics["panels"], "sound": facts(path).sound}
