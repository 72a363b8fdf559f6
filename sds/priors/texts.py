"""The text encoder of any checkpoint of a known shape: loaded, asked, and not kept.

Which it is follows from the class that the checkpoint's index names. This module knows nothing
about prompts' meaning, nor about what their embeddings are for.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


def embed(folder: str, texts: Sequence[str], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Texts -> (N, L, D) on `device`, in the encoder's dtype.

    folder: of the whole checkpoint. Raises ValueError for a text the encoder cannot read whole.
    """
    kind = json.loads((Path(folder) / "model_index.json").read_text())["_class_name"]
    match kind:
        case "WanPipeline":
            from sds.priors import wan as family
        case "CogVideoXPipeline":
            from sds.priors import cogvideox as family
        case "IFPipeline":
            from sds.priors import deepfloyd as family
        case _:
            return _embed_clip(kind, folder, texts, device, dtype)
    return family.embed(family.load_text(folder, dtype), texts, device)


def _embed_clip(
    kind: str, folder: str, texts: Sequence[str], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """The same of the shapes that read with CLIP."""
    from sds.priors import stable_diffusion as sd

    match kind:
        case "AnimateDiffPipeline":
            pipe = sd.load_motion_text(folder, dtype)
        case "TextToVideoSDPipeline":
            from sds.priors import unet3d

            pipe = unet3d.load_text(folder, dtype)
        case "StableDiffusionUpscalePipeline":
            from sds.priors import upscaler

            pipe = upscaler.load_text(folder, dtype)
        case _:
            pipe = sd.load_text(folder, dtype)
    return sd.embed(pipe, texts, device)
