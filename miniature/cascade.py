"""The built-in cascade: a small stage I and stage II of DeepFloyd IF's shape, on pixels.

    stage I    eps(x_t, t, y)              a caption to a picture of 64x64
    stage II   eps(x_t, t, y, low_s, s)    to one of 128x128, given the small one noised at level s

Both predict eps on the cosine schedule (Nichol and Dhariwal, 2102.09672), as IF does, and read one
text encoder, which is kept in the folder of stage I. They are saved as folders that `IFPipeline`
and `IFSuperResolutionPipeline` load as they load the large ones. This module knows nothing about
how they are trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import (
    DDPMScheduler,
    IFPipeline,
    IFSuperResolutionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import T5Config, T5EncoderModel, T5Tokenizer

TOKENS = 77
"""IFPipeline pads every prompt to this length, and the networks see the padding."""
WIDTH = 128
"""Of the text embeddings."""


@dataclass(frozen=True)
class Stage:
    """The shape of one stage."""

    size: int
    """Pixels along each side of its pictures."""
    channels: tuple[int, ...]
    """Of every resolution, the finest first; attention at the last only."""
    groups: int
    """Of the group norms."""
    embedding: int
    """Width of the timestep's embedding."""


STAGE_1 = Stage(64, (32, 64, 96, 128), groups=16, embedding=256)
STAGE_2 = Stage(128, (32, 64, 96, 128), groups=8, embedding=128)


def tokenizer(words: Sequence[str]) -> T5Tokenizer:
    """A T5 tokenizer in which every word is one token, and any other word is unknown."""
    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>", "▁")]
    vocabulary = [*special, *((f"▁{word}", -1.0) for word in words)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=TOKENS)


def text_encoder(vocabulary: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=WIDTH,
            d_kv=WIDTH // 4,
            d_ff=2 * WIDTH,
            num_layers=3,
            num_heads=4,
            dropout_rate=0.0,
        )
    )


def unet(stage: Stage, low_resolution: bool) -> UNet2DConditionModel:
    """A denoiser of pictures, which also sees a noised small picture and its level if asked to.

    As in IF, the words reach every layer twice: through cross-attention, and pooled into the
    embedding of the timestep.

    IF's pipelines expect three more channels with a variance. These stay zero, and the scheduler
    takes the variance from its formula.
    """
    plain = len(stage.channels) - 1
    model = UNet2DConditionModel(
        sample_size=stage.size,
        in_channels=6 if low_resolution else 3,
        out_channels=6,
        block_out_channels=stage.channels,
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * plain,
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=stage.groups,
        time_embedding_dim=stage.embedding,
        class_embed_type="timestep" if low_resolution else None,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    with torch.no_grad():
        model.conv_out.weight[3:] = 0
        model.conv_out.bias[3:] = 0
    return model


def scheduler() -> DDPMScheduler:
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="fixed_small")


def tokens(t5: T5Tokenizer, captions: Sequence[str]) -> Tensor:
    """Token ids of captions: (N, TOKENS)."""
    said = t5(list(captions), padding="max_length", max_length=TOKENS, return_tensors="pt")
    return said.input_ids


def embed(text: T5EncoderModel, ids: Tensor) -> Tensor:
    """Captions, as token ids (N, TOKENS), embedded as IFPipeline does it: (N, TOKENS, WIDTH)."""
    with torch.autocast(text.device.type, torch.bfloat16):
        return text(ids, attention_mask=ids != text.config.pad_token_id).last_hidden_state


def stage_1_pipeline(
    t5: T5Tokenizer, text: T5EncoderModel, denoiser: UNet2DConditionModel
) -> IFPipeline:
    return IFPipeline(
        tokenizer=t5,
        text_encoder=text,
        unet=denoiser,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def stage_2_pipeline(denoiser: UNet2DConditionModel) -> IFSuperResolutionPipeline:
    """Without a text encoder, as DeepFloyd's are used: prompts are embedded by stage I's."""
    return IFSuperResolutionPipeline(
        tokenizer=None,
        text_encoder=None,
        unet=denoiser,
        scheduler=scheduler(),
        image_noising_scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def draw(pipe: IFPipeline, captions: list[str]) -> Tensor:
    """Samples of stage I: (N, 3, h, w) in [-1, 1]."""
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator(pipe.device).manual_seed(0)
    with torch.autocast(pipe.device.type, torch.bfloat16):
        return pipe(
            captions,
            num_inference_steps=25,
            guidance_scale=4.0,
            generator=generator,
            output_type="pt",
            clean_caption=False,
        ).images.float()


def enlarge(
    larger: IFSuperResolutionPipeline, pipe: IFPipeline, small: Tensor, captions: list[str]
) -> Tensor:
    """Samples of stage II for those of stage I: (N, 3, H, W) in [-1, 1]."""
    larger.set_progress_bar_config(disable=True)
    generator = torch.Generator(larger.device).manual_seed(0)
    with torch.autocast(larger.device.type, torch.bfloat16):
        said, empty = pipe.encode_prompt(captions)
        return larger(
            image=small,
            prompt_embeds=said,
            negative_prompt_embeds=empty,
            num_inference_steps=15,
            noise_level=100,
            generator=generator,
            output_type="pt",
        ).images.float()
