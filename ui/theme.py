"""How the studio looks. Fonts are the system's own, so that nothing is fetched.

Knows nothing about what is shown.
"""

from pathlib import Path

import gradio as gr

PAGE = Path(__file__).resolve().parent.parent / "assets" / "page"
"""Templates and scripts.

A template names what may change in Handlebars' braces: gradio 6.31 empties the properties of a
`gr.HTML` that is among a handler's outputs before its tab is first seen, and in `${}` a name that
is missing is an error.
"""
CSS = PAGE / "page.css"


def theme() -> gr.themes.Base:
    """Calm colours for dark and light, system fonts."""
    return gr.themes.Base(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        # Gradio's own is too pale to be read easily.
        body_text_color_subdued="*neutral_500",
        input_placeholder_color="*neutral_500",
        button_secondary_text_color="*neutral_800",
        # By night an error looks like any other sentence, and an empty box like none.
        error_text_color_dark="#fca5a5",
        checkbox_border_color_dark="*neutral_500",
        block_border_width="1px",
        block_shadow="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
    )
