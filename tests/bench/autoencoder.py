"""How much of a real clip the built-in autoencoder keeps: PSNR at 128x128.

python -m tests.bench.autoencoder CLIP
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from pipelines.media import floats_at, read_clip
from pipelines.teachers.loading import load_video_teacher

SIDE = 128


@dataclass(frozen=True)
class Bench:
    """Encode and decode a clip with the built-in autoencoder."""

    clip: tyro.conf.Positional[Path]
    """Any clip; every frame is brought to 128x128."""


def main() -> None:
    job = tyro.cli(Bench, prog="python -m tests.bench.autoencoder", description=__doc__)
    codec = load_video_teacher("miniature").codec
    frames = floats_at(read_clip(job.clip).frames, (SIDE, SIDE))
    error = (codec.decode(codec.encode(frames)) - frames).square().mean()
    print(f"{len(frames)} frames, PSNR {float(-10 * torch.log10(error)):.2f} dB")


if __name__ == "__main__":
    main()
