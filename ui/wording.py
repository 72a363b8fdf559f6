"""Sentences of the jobs as the page says them: an option of the command line becomes its field.

Knows nothing about when they are said.
"""

import html
import re

FIELDS = {
    "anchor": "Anchor",
    "compile": "Compile the networks",
    "contrast": "Contrast",
    "edit": "Part to paint",
    "end": "End",
    "eta": "From DDS to FlowEdit",
    "focus": "Focus",
    "fusion": "Attention fusion",
    "global": "Paint everything",
    "guidance-source": "Guidance, source",
    "guidance-target": "Guidance, target",
    "joint": "Joint guidance",
    "mask-feather": "Feather",
    "mask-frame": "Frame",
    "mask-grow": "Grow",
    "mask-k": "Smoothing threshold",
    "mask-view": "The file is drawn on the view above",
    "max-faces": "Simplify to faces",
    "moves": "Moves at most",
    "ode": "Step along the noise levels",
    "side": "Working size",
    "start": "Start",
    "steady": "Steadied over",
    "steps": "Steps",
    "teacher": "Teacher",
    "unlike": "Unlike",
    "views": "Views",
}
"""The page's field for each option that a sentence may name."""
_OPTION = re.compile(r"--([a-z][a-z-]*)")


def on_the_page(text: str) -> str:
    """A sentence in the page's own names, with nothing in it that a page would take for markup.

    It may quote what somebody typed, or what is in a file.
    """

    def field(found: re.Match[str]) -> str:
        name = FIELDS.get(found[1])
        return found[0] if name is None else f'"{name}"'

    return html.escape(_OPTION.sub(field, text), quote=False)
