"""Stages two and three: a Stable-Diffusion-shaped image model, and a motion adapter on top of it.

Both predict v (Salimans and Ho, 2202.00512), which a small model learns better than eps at high
noise, on the schedule of Stable Diffusion. They are saved as diffusers folders, so that
`StableDiffusionPipeline` and `AnimateDiffPipeline` load them as they load the large ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    MotionAdapter,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNetMotionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from miniature.latents import CLIPS, FIRST_CLIP, PICTURES, SIDE, encode
from miniature.scenes import caption, sample_scene, training_caption, words
from miniature.training import Recipe, train, warm_start
from sds.schedules import Schedule, add_noise, ddpm, target

IMAGE_RECIPE = Recipe(steps=8_500, batch=32, rate=8e-4, save_every=500)
MOTION_RECIPE = Recipe(steps=400, batch=4, rate=1.5e-3, warmup=30, save_every=60)
TOKENS = 16
UNCONDITIONAL = 0.1
WIDTH = 128
CLOSE_UP = 16
"""Side, in latent cells, of a close-up: most objects just fit."""
JITTER = 4
CLOSE_UPS = 0.75
"""Share of steps on close-ups, four times as many pictures each, for the same price. Most of a
picture is background, whose texture no caption fixes; what words fix is the object."""
ADDED = "add_embedding.norm2"
"""The last layer of the pooled words, by diffusers' name."""

Network = Callable[[Tensor, Tensor], Tensor]
"""x_t (N, C, ...), t (N,) -> what it predicts, like x_t."""


def tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer in which every word of the grammar is one token."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=10_000,
        min_frequency=1,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz"),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(words())] * 2, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    bpe.model.save(str(folder))
    clip = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS
    )
    clip.save_pretrained(folder)
    return clip


def text_encoder(vocabulary: int, start: int, end: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            projection_dim=WIDTH,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
        )
    )


