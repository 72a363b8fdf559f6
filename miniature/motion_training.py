"""Training the motion adapter over the frozen image model, on clips of the small world.

This module knows nothing about how the image model was made.
"""

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import MotionAdapter, StableDiffusionPipeline, UNetMotionModel
from torch import Tensor

from miniature.denoising import close_ups, for_training, squared_errors, timesteps
from miniature.latents import CLIPS, FIRST_CLIP, FRAMES, SIDE, encode
from miniature.scenes import centres, sample_scene
from miniature.teachers import captions_in, motion_adapter
from miniature.training import Recipe, checkpoint, train, warm_start
from sds.schedules import ddpm

RECIPE = Recipe(steps=1_000, batch=16, rate=1e-3, save_every=200)
CLOSE_UP = 24
"""Side, in latent cells, of the part of a clip that is seen: it holds the object's whole path."""
MIDDLE = 450
"""Half of the timesteps are below this one: most are at the noise that edits visit."""


def path_middle(number: int) -> tuple[float, float]:
    """The middle of what the object of training scene `number` passes through: row and column."""
    path = centres(sample_scene("train", number), FRAMES)
    across, down = (path.min(0) + path.max(0)) / 2 * SIDE
    return float(down), float(across)


def train_motion(
    work: Path,
    folder: Path,
    pipe: StableDiffusionPipeline,
    seed: int,
    device: str,
    steps: int | None,
    known: MotionAdapter | None = None,
) -> MotionAdapter:
    """Train a motion adapter over the frozen image model, and save it to `folder`.

    known: an adapter whose weights are the start.
    """
    torch.manual_seed(seed)
    latents = encode(pipe.vae.to(device), work / "clips.npy", CLIPS).to(device)
    captions = captions_in(work / "clips.txt", pipe.tokenizer, device)
    middles = torch.tensor([path_middle(FIRST_CLIP + k) for k in range(CLIPS)], device=device)
    adapter = motion_adapter(pipe.unet.config.block_out_channels)
    if known is not None:
        warm_start(adapter, known.state_dict())
    model = UNetMotionModel.from_unet2d(pipe.unet, adapter)
    model.freeze_unet2d_params()
    for_training(model, device)
    text = pipe.text_encoder.to(device).eval()
    recipe = RECIPE if steps is None else replace(RECIPE, steps=steps)
    schedule = ddpm(pipe.scheduler.alphas_cumprod, "v_prediction").to(device)

    def loss(generator: torch.Generator) -> Tensor:
        picks = torch.randint(len(latents), (recipe.batch,), generator=generator, device=device)
        x = latents[picks].float() * pipe.vae.config.scaling_factor
        x = close_ups(x, middles[picks], CLOSE_UP, generator).transpose(1, 2)
        t = timesteps(recipe.batch, generator, MIDDLE)
        ids = captions.of(picks, generator)
        with torch.no_grad():
            said = text(ids).last_hidden_state.repeat_interleave(FRAMES, dim=0)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return model(x_t, t, said).sample

        return squared_errors(schedule, network, x, t, generator).mean()

    def on_save(averaged: UNetMotionModel, step: int) -> None:
        averaged.save_motion_modules(work / "motion")

    state = checkpoint(work, "motion", refines=known is not None)
    train("motion", model, loss, recipe, state, seed + 2, on_save)
    adapter = MotionAdapter.from_pretrained(work / "motion")
    adapter.half().save_pretrained(folder, safe_serialization=True)
    return adapter
