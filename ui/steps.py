"""How many steps a run takes and from which seed: the same row in every tab.

Knows nothing about the presets.
"""

import gradio as gr
from gradio.components import Component


def steps_and_seed(usual: int) -> dict[str, Component]:
    """The row, by the names of the settings. usual: the seed unless another is given."""
    with gr.Row():
        return {
            # The page turns an empty number into 0, so 0 is what "not given" looks like here.
            "steps": gr.Number(
                0, label="Steps", info="0 takes the preset's.", precision=0, min_width=120
            ),
            "seed": gr.Number(
                usual,
                label="Seed",
                info="The same seed repeats the run.",
                precision=0,
                min_width=120,
            ),
            "random_seed": gr.Checkbox(
                False,
                label="New seed each run",
                info="Drawn when it starts, and written here.",
                min_width=200,
            ),
        }
