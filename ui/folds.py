"""Folded parts of a form: a name, and a sentence that says what is in it before it is opened.

Knows nothing about what is in them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

from pipelines.errors import InputError, RunFailed
from pipelines.teachers.catalog import MeshTeacher, VideoTeacher
from pipelines.teachers.teacher import needs
from ui.wording import on_the_page


def fold(name: str, says: str, elem_id: str | None = None) -> gr.Accordion:
    """A fold, closed; to be filled in a `with`."""
    return gr.Accordion(f"{name}: {says}", open=False, elem_id=elem_id, elem_classes="fold")


def known_words(find: Callable[[str], VideoTeacher | MeshTeacher], name: str) -> str:
    """What a teacher is, what it asks of a machine, and the words it knows.

    find: from its name to the teacher. A run that is opened may name one that is gone by now.
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
