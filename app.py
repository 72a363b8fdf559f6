"""The studio: `python app.py` opens the page.

Assembles the tabs and launches. The teachers load behind the page, so that the page comes first and
the first run does not wait. Runs are kept in ./runs, or in the folder that SCOREBRUSH_RUNS names.
"""

import os

# Read when gradio is imported: the studio asks nothing of the network.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from pipelines import worker
from pipelines.catalog import load_mesh_teacher, load_video_teacher
from pipelines.mesh import PaintMesh
from pipelines.video import EditVideo
from ui.folders import base_folder
from ui.mesh import mesh_tab
from ui.theme import CSS, theme
from ui.video import EXAMPLES, video_tab

HOUR = 3600
INTRODUCTION = "# Scorebrush\nEdit a clip, or paint a part of a mesh, by saying what you want."


def page() -> gr.Blocks:
    """The whole page, not yet launched."""
    # Files of the page's own cache go after a day, also in a session that is still open.
    with gr.Blocks(title="Scorebrush", fill_width=True, delete_cache=(HOUR, 24 * HOUR)) as blocks:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        with gr.Tab("Video"):
            video_tab()
        with gr.Tab("Paint a mesh", elem_id="mesh-tab"):
            mesh_tab()
    return blocks.queue(default_concurrency_limit=1)


def main() -> None:
    blocks = page()
    blocks.launch(
        theme=theme(),
        css_paths=CSS,
        allowed_paths=[str(base_folder()), str(EXAMPLES)],
        max_file_size="200mb",
        footer_links=["api"],
        ssr_mode=False,
        prevent_thread_lock=True,
    )
    worker.prepare(lambda: load_video_teacher(EditVideo.teacher))
    worker.prepare(lambda: load_mesh_teacher(PaintMesh.teacher))
    blocks.block_thread()


if __name__ == "__main__":
    main()
