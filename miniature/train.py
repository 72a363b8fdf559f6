"""Train the built-in teachers: one command, from a seed, resumable.

    python -m miniature.train [all|video|mesh]

Video: draws the small world, then trains the autoencoder, the image model and the motion adapter.
Mesh: renders views of labelled meshes, then trains the two stages of the cascade. Each part goes on
where its checkpoint in the work folder stops, from noise or with --refine. Sample sheets are saved
beside the checkpoints. What ships is written to the assets folder when a stage is complete.

The recipes are for a GPU, where they take minutes. On a CPU they take days: ask for fewer steps.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from diffusers import (
    DiffusionPipeline,
    IFPipeline,
    IFSuperResolutionPipeline,
    MotionAdapter,
    StableDiffusionPipeline,
)

from miniature.autoencoder import train_autoencoder
from miniature.cascade_training import PLAN_1, PLAN_2, VIEWS, Plan, train_stage_1, train_stage_2
from miniature.image_training import train_image
from miniature.latents import render
from miniature.motion_training import train_motion
from miniature.styles import words
from miniature.training import checkpoint
from miniature.views import render_views
from pipelines import allocator

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "miniature"


@dataclass(frozen=True)
class Train:
    """Train the built-in teachers."""

    what: tyro.conf.Positional[Literal["all", "video", "mesh"]] = "all"
    """The teachers of which job."""
    work: Path = Path("work")
    """Folder for pictures, latents, checkpoints and sample sheets; needs about 10 GB."""
    assets: Path = ASSETS
    """Folder that the finished models are written to."""
    seed: int = 0
    """Seed of the weights, the noise and the order of samples."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where to train."""
    refine: bool = False
    """Start from the models in the assets folder, where their layers fit, instead of from noise.
    The autoencoder stays as it is."""
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
    image, motion = job.assets / "image", job.assets / "motion"
    known = _shipped(StableDiffusionPipeline, image) if job.refine else None
    if known is None:
        vae = train_autoencoder(job.work, job.seed, job.device, job.autoencoder_steps)
    else:
        # The latents are the autoencoder's: another one would make strangers of the teachers.
        vae = known.vae.to(job.device)
    asked = (job.seed, job.device)
    pipe = train_image(job.work, image, vae, *asked, job.image_steps, known)
    known = MotionAdapter.from_pretrained(motion) if job.refine else None
    train_motion(job.work, motion, pipe, *asked, job.motion_steps, known)
    _refined(job.work, "image", "motion")


def train_mesh(job: Train) -> None:
    """Train the teachers of the mesh job."""
    render_views(job.work, VIEWS)
    stage_1, stage_2 = job.assets / "cascade" / "stage_1", job.assets / "cascade" / "stage_2"
    known = _shipped(IFPipeline, stage_1) if job.refine else None
    plan, asked = _with_steps(PLAN_1, job.stage_1_steps), (job.seed, job.device)
    pipe = train_stage_1(job.work, stage_1, words(), *asked, plan, known)
    known = _shipped(IFSuperResolutionPipeline, stage_2) if job.refine else None
    train_stage_2(job.work, stage_2, pipe, *asked, _with_steps(PLAN_2, job.stage_2_steps), known)
    _refined(job.work, "stage_1", "stage_2")


def _refined(work: Path, *stages: str) -> None:
    """The refinement that ends here is over: the next begins from what ships then."""
    for stage in stages:
        checkpoint(work, stage, refines=True).unlink(missing_ok=True)


def _shipped(kind: type[DiffusionPipeline], folder: Path) -> DiffusionPipeline:
    """The pipeline in `folder`, in fp32."""
    pipe = kind.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    return pipe.to(torch.float32)


def _with_steps(plan: Plan, steps: int | None) -> Plan:
    if steps is None:
        return plan
    return replace(plan, recipe=replace(plan.recipe, steps=steps))


def main() -> None:
    job = tyro.cli(Train, prog="python -m miniature.train", description=__doc__)
    if job.refine and job.autoencoder_steps is not None:
        said = "--refine leaves the autoencoder as it is: leave --autoencoder-steps out."
        print(f"error: {said}", file=sys.stderr)
        sys.exit(2)
    allocator.configure()
    if job.what in ("all", "video"):
        train_video(job)
    if job.what in ("all", "mesh"):
        train_mesh(job)


if __name__ == "__main__":
    main()
