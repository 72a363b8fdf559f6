"""Folded parts of a form: a name, and a sentence that says what is in it before it is opened.

Knows nothing about what is in them.
"""

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

from pipelines.errors import InputError, RunFailed
from pipelines.teachers.catalog import MeshTeacher, VideoTeacher
from pipelines.teachers.teacher import needs
from ui.wording import on_the_page

Find = Callable[[str], VideoTeacher | MeshTeacher]
"""From a teacher's name to the teacher."""


def fold(name: str, says: str, elem_id: str | None = None) -> gr.Accordion:
    """A fold, closed; to be filled in a `with`."""
    return gr.Accordion(f"{name}: {says}", open=False, elem_id=elem_id, elem_classes="fold")


def words_line(find: Find, name: str, elem_id: str) -> gr.HTML:
    """The words a teacher knows, beside the prompts: a line of them, or all where it is opened."""
    return gr.HTML(_line(find, name), padding=False, elem_id=elem_id, elem_classes="words-line")


def follow_words(line: gr.HTML, chosen: gr.Dropdown, find: Find) -> None:
    """Let a `words_line` follow the teacher that is chosen."""
    chosen.change(
        lambda name: _line(find, name),
        chosen,
        line,
        show_progress="hidden",
        api_visibility="private",
    )


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


def known_words(find: Find, name: str) -> str:
    """What a teacher is, what it asks of a machine, and the words it knows.

    A run that is opened may name one that is gone by now.
    """
    try:
        teacher = find(name)
    except InputError as error:
        return on_the_page(str(error))
    words = "It reads plain English." if teacher.words is None else ", ".join(teacher.words)
    asks = f"Licence: {teacher.licence}. {needs(teacher)}".strip()
    if teacher.words is None:
        asks += " Fetched when it is first used; the run says how much that is."
    return f"{teacher.about}\n\n{asks}\n\n{words}"


def compile_box(value: bool) -> gr.Checkbox:
    """Whether the teacher's networks are compiled."""
    return gr.Checkbox(
        value,
        label="Compile the networks",
        info="A slow start, then faster steps; for large teachers and long runs.",
    )


@contextmanager
def said_on_the_page() -> Iterator[None]:
    """What a user can put right becomes a message on the page."""
    try:
        yield
    except (InputError, RunFailed) as error:
        raise gr.Error(on_the_page(str(error)), print_exception=False) from error
