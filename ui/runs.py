"""The Runs tab: a visitor's past runs, and what can be done with one.

Knows nothing about what the actions do (`ui.runs_actions`) or about the jobs.
"""

from collections.abc import Mapping, Sequence

import gradio as gr
from gradio.components import Component

from ui.as_command import command_box, copies
from ui.running import into_sight
from ui.runs_actions import Actions, ask_to_delete, delete, keep, listed, pack, picked
from ui.runs_list import DETAIL, heading
from ui.theme import PAGE

RESULTS = [".mp4", ".glb"]
_FETCH = "() => document.getElementById('run-zip').click()"
_QUIET = {"show_progress": "hidden", "api_visibility": "private"}


def runs_tab(tab: gr.Tab, actions: Actions, visitor: gr.BrowserState) -> None:
    """Build the tab's blocks inside the current context, which is `tab`'s, and wire them."""
    names, chosen = gr.State([]), gr.State(None)
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            gallery, dropped = _list()
        with gr.Column(scale=2, min_width=320):
            detail = _detail()
    # Pressed by the page once the zip is there.
    zip_file = gr.DownloadButton("Zip", visible="hidden", elem_id="run-zip")
    shown = [names, gallery, chosen, *(detail[name] for name in DETAIL)]
    mine = [chosen, visitor]
    ends = [place.outputs["ended_at"].change for place in actions.places]
    tab.select(listed, mine, shown, queue=False, **_QUIET)
    gr.on(ends, listed, mine, shown, queue=False, trigger_mode="always_last", **_QUIET)
    picks = gallery.select(picked, [names, visitor], shown[2:], queue=False, **_QUIET)
    picks.success(None, js=into_sight("#about-run"), api_visibility="private")
    _wire_files(detail, mine, shown, zip_file)
    _wire_places(actions, detail, mine)
    _wire_dropped(actions, dropped, visitor)


def drop_anywhere(actions: Actions, visitor: gr.BrowserState) -> None:
    """Let results be dropped anywhere on the page: outside of all tabs, since a tab is not there
    before it is first opened."""
    dropped = gr.File(label="Result", file_types=RESULTS, visible="hidden", elem_id="dropped")
    gr.HTML("", js_on_load=(PAGE / "drop.js").read_text(), target="dropped", visible="hidden")
    _wire_dropped(actions, dropped, visitor)


def _list() -> tuple[gr.Gallery, gr.File]:
    gallery = gr.Gallery(
        label=heading(0, 0),
        columns=3,
        object_fit="contain",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="past-runs",
    )
    dropped = gr.File(
        label="A result made here: its settings come back",
        file_types=RESULTS,
        height=160,
        elem_id="restore",
    )
    return gallery, dropped


def _detail() -> dict[str, Component]:
    """What is known about the chosen run, and its buttons, by their names in DETAIL."""

    def button(text: str, name: str, **how: str) -> gr.Button:
        look = {"visible": False, "size": "md", "min_width": 100} | how
        return gr.Button(text, elem_id=f"run-{name}", **look)

    about = gr.Markdown("", elem_id="about-run")
    with gr.Row():
        reopen = button("Open", "open", variant="primary")
        resume = button("Resume", "resume")
        repeat = button("Repeat", "repeat")
    with gr.Row():
        zipped = button("Download all", "pack")
        ask = button("Delete", "delete")
        sure = button("Delete for good", "delete-sure", variant="stop")
        kept = button("Keep it", "delete-not")
    command = command_box("The same on the command line", "run-command", visible=False)
    copy = button("Copy", "copy")
    copies(copy, command)
    made = (about, reopen, resume, repeat, zipped, ask, sure, kept, command, copy)
    return dict(zip(DETAIL, made, strict=True))


def _wire_files(
    detail: Mapping[str, Component],
    mine: Sequence[Component],
    shown: Sequence[Component],
    zip_file: gr.DownloadButton,
) -> None:
    asked = [detail[name] for name in ("ask", "sure", "keep")]
    detail["ask"].click(ask_to_delete, None, asked, queue=False, **_QUIET)
    detail["keep"].click(keep, None, asked, queue=False, **_QUIET)
    detail["sure"].click(delete, list(mine), list(shown), **_QUIET)
    packed = detail["pack"].click(
        pack,
        list(mine),
        zip_file,
        show_progress="minimal",
        show_progress_on=detail["about"],
        api_visibility="private",
    )
    packed.success(None, js=_FETCH, api_visibility="private")


def _wire_places(
    actions: Actions, detail: Mapping[str, Component], mine: Sequence[Component]
) -> None:
    """What is shown in the tab that the run was made in."""
    named = {"reopen": actions.reopen, "resume": actions.resume, "repeat": actions.repeat}
    for name, handler in named.items():
        detail[name].click(None, js=into_sight(".outcome"), api_visibility="private")
        called = detail[name].click(
            handler,
            [*mine, *actions.running],
            actions.outputs,
            # The line is the worker's: it is shown, and it ends.
            concurrency_limit=None,
            # A run may be under way in the other tab, or the same one: then it is said.
            trigger_mode="multiple",
            **_QUIET,
        )
        if name == "reopen":
            called.success(actions.show, [actions.opened, mine[1]], actions.outputs, **_QUIET)


def _wire_dropped(actions: Actions, dropped: gr.File, visitor: gr.BrowserState) -> None:
    restored = dropped.upload(
        actions.restore, [dropped, visitor, *actions.running], actions.outputs, **_QUIET
    )
    restored.success(actions.show, [actions.opened, visitor], actions.outputs, **_QUIET)
    # Ready for the next one, whatever came of it: gradio's `then` leaves out what fails.
    for ended in (restored.success, restored.failure):
        ended(lambda: None, None, dropped, **_QUIET)
