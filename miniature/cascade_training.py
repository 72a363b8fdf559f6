"""Training the built-in cascade from rendered views and their captions.

Stage I and the text encoder are trained as one; stage II reads the same encoder, frozen. It learns
from random crops, half the picture's side, and works on whole pictures (Imagen, 2205.11487, section
2.5). This module knows nothing about how the views are rendered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline, UNet2DConditionModel
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import T5Tokenizer

from miniature.cascade import (
    STAGE_1,
    STAGE_2,
    Stage,
    draw,
    embed,
    enlarge,
    scheduler,
    stage_1_pipeline,
    stage_2_pipeline,
    text_encoder,
    tokenizer,
    tokens,
    unet,
)
from miniature.cuts import random_squares
from miniature.denoising import (
    Captioner,
    Captions,
    Network,
    for_training,
    silence,
    squared_errors,
)
from miniature.shipping import sheet, ship, write_words
from miniature.training import Recipe, checkpoint, train, warm_start
from sds.schedules import Schedule, add_noise, at, ddpm

RECIPE_1 = Recipe(steps=4_800, batch=128, rate=8e-4, save_every=300)
RECIPE_2 = Recipe(steps=3_700, batch=64, rate=8e-4, save_every=300)
VIEWS = 65_536
"""Pictures to render: 3.2 GB."""
LARGEST_WEIGHT = 40.0
"""Of a sample in the loss; reached at t = 899."""
EXAMPLES = 8
"""Captions on a sample sheet."""
TILE = 192
"""Pixels along each side of a picture on a sample sheet."""
CHANNELS_LAST = torch.channels_last


@dataclass(frozen=True)
class Plan:
    """One stage's shape, and how it is trained."""

    stage: Stage
    recipe: Recipe


PLAN_1 = Plan(STAGE_1, RECIPE_1)
PLAN_2 = Plan(STAGE_2, RECIPE_2)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The training set, on the device that trains."""

    store: Tensor
    """uint8 (N, 3, S, S)."""
    captions: Captions

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random pictures (count, 3, S, S) in [-1, 1], and token ids (count, TOKENS)."""
        device = generator.device
        picks = torch.randint(len(self.store), (count,), generator=generator, device=device)
        return self.store[picks].float() / 127.5 - 1, self.captions.of(picks, generator)


def read_pictures(work: Path, t5: T5Tokenizer, device: str) -> Pictures:
    """`work/views.npy` and `work/views.txt`, as `miniature.views.render_views` writes them."""
    # Mapped, so that on a CPU only what is picked is read; "c" lets torch believe it may write.
    store = torch.from_numpy(np.load(work / "views.npy", mmap_mode="c"))
    captions = Captions(tokens(t5, read_captions(work))[:, None], tokens(t5, [""])[0])
    return Pictures(store.to(device), captions.to(device))


def read_captions(work: Path) -> list[str]:
    return (work / "views.txt").read_text().splitlines()


