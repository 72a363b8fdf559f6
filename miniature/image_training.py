"""Training the image model and its text encoder, as one, on single frames of the small world.

Most steps are on close-ups of the object. This module knows nothing about motion.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from torch import Tensor
from transformers import CLIPTokenizer

from miniature.denoising import (
    Captioner,
    Captions,
    close_ups,
    for_training,
    middles,
    silence,
    squared_errors,
    timesteps,
)
from miniature.latents import PICTURES, SIDE, encode
from miniature.scenes import caption, sample_scene, words
from miniature.shipping import sheet, ship, write_words
from miniature.teachers import captions_in, scheduler, text_encoder, tokenizer, unet
from miniature.training import Recipe, checkpoint, train, warm_start
from sds.schedules import ddpm

RECIPE = Recipe(steps=6_800, batch=128, rate=1e-3, save_every=300)
"""`batch` is of whole pictures; a close-up counts as a quarter of one."""
CLOSE_UP = 16
"""Side, in latent cells, of a close-up: most objects just fit."""
CLOSE_UPS = 0.8
"""Share of a step's cells that are close-ups'. Most of a picture is background, whose texture no
caption fixes; what words fix is the object."""
OBJECT = 5.0
"""How much a cell of the object counts in the loss, beside one of the background."""
MIDDLE = 622
"""Half of the timesteps are below this one. Where the noise hides less, the picture itself says
what is in it, and nothing is learnt from the words."""


@dataclass(frozen=True, eq=False)
class Frames:
    """The training set, on the device that trains."""

    latents: Tensor
    """fp16 (N, C, SIDE, SIDE), unscaled."""
    covered: Tensor
    """uint8 (N, SIDE, SIDE): how much of each cell is object."""
    captions: Captions

    def batch(
        self, count: int, close: bool, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Random frames (count, C, h, h), share of object (count, 1, h, h), ids (count, TOKENS)."""
        device = generator.device
        picks = torch.randint(len(self.latents), (count,), generator=generator, device=device)
        x, covered = self.latents[picks].float(), self.covered[picks][:, None] / 255
        if close:
            both = torch.cat([x, covered], dim=1)
            both = close_ups(both, middles(covered[:, 0]), CLOSE_UP, generator)
            x, covered = both[:, :-1], both[:, -1:]
        return x, covered, self.captions.of(picks, generator)


def frames_of(vae: AutoencoderKL, clip: CLIPTokenizer, work: Path, device: str) -> Frames:
    """The pictures that `miniature.latents.render` drew, as latents."""
    latents = encode(vae, work / "pictures.npy", PICTURES)
    covered = torch.from_numpy(np.load(work / "pictures.masks.npy"))
    captions = captions_in(work / "pictures.txt", clip, device)
    return Frames(latents.to(device), covered.to(device), captions)


def train_image(
    work: Path,
    folder: Path,
    vae: AutoencoderKL,
    seed: int,
    device: str,
    steps: int | None,
    known: StableDiffusionPipeline | None = None,
) -> StableDiffusionPipeline:
    """Train the image model and its text encoder, and save the whole pipeline to `folder`.

    known: a pipeline whose weights are the start, where they fit.
    """
    torch.manual_seed(seed)
    # Its numbering of the words is what the known weights, or a checkpoint's, were trained on.
    clip = tokenizer(work / "tokenizer") if known is None else known.tokenizer
    frames = frames_of(vae, clip, work, device)
    if known is None:
        std = float(frames.latents[:4000].double().std())
        vae.register_to_config(scaling_factor=round(1 / std, 5))
    text = text_encoder(len(clip), clip.bos_token_id, clip.eos_token_id)
    model = Captioner(text, unet(frames.latents.shape[1])).to(device)
    if known is not None:
        silence(model, warm_start(model, Captioner(known.text_encoder, known.unet).state_dict()))
    for_training(model.denoiser, device)
    recipe = RECIPE if steps is None else replace(RECIPE, steps=steps)
    schedule = ddpm(scheduler().alphas_cumprod, "v_prediction").to(device)
    whole = max(round((1 - CLOSE_UPS) * recipe.batch), 1)
    close_up = max(round(CLOSE_UPS * recipe.batch * (SIDE // CLOSE_UP) ** 2), 1)

    def loss(generator: torch.Generator) -> Tensor:
        close, far = loss_of(close_up, True, generator), loss_of(whole, False, generator)
        return CLOSE_UPS * close + (1 - CLOSE_UPS) * far

    def loss_of(count: int, close: bool, generator: torch.Generator) -> Tensor:
        x, covered, ids = frames.batch(count, close, generator)
        x = (x * vae.config.scaling_factor).contiguous(memory_format=torch.channels_last)
        t = timesteps(len(x), generator, MIDDLE)
        with torch.autocast(x.device.type, torch.bfloat16):
            said = model.text(ids).last_hidden_state

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return model.denoiser(x_t, t, said).sample

        weight = 1 + (OBJECT - 1) * covered
        return squared_errors(schedule, network, x, t, generator, weight / weight.mean()).mean()

    def on_save(averaged: Captioner, step: int) -> None:
        pipe = _pipeline(vae, clip, averaged)
        pipe.save_pretrained(work / "image")
        sheet(_samples(pipe), 8).save(work / "image.png")

    state = checkpoint(work, "image", refines=known is not None)
    train("image", model, loss, recipe, state, seed + 1, on_save)
    ship(work / "image", folder)
    write_words(folder.parent / "words.txt", words())
    return StableDiffusionPipeline.from_pretrained(
        work / "image", safety_checker=None, requires_safety_checker=False
    )


def _pipeline(vae: AutoencoderKL, clip: CLIPTokenizer, model: Captioner) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=model.text,
        tokenizer=clip,
        unet=model.denoiser,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _samples(pipe: StableDiffusionPipeline) -> list[Image.Image]:
    """What it draws for sixteen captions of scenes it has not seen."""
    pipe.set_progress_bar_config(disable=True)
    with torch.autocast(pipe.device.type, torch.bfloat16):
        return pipe(
            [caption(sample_scene("tune", k), motion=False) for k in range(16)],
            num_inference_steps=25,
            guidance_scale=4.0,
            height=128,
            width=128,
            generator=torch.Generator(pipe.device).manual_seed(0),
        ).images