def unet(channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(64, 96, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def silence(model: nn.Module, names: Sequence[str]) -> None:
    """Let blocks whose parameters are among `names` begin as nothing: what they add is 0."""
    for name, parameter in model.named_parameters():
        last = ("attentions" in name and "proj_out" in name) or ADDED in name
        if last and name in names:
            nn.init.zeros_(parameter)


class Captioner(nn.Module):
    """Text encoder and denoiser trained as one."""

    def __init__(self, text: CLIPTextModel, denoiser: nn.Module) -> None:
        super().__init__()
        self.text, self.denoiser = text, denoiser


def tokens(clip: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids of captions: (N, TOKENS)."""
    return clip(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids


def _captions(numbers: list[int], generator: torch.Generator) -> list[str]:
    """A fresh caption for each scene, some of them empty (classifier-free guidance)."""
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    rng = np.random.default_rng(seed)
    said = [training_caption(sample_scene("train", k), rng) for k in numbers]
    return ["" if rng.uniform() < UNCONDITIONAL else text for text in said]


def timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Logit-normal t in 0..999 (Esser et al., 2403.03206): most at the noise that edits visit."""
    u = torch.randn(count, generator=generator, device=generator.device)
    return (1000 * torch.sigmoid(u - 0.2)).long().clamp(max=999)


def squared_errors(
    schedule: Schedule, model: Network, x: Tensor, t: Tensor, generator: torch.Generator
) -> Tensor:
    """Mean squared error of what the network says about x (N, C, ...) noised at t (N,): (N,)."""
    eps = torch.randn(x.shape, generator=generator, device=x.device)
    x_t = add_noise(schedule, x, eps, t)
    with torch.autocast(x.device.type, torch.bfloat16):
        output = model(x_t, t)
    return (output.float() - target(schedule, x, eps, t)).square().flatten(1).mean(1)


def close_ups(x: Tensor, covered: Tensor, generator: torch.Generator) -> Tensor:
    """A square of CLOSE_UP cells about the object of each picture: (N, C, CLOSE_UP, CLOSE_UP).

    x (N, C, h, w), covered (N, h, w) in [0, 1], the object's cells. Its middle lies within JITTER
    cells of the square's, unless the picture's edge is in the way.
    """
    side = x.shape[-1]
    grid = torch.arange(side, device=x.device) + 0.5
    total = covered.sum((1, 2)).clamp(min=1e-6)
    middle = torch.stack(
        [(covered.sum(2) * grid).sum(1) / total, (covered.sum(1) * grid).sum(1) / total], dim=1
    )
    jitter = torch.rand(middle.shape, generator=generator, device=x.device) * 2 - 1
    corner = (middle + JITTER * jitter - CLOSE_UP / 2).round().long().clamp(0, side - CLOSE_UP)
    return torch.stack(
        [
            row[:, i : i + CLOSE_UP, j : j + CLOSE_UP]
            for row, (i, j) in zip(x, corner.tolist(), strict=True)
        ]
    )


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
    latents = encode(vae, work / "pictures.npy", PICTURES)
    masks = np.load(work / "pictures.masks.npy")
    if known is None:
        std = float(np.std(latents[:4000], dtype=np.float64))
        vae.register_to_config(scaling_factor=round(1 / std, 5))
    clip = tokenizer(work / "tokenizer")
    text = text_encoder(len(clip), clip.bos_token_id, clip.eos_token_id)
    model = Captioner(text, unet(latents.shape[1]))
    if known is not None:
        silence(model, warm_start(model, Captioner(known.text_encoder, known.unet).state_dict()))
    # Plain products: on a CPU the fused attention is slow on the way back.
    model.denoiser.set_attn_processor(AttnProcessor())
    model.to(device, memory_format=torch.channels_last)
    recipe = IMAGE_RECIPE if steps is None else Recipe(steps, IMAGE_RECIPE.batch, IMAGE_RECIPE.rate)
    schedule = ddpm(scheduler().alphas_cumprod, "v_prediction")

    def loss(generator: torch.Generator) -> Tensor:
        draw = torch.rand((), generator=generator, device=device)
        close = float(draw) < CLOSE_UPS
        batch = recipe.batch * (SIDE // CLOSE_UP) ** 2 if close else recipe.batch
        picks = torch.randint(PICTURES, (batch,), generator=generator, device=device)
        rows = picks.numpy(force=True)
        x = torch.from_numpy(latents[rows]).to(device).float() * vae.config.scaling_factor
        if close:
            x = close_ups(x, torch.from_numpy(masks[rows]).to(device) / 255, generator)
        t = timesteps(batch, generator)
        ids = tokens(clip, _captions(picks.tolist(), generator)).to(device)
        with torch.autocast(x.device.type, torch.bfloat16):
            said = model.text(ids).last_hidden_state
        x = x.contiguous(memory_format=torch.channels_last)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return model.denoiser(x_t, t, said).sample

        return squared_errors(schedule, network, x, t, generator).mean()

    def on_save(averaged: Captioner, step: int) -> None:
        pipe = StableDiffusionPipeline(
            vae=vae,
            text_encoder=averaged.text,
            tokenizer=clip,
            unet=averaged.denoiser,
            scheduler=scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipe.save_pretrained(work / "image")
        pipe.set_progress_bar_config(disable=True)
        prompts = [caption(sample_scene("tune", k), motion=False) for k in range(16)]
        with torch.autocast(device, torch.bfloat16):
            samples = pipe(
                prompts,
                num_inference_steps=25,
                guidance_scale=4.0,
                height=128,
                width=128,
                generator=torch.Generator(device).manual_seed(0),
            ).images
        sheet(samples, 8).save(work / "image.png")

    train("image", model, loss, recipe, work / "image.ckpt", seed + 1, on_save)
    ship(work / "image", folder)
    write_words(folder.parent / "words.txt", words())
    return StableDiffusionPipeline.from_pretrained(
        work / "image", safety_checker=None, requires_safety_checker=False
    )


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
    latents = encode(pipe.vae.to(device), work / "clips.npy", CLIPS)
    adapter = MotionAdapter(
        block_out_channels=pipe.unet.config.block_out_channels,
        motion_layers_per_block=1,
        motion_num_attention_heads=4,
        motion_norm_num_groups=16,
        motion_max_seq_length=32,
    )
    for name, parameter in adapter.named_parameters():
        if "proj_out" in name:
            # Starts as the image model, frame by frame, as AnimateDiff (2307.04725) does.
            nn.init.zeros_(parameter)
    if known is not None:
        warm_start(adapter, known.state_dict())
    model = UNetMotionModel.from_unet2d(pipe.unet, adapter).to(device)
    model.freeze_unet2d_params()
    text = pipe.text_encoder.to(device).eval()
    recipe = MOTION_RECIPE
    if steps is not None:
        recipe = Recipe(steps, MOTION_RECIPE.batch, MOTION_RECIPE.rate)
    schedule = ddpm(pipe.scheduler.alphas_cumprod, "v_prediction")

    def loss(generator: torch.Generator) -> Tensor:
        picks = torch.randint(CLIPS, (recipe.batch,), generator=generator, device=device)
        x = torch.from_numpy(latents[picks.numpy(force=True)]).to(device).float()
        x = x * pipe.vae.config.scaling_factor
        t = timesteps(recipe.batch, generator)
        numbers = [FIRST_CLIP + k for k in picks.tolist()]
        ids = tokens(pipe.tokenizer, _captions(numbers, generator)).to(device)
        with torch.no_grad():
            said = text(ids).last_hidden_state.repeat_interleave(x.shape[1], dim=0)
        x = x.transpose(1, 2)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return model(x_t, t, said).sample

        return squared_errors(schedule, network, x, t, generator).mean()

    def on_save(averaged: UNetMotionModel, step: int) -> None:
        averaged.save_motion_modules(work / "motion")

    train("motion", model, loss, recipe, work / "motion.ckpt", seed + 2, on_save)
    adapter = MotionAdapter.from_pretrained(work / "motion")
    adapter.half().save_pretrained(folder, safe_serialization=True)
    return adapter


def ship(trained: Path, folder: Path) -> None:
    """Save a trained pipeline in half precision, every weights file under 10 MB."""
    pipe = DiffusionPipeline.from_pretrained(trained)
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            part.half()
    pipe.save_pretrained(folder, safe_serialization=True, max_shard_size="9MB")


def write_words(path: Path, words: Sequence[str]) -> None:
    """The words that teachers know, one a line."""
    path.write_text("\n".join(words) + "\n")


def sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows of `columns`."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width, rows * height))
    for k, image in enumerate(pictures):
        whole.paste(image, (k % columns * width, k // columns * height))
    return whole