def examples(work: Path) -> list[str]:
    """Captions for a sample sheet, from all over the set."""
    captions = read_captions(work)
    return captions[:: max(len(captions) // EXAMPLES, 1)][:EXAMPLES]


def eps_loss(schedule: Schedule, network: Network, x: Tensor, generator: torch.Generator) -> Tensor:
    """The error of eps for pictures x (N, 3, h, w), at timesteps drawn evenly.

    Weighed by 1 / alpha^2, up to LARGEST_WEIGHT: that is the error of v (Salimans and Ho,
    2202.00512, appendix D). Unweighed, high noise would count for next to nothing: eps is nearly
    x_t there, and what a caption says is in the rest.
    """
    t = torch.randint(len(schedule), (len(x),), generator=generator, device=x.device)
    errors = squared_errors(schedule, lambda x_t, t: network(x_t, t)[:, :3], x, t, generator)
    weight = at(schedule.alpha, t, 1).square().reciprocal().clamp(max=LARGEST_WEIGHT)
    return (weight * errors).mean()


def upsampled(x: Tensor, low: int) -> Tensor:
    """Pictures (N, 3, S, S) brought to low x low and back, as IFSuperResolutionPipeline does it."""
    small = interpolate(x, (low, low), mode="area")
    return interpolate(small, x.shape[-2:], mode="bilinear", align_corners=True)


def train_stage_1(
    work: Path,
    folder: Path,
    words: Sequence[str],
    seed: int,
    device: str,
    plan: Plan = PLAN_1,
    known: IFPipeline | None = None,
) -> IFPipeline:
    """Train stage I and the text encoder, and ship them to `folder`, their words beside it.

    known: a pipeline whose weights are the start, where they fit.
    """
    torch.manual_seed(seed)
    t5 = tokenizer(words)
    pictures = read_pictures(work, t5, device)
    stage, recipe = plan.stage, plan.recipe
    model = Captioner(text_encoder(len(t5)), unet(stage, low_resolution=False)).to(device)
    if known is not None:
        silence(model, warm_start(model, Captioner(known.text_encoder, known.unet).state_dict()))
    for_training(model.denoiser, device)
    schedule = ddpm(scheduler().alphas_cumprod).to(device)

    def loss(generator: torch.Generator) -> Tensor:
        x, ids = pictures.batch(recipe.batch, generator)
        x = interpolate(x, (stage.size, stage.size), mode="area")
        said = embed(model.text, ids)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return model.denoiser(x_t.contiguous(memory_format=CHANNELS_LAST), t, said).sample

        return eps_loss(schedule, network, x, generator)

    def on_save(averaged: Captioner, step: int) -> None:
        pipe = stage_1_pipeline(t5, averaged.text, averaged.denoiser)
        pipe.save_pretrained(work / "stage_1")
        captions = examples(work)
        sheet(_tiles(draw(pipe, captions), captions), 4).save(work / "stage_1.png")

    state = checkpoint(work, "stage_1", refines=known is not None)
    averaged = train("stage_1", model, loss, recipe, state, seed + 3, on_save)
    ship(work / "stage_1", folder)
    write_words(folder.parent / "words.txt", words)
    return stage_1_pipeline(t5, averaged.text, averaged.denoiser)


def train_stage_2(
    work: Path,
    folder: Path,
    pipe: IFPipeline,
    seed: int,
    device: str,
    plan: Plan = PLAN_2,
    known: IFSuperResolutionPipeline | None = None,
) -> None:
    """Train stage II with the text encoder of stage I, and ship it to `folder`.

    known: a pipeline whose weights are the start, where they fit.
    """
    torch.manual_seed(seed)
    pictures, stage, recipe = read_pictures(work, pipe.tokenizer, device), plan.stage, plan.recipe
    low, side = pipe.unet.config.sample_size, stage.size // 2
    model = unet(stage, low_resolution=True)
    if known is not None:
        silence(model, warm_start(model, known.unet.state_dict()))
    for_training(model, device)
    text = pipe.text_encoder.to(device)
    schedule = ddpm(scheduler().alphas_cumprod).to(device)

    def loss(generator: torch.Generator) -> Tensor:
        x, ids = pictures.batch(recipe.batch, generator)
        both = torch.cat([x, upsampled(x, low)], dim=1)
        x, up = random_squares(both, side, generator).chunk(2, dim=1)
        s = torch.randint(len(schedule), (len(x),), generator=generator, device=device)
        eps = torch.randn(up.shape, generator=generator, device=device)
        low_s = add_noise(schedule, up, eps, s)
        with torch.no_grad():
            said = embed(text, ids)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            seen = torch.cat([x_t, low_s], dim=1).contiguous(memory_format=CHANNELS_LAST)
            return model(seen, t, said, class_labels=s).sample

        return eps_loss(schedule, network, x, generator)

    def on_save(averaged: UNet2DConditionModel, step: int) -> None:
        larger = stage_2_pipeline(averaged)
        larger.save_pretrained(work / "stage_2")
        captions = examples(work)
        small = draw(pipe, captions)
        large = enlarge(larger, pipe, small, captions)
        pairs = zip(_tiles(small, captions), _tiles(large, captions), strict=True)
        sheet([tile for pair in pairs for tile in pair], 4).save(work / "stage_2.png")

    state = checkpoint(work, "stage_2", refines=known is not None)
    train("stage_2", model, loss, recipe, state, seed + 4, on_save)
    ship(work / "stage_2", folder)


def _tiles(pictures: Tensor, captions: list[str]) -> list[Image.Image]:
    """Pictures (N, 3, h, w) in [-1, 1], enlarged, over their captions."""
    levels = (pictures.clamp(-1, 1) * 127.5 + 127.5).byte().permute(0, 2, 3, 1).numpy(force=True)
    tiles = []
    for picture, caption in zip(levels, captions, strict=True):
        tile = Image.new("RGB", (TILE, TILE + 34), "white")
        tile.paste(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.NEAREST))
        ImageDraw.Draw(tile).text((3, TILE + 2), "\n".join(wrap(caption, 31)), "black")
        tiles.append(tile)
    return tiles
