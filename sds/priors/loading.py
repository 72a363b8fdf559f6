"""What every family of teachers does when it is loaded: files, schedules, freezing, quiet.

Weights are read from safetensors and nothing else: a pickle can run code when it is opened. A
folder that asks for code of its own is refused by diffusers. This module knows nothing about what a
model predicts or how it is asked.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from sds.schedules import Schedule, ddpm, flow

Pipe = TypeVar("Pipe", bound=DiffusionPipeline)
TEXT = ("tokenizer", "text_encoder")
"""The parts of a pipeline that read prompts."""
NETWORKS = ("unet", "transformer", "transformer_2", "motion_adapter", "vae")
"""Its networks, whichever of them its class has."""
UNUSED = ("safety_checker", "feature_extractor", "image_encoder", "watermarker")


def opened(
    kind: type[Pipe],
    folder: str,
    dtype: torch.dtype,
    without: Sequence[str],
    vae: torch.dtype | None = None,
) -> Pipe:
    """A pipeline of a class, as a folder holds it, without some parts (`TEXT`, `NETWORKS`).

    vae: the dtype of the autoencoder, where it is another one. Nothing is said of what is left out.
    """
    takes = inspect.signature(kind).parameters
    left = {part: None for part in (*without, *UNUSED) if part in takes}
    if "requires_safety_checker" in takes:
        left["requires_safety_checker"] = False
    with no_progress_bars():
        return kind.from_pretrained(folder, **reading(folder, dtype, vae), **left)


def reading(folder: str, dtype: torch.dtype, vae: torch.dtype | None = None) -> dict[str, Any]:
    """How a pipeline's `from_pretrained` reads a folder: the dtypes, and which of its files.

    vae: the dtype of the autoencoder, where it is another one.
    Half-precision files are taken where some part has them and the dtype asks for no more, or where
    a part has no others. What lies beside a pipeline's parts is none of its files.
    """
    inside = "*/*.safetensors" if any(Path(folder).glob("*/config.json")) else "*.safetensors"
    parts: dict[Path, list[bool]] = {}
    for path in Path(folder).glob(inside):
        parts.setdefault(path.parent, []).append(".fp16" in path.name)
    half = any(any(found) for found in parts.values())
    wanted = half and (dtype != torch.float32 or any(all(found) for found in parts.values()))
    return {
        "dtype": {"default": dtype, "vae": dtype if vae is None else vae},
        "use_safetensors": True,
        "variant": "fp16" if wanted else None,
    }


def read_schedule(pipe: DiffusionPipeline) -> Schedule:
    """The schedule the pipeline's model was trained on, from its scheduler's configuration.

    Raises ValueError for a scheduler that has neither alphas_cumprod nor a flow's settings.
    """
    scheduler = pipe.scheduler
    prediction = scheduler.config.get("prediction_type", "flow_prediction")
    if prediction == "flow_prediction":
        shift = scheduler.config.get("shift", scheduler.config.get("flow_shift", 1.0))
        return flow(scheduler.config.num_train_timesteps, shift)
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ValueError(
            f"{type(scheduler).__name__} keeps no alphas_cumprod; "
            "set pipe.scheduler to a DDIMScheduler made from its config"
        )
    return ddpm(scheduler.alphas_cumprod, prediction)


def check_length(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> None:
    """Raises ValueError for a text with more tokens than the encoder reads."""
    for text in texts:
        length = len(tokenizer(text).input_ids)
        if length > limit:
            raise ValueError(
                f"the prompt {text!r} has {length} tokens and the text encoder reads {limit}; "
                "shorten it"
            )


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Reading weights from disk takes a second; a download keeps its own bar."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.enable_progress_bar()
        transformers_logging.enable_progress_bar()


def frozen(module: nn.Module, device: torch.device | str, dtype: torch.dtype) -> nn.Module:
    """The module on a device, in a dtype, ready to be asked and not to be trained.

    Parts that the model keeps in fp32 stay so if it was read in `dtype`.
    """
    if any(weight.ndim == 5 for weight in module.parameters()):
        # Weights over time and space have no channels_last order.
        module.to(device)
    else:
        # Convolutions on channels_last are faster on CPU and GPU alike, and change nothing else.
        module.to(device, memory_format=torch.channels_last)
    if module.dtype != dtype:
        module.to(dtype)
    return module.eval().requires_grad_(False)
