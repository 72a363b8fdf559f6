"""What the page says of a teacher: the words it knows, what it is, what it asks of a machine.

Knows nothing about how a teacher is loaded.
"""

import html
from collections.abc import Callable, Iterable
from functools import partial

import gradio as gr
from gradio.components import Component

from pipelines.errors import InputError
from pipelines.mesh import PaintMesh
from pipelines.teachers.catalog import MeshTeacher, VideoTeacher
from pipelines.teachers.teacher import needs
from pipelines.video import EditVideo
from ui.folds import fold
from ui.wording import on_the_page

Find = Callable[[str], VideoTeacher | MeshTeacher]
"""From a teacher's name to the teacher."""


def words_line(find: Find, name: str, elem_id: str) -> gr.HTML:
    """The words a teacher knows, beside the prompts: a line of them, or all where it is opened."""
    return gr.HTML(_line(find, name), padding=False, elem_id=elem_id, elem_classes="words-line")


def follow_words(line: gr.HTML, chosen: gr.Dropdown, find: Find) -> None:
    """Let a `words_line` follow the teacher that is chosen."""
    _follow(chosen, partial(_line, find), line)


def teacher_fold(
    what: str, names: Iterable[str], find: Find, job: type[EditVideo | PaintMesh]
) -> dict[str, Component]:
    """Which teacher judges, and how its networks run. what: the thing that is judged."""
    with fold("Teacher", f"which models judge the {what}."):
        chosen = gr.Dropdown(list(names), value=job.teacher, label="Teacher", filterable=False)
        said = gr.Markdown(_about(find, job.teacher), elem_classes="words")
        _follow(chosen, partial(_about, find), said)
        compile = gr.Checkbox(
            job.compile,
            label="Compile the networks",
            info="A slow start, then faster steps; for large teachers and long runs.",
        )
    return {"teacher": chosen, "compile": compile}


def _follow(chosen: gr.Dropdown, says: Callable[[str], str], shown: Component) -> None:
    chosen.change(says, chosen, shown, show_progress="hidden", api_visibility="private")


def _line(find: Find, name: str) -> str:
    """Empty for a teacher that reads plain English, and for one that is gone."""
    try:
        words = find(name).words
    except InputError:
        words = None
    if words is None:
        return ""
    said = html.escape(", ".join(words))
    return f"<details><summary>It knows these words only: {said}.</summary></details>"


def _about(find: Find, name: str) -> str:
    """What a teacher is, what it asks of a machine, and how it reads.

    A run that is opened may name one that is gone by now.
    """
    try:
        teacher = find(name)
    except InputError as error:
        return on_the_page(str(error))
    asks = f"Licence: {teacher.licence}. {needs(teacher)}".strip()
    reads = "It knows few words: they stand below the prompts."
    if teacher.words is None:
        asks += " Fetched when it is first used; the run says how much that is."
        reads = "It reads plain English."
    return f"{teacher.about}\n\n{asks}\n\n{reads}"
