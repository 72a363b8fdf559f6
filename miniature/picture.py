"""The moving picture at the top of the README: the studio's examples and what came of them.

    python -m miniature.picture

The clips above, what `miniature.examples` made of them below.
"""

import json

import torch
import tyro
from torch import Tensor

from miniature.examples import FOLDER, RATE
from pipelines.media import read_clip, write_preview

PICTURE = FOLDER.parent / "page" / "examples.webp"


def edited(example: dict[str, str]) -> Tensor:
    """The clip over its edit: uint8 (F, 2 H, W, 3)."""
    clip, result = FOLDER / example["clip"], FOLDER / example["result"] / "result.mp4"
    return torch.cat([read_clip(clip).frames, read_clip(result).frames], dim=1)


def main() -> None:
    examples = json.loads((FOLDER / "examples.json").read_text())
    write_preview(PICTURE, torch.cat([edited(example) for example in examples], dim=2), RATE)


if __name__ == "__main__":
    tyro.cli(main, prog="python -m miniature.picture", description=__doc__)
