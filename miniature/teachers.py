"""The shapes of the video teachers: a Stable-Diffusion-shaped image model, and its motion adapter.

Both predict v (Salimans and Ho, 2202.00512), which a small model learns better than eps at high
noise, on the schedule of Stable Diffusion. They are saved as diffusers folders, so that
`StableDiffusionPipeline` and `AnimateDiffPipeline` load them as they load the large ones. This
module knows nothing about how they are trained.
"""

from pathlib import Path

from diffusers import DDIMScheduler, MotionAdapter, UNet2DConditionModel
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from miniature.denoising import Captions
from miniature.latents import CAPTIONS, SIDE
from miniature.scenes import words

TOKENS = 16
WIDTH = 128


def tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer in which every word of the grammar is one token; the folder's if it has one.

    Two made anew may number single letters differently.
    """
    if (folder / "tokenizer.json").exists():
        return CLIPTokenizer.from_pretrained(folder)
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
        sample_size=SIDE,
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


def motion_adapter(channels: tuple[int, ...]) -> MotionAdapter:
    """A motion adapter for an image model whose blocks have these channels.

    It begins as the image model, frame by frame, as AnimateDiff (2307.04725) does.
    """
    adapter = MotionAdapter(
        block_out_channels=channels,
        motion_layers_per_block=1,
        motion_num_attention_heads=4,
        motion_norm_num_groups=16,
        motion_max_seq_length=32,
    )
    for name, parameter in adapter.named_parameters():
        if "proj_out" in name:
            nn.init.zeros_(parameter)
    return adapter


def captions_in(path: Path, clip: CLIPTokenizer, device: str) -> Captions:
    """The captions that `miniature.latents.render` wrote, CAPTIONS lines for each sample."""
    said = tokens(clip, path.read_text().splitlines()).unflatten(0, (-1, CAPTIONS))
    return Captions(said, tokens(clip, [""])[0]).to(device)


def tokens(clip: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids of captions: (N, TOKENS)."""
    return clip(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
