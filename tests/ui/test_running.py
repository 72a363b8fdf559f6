"""What a tab says when a run cannot begin or goes wrong."""

from pathlib import Path

import gradio as gr
import pytest

from pipelines.errors import InputError, LineFull, RunFailed
from pipelines.events import Left, Waiting
from ui.running import Change, in_line, in_line_text, values_of

STATUS, START = 0, 2
"""Where the two stand among a change's values."""


def broken(error):
    yield Change()
    raise error


def told(error):
    """What the page is told before the error, and the error it is shown."""
    values = values_of(lambda: broken(error), Change)
    next(values)
    last = next(values)
    with pytest.raises(Exception) as raised:
        next(values)
    return last, raised.value


@pytest.mark.parametrize(
    "error",
    [
        InputError("There is no clip."),
        RunFailed("The disk is full."),
        LineFull("40 runs are waiting already."),
        # ZeroGPU says so itself when somebody's time is up.
        gr.Error("You have exceeded your quota."),
    ],
)
def test_what_the_user_should_read_is_shown_and_the_page_is_ready_again(error):
    last, shown = told(error)
    words = str(error).strip("'")
    assert words in last[STATUS].value and last[STATUS].props["kind"] == "failed"
    assert last[START].interactive is True
    assert isinstance(shown, gr.Error) and words in shown.message
    assert not shown.print_exception


def test_defect_is_called_one_and_goes_to_the_log():
    error = ZeroDivisionError("inner workings")
    last, shown = told(error)
    assert "defect of the program" in last[STATUS].value
    assert "inner" not in last[STATUS].value
    assert shown is error


def test_words_of_an_error_are_not_markup():
    _, shown = told(InputError("<b>clip</b> & co"))
    assert shown.message == "&lt;b&gt;clip&lt;/b&gt; &amp; co"


def test_line_says_who_is_ahead_and_can_be_left():
    folder = Path("runs/one")
    assert in_line_text(Waiting(2)) == "In line, 2 ahead of you."
    assert "teachers are being loaded" in in_line_text(Waiting(0))
    waiting = in_line(Waiting(2), folder)
    assert waiting["run"] == str(folder) and waiting["stop_button"].interactive is True
    left = in_line(Left(), folder)
    assert left["start_button"].interactive is True and "run" not in left
