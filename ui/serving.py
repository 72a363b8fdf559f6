"""No file of a run is served by its own path.

What a handler returns is copied into gradio's cache, under a name that nobody else is told. But
gradio copies only from folders that it serves all files of (`allowed_paths`), and the runs' must be
among them. Knows nothing about whose a run is.
"""

import os
from pathlib import Path

from fastapi import Depends, HTTPException, Request

from ui.folders import base_folder


async def _refuse(request: Request) -> None:
    # Found as gradio finds it: what goes up in it first, then its links.
    asked = request.path_params
    # Gradio has two addresses for a file, `file=` and an older one, `file/`.
    path = Path(os.path.abspath(asked.get("path_or_url") or asked.get("path", "")))
    if path.is_file() and path.resolve().is_relative_to(base_folder()):
        raise HTTPException(403, "A run's files are downloaded from its page.")


NO_RUNS = Depends(_refuse)
"""For the server's `dependencies`: what is asked at every request."""
