"""Train the built-in teachers of the video job: one command, from a seed, resumable.

    python -m miniature.train

Draws the small world, then trains the autoencoder, the image model and the motion adapter, each
from where its checkpoint in the work folder stops. Sample sheets are saved beside the checkpoints.
What ships is written to the assets folder when a stage is complete.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from miniature.autoencoder import train_autoencoder
from miniature.latents import render
from miniature.teachers import train_image, train_motion

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "miniature"


@dataclass(frozen=True)
class Train:
    """Train the built-in teachers of the video job."""

    work: Path = Path("work")
    """Folder for drawn scenes, latents, checkpoints and sample sheets; needs about 6 GB."""
    assets: Path = ASSETS
    """Folder that the finished models are written to."""
    seed: int = 0
    """Seed of the weights, the noise and the order of samples."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where to train."""
    autoencoder_steps: int | None = None
    """Steps of the first stage, instead of the recipe's."""
    image_steps: int | None = None
    """Steps of the second stage, instead of the recipe's."""
    motion_steps: int | None = None
    """Steps of the third stage, instead of the recipe's."""


def main() -> None:
    job = tyro.cli(Train, description=__doc__)
    render(job.work)
    vae = train_autoencoder(job.work, job.seed, job.device, job.autoencoder_steps)
    pipe = train_image(job.work, job.assets / "image", vae, job.seed, job.device, job.image_steps)
    train_motion(job.work, job.assets / "motion", pipe, job.seed, job.device, job.motion_steps)


if __name__ == "__main__":
    main()
