"""Train the built-in teachers: one command, from a seed, resumable.

    python -m miniature.train [all|video|mesh]

Video: draws the small world, then trains the autoencoder, the image model and the motion adapter.
Mesh: renders views of labelled meshes, then trains the two stages of the cascade. Each part goes on
where its checkpoint in the work folder stops. Sample sheets are saved beside the checkpoints. What
ships is written to the assets folder when a stage is complete.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from miniature.autoencoder import train_autoencoder
from miniature.cascade_training import PLAN_1, PLAN_2, VIEWS, Plan, train_stage_1, train_stage_2
from miniature.latents import render
from miniature.styles import words
from miniature.teachers import train_image, train_motion
from miniature.views import render_views

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "miniature"


@dataclass(frozen=True)
class Train:
    """Train the built-in teachers."""

    what: tyro.conf.Positional[Literal["all", "video", "mesh"]] = "all"
    """The teachers of which job."""
    work: Path = Path("work")
    """Folder for pictures, latents, checkpoints and sample sheets; needs about 8 GB."""
    assets: Path = ASSETS
    """Folder that the finished models are written to."""
    seed: int = 0
    """Seed of the weights, the noise and the order of samples."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where to train."""
    autoencoder_steps: int | None = None
    """Steps of the autoencoder, instead of the recipe's."""
    image_steps: int | None = None
    """Steps of the image model, instead of the recipe's."""
    motion_steps: int | None = None
    """Steps of the motion adapter, instead of the recipe's."""
    stage_1_steps: int | None = None
    """Steps of the cascade's first stage, instead of the recipe's."""
    stage_2_steps: int | None = None
    """Steps of the cascade's second stage, instead of the recipe's."""


def train_video(job: Train) -> None:
    """Train the teachers of the video job."""
    render(job.work)
    vae = train_autoencoder(job.work, job.seed, job.device, job.autoencoder_steps)
    pipe = train_image(job.work, job.assets / "image", vae, job.seed, job.device, job.image_steps)
    train_motion(job.work, job.assets / "motion", pipe, job.seed, job.device, job.motion_steps)


def train_mesh(job: Train) -> None:
    """Train the teachers of the mesh job."""
    render_views(job.work, VIEWS)
    folder = job.assets / "cascade"
    plan = _with_steps(PLAN_1, job.stage_1_steps)
    pipe = train_stage_1(job.work, folder / "stage_1", words(), job.seed, job.device, plan)
    plan = _with_steps(PLAN_2, job.stage_2_steps)
    train_stage_2(job.work, folder / "stage_2", pipe, job.seed, job.device, plan)


def _with_steps(plan: Plan, steps: int | None) -> Plan:
    if steps is None:
        return plan
    return replace(plan, recipe=replace(plan.recipe, steps=steps))


def main() -> None:
    job = tyro.cli(Train, description=__doc__)
    if job.what in ("all", "video"):
        train_video(job)
    if job.what in ("all", "mesh"):
        train_mesh(job)


if __name__ == "__main__":
    main()
