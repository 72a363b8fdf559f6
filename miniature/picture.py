"""The moving picture at the top of the README: the studio's examples, edited by the product.

    python -m miniature.picture

The clips above, what the standard preset makes of them below. Takes a few minutes.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from miniature.examples import FOLDER, RATE
from pipelines.events import Done
from pipelines.media import read_clip, write_preview
from pipelines.video import EditVideo, edit_video

PICTURE = FOLDER.parent / "page" / "examples.webp"


def edited(example: dict[str, str]) -> Tensor:
    """The clip over its edit: uint8 (F, 2 H, W, 3)."""
    clip = FOLDER / example["clip"]
    with TemporaryDirectory() as folder:
        job = EditVideo(clip, example["source"], example["target"], Path(folder) / "run")
        done = next(event for event in edit_video(job) if isinstance(event, Done))
        return torch.cat([read_clip(clip).frames, read_clip(done.result).frames], dim=1)


def main() -> None:
    examples = json.loads((FOLDER / "examples.json").read_text())
    write_preview(PICTURE, torch.cat([edited(example) for example in examples], dim=2), RATE)


if __name__ == "__main__":
    main()
