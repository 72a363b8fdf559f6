"""The studio: `python app.py` opens the page.

Assembles the tabs and launches. The teachers load behind the page, so that the page comes first and
the first run does not wait. Runs are kept in ./runs, or in the folder that SCOREBRUSH_RUNS names;
those of visitors for as many days as SCOREBRUSH_KEEP_DAYS says, or for ever.
"""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec

# Read when gradio is imported: the studio asks nothing of the network.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import tyro

# The first of ours, since it is the one that brings ZeroGPU in before torch.
from pipelines import worker
from pipelines.errors import InputError
from pipelines.mesh import PaintMesh
from pipelines.teachers.catalog import mesh_teacher, video_teacher
from pipelines.teachers.loading import is_here, load_mesh_teacher, load_video_teacher
from pipelines.video import EditVideo
from ui.api import api
from ui.examples import EXAMPLES
from ui.folders import base_folder
from ui.keeping import days_kept, keep_house
from ui.left import left_line
from ui.mesh import mesh_tab
from ui.names import names
from ui.places import mesh_place, video_place
from ui.runs import drop_anywhere, runs_tab
from ui.runs_actions import Actions
from ui.serving import NO_RUNS
from ui.theme import CSS, theme
from ui.video import video_tab
from ui.visitors import meet_visitors

HOUR = 3600
INTRODUCTION = "# Scorebrush\nEdit a clip, or paint a part of a mesh, by saying what you want."
MAX_UPLOAD_MB = 200
LAST_PORT = 65535
THREADS = 2 * worker.LONGEST_LINE
"""Whoever waits in line holds one of these, and the rest of the page needs some too."""


@dataclass(frozen=True)
class Studio:
    """Open the studio: edit a clip, or paint a part of a mesh, by saying what you want."""

    host: str | None = None
    """Address to listen at; 0.0.0.0 lets other machines in. This machine alone, unless given."""
    port: int | None = None
    """Port to listen at. The first free one from 7860 on, unless given."""
    mcp: bool = False
    """Offer both jobs as tools for language models too, by the Model Context Protocol."""


def page() -> gr.Blocks:
    """The whole page, not yet launched."""
    # Files of the page's own cache go after a day, also in a session that is still open.
    with gr.Blocks(title="Scorebrush", fill_width=True, delete_cache=(HOUR, 24 * HOUR)) as blocks:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        left_line(("stop", "status"), ("stop-painting", "painting-status"))
        visitor = meet_visitors(blocks)
        opened = gr.State(None)
        with gr.Tabs() as tabs:
            with gr.Tab("Video", id="video"):
                video = video_tab(visitor)
            with gr.Tab("Paint a mesh", id="mesh", elem_id="mesh-tab"):
                mesh = mesh_tab(visitor)
            places = video_place(*video), mesh_place(*mesh)
            actions = Actions(tabs, places, opened)
            with gr.Tab("Runs", id="runs", elem_id="runs-tab") as runs:
                runs_tab(runs, actions, visitor)
        drop_anywhere(actions, visitor)
        names()
        api()
    # Nobody gets past the line by asking for an endpoint without gradio's queue.
    return blocks.queue(default_concurrency_limit=1, api_open=False)


def launch(studio: Studio) -> gr.Blocks:
    """Open the page and return at once. Raises SystemExit with a sentence where it cannot."""
    if studio.port is not None and not 1 <= studio.port <= LAST_PORT:
        print(f"error: There is no port {studio.port}: give 1 to {LAST_PORT}.", file=sys.stderr)
        raise SystemExit(2)
    if studio.mcp and find_spec("mcp") is None:
        raise SystemExit("error: --mcp needs one more package: pip install 'gradio[mcp]'")
    blocks = page()
    try:
        blocks.launch(
            server_name=studio.host,
            server_port=studio.port,
            # None leaves it to gradio's own variable, GRADIO_MCP_SERVER.
            mcp_server=studio.mcp or None,
            theme=theme(),
            css_paths=CSS,
            allowed_paths=[str(base_folder()), str(EXAMPLES)],
            app_kwargs={"dependencies": [NO_RUNS]},
            # Gradio's processes that do nothing but serve files would not heed that.
            num_workers=0,
            max_file_size=f"{MAX_UPLOAD_MB}mb",
            max_threads=THREADS,
            footer_links=["api"],
            # The studio's runs are its own affair; gradio would keep a second list of them.
            run_history=False,
            ssr_mode=False,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise SystemExit(_cannot_listen(studio)) from error
    if studio.mcp and not blocks.mcp_server:
        raise SystemExit(f"error: {blocks.mcp_error} Try: pip install 'gradio[mcp]'")
    return blocks


def _cannot_listen(studio: Studio) -> str:
    where = studio.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    port = "any port from 7860 on" if studio.port is None else f"port {studio.port}"
    return (
        f"error: Cannot listen at {port} of {where}. Another program may hold it, perhaps another "
        "studio. Choose another with --port, or another address with --host."
    )


def prepare() -> None:
    """Load the teachers that are used unless others are chosen.

    One that must be downloaded first waits for the run that says so, but on ZeroGPU, where all that
    a run uses must be there before.
    """
    if worker.ZERO_GPU or is_here(video_teacher(EditVideo.teacher)):
        worker.prepare(lambda: load_video_teacher(EditVideo.teacher))
    if worker.ZERO_GPU or is_here(mesh_teacher(PaintMesh.teacher)):
        worker.prepare(lambda: load_mesh_teacher(PaintMesh.teacher))


def main() -> None:
    studio = tyro.cli(Studio, prog="python app.py", config=(tyro.conf.FlagCreatePairsOff,))
    try:
        days = days_kept()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    if worker.ZERO_GPU:
        # What is on the GPU before the launch is there in every job's process.
        prepare()
    blocks = launch(studio)
    if days is not None:
        keep_house(base_folder(), days)
    if not worker.ZERO_GPU:
        prepare()
    blocks.block_thread()


if __name__ == "__main__":
    main()
