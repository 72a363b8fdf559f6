"""What a click on an example does, in either tab.

Knows nothing about what an example holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.teachers.catalog import ASSETS
from ui.running import expect_idle
from ui.wording import said_on_the_page

EXAMPLES = ASSETS / "examples"
"""Their files, and those that were made of them."""


def open_on_click(
    samples: gr.Dataset,
    opened: Callable[[int], dict[str, Any]],
    shown: Mapping[str, Component],
    names: Sequence[str],
) -> None:
    """A click on an example fills in what was asked and shows what came of it, while nothing runs.

    opened: from an example's number to new values of the tab's components, by their names, which
    are `names`. shown: the components by name, `run` among them.
    """

    def open_one(index: int, run: str | None) -> dict[Component, Any]:
        with said_on_the_page():
            expect_idle(run)
        return {shown[name]: value for name, value in opened(index).items()}

    samples.click(
        open_one,
        [samples, shown["run"]],
        [shown[name] for name in names],
        show_progress="hidden",
        api_visibility="private",
    )
