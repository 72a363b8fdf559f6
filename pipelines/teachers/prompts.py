"""What a teacher's text encoders say of the prompts.

An encoder is used once and let go, before the networks are loaded if the job asks for its prompts
first, and is not loaded at all where what it says was kept (`embeddings`). This module knows
nothing about what prompts mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.errors import InputError
from pipelines.teachers import hub
from pipelines.teachers.embeddings import embedded
from pipelines.teachers.machine import let_go, machine, takes_half
from pipelines.teachers.teacher import MeshTeacher, Teacher, VideoTeacher, plain
from sds import assd, csd

PARTS = ("text_encoder", "tokenizer")
"""The parts of a checkpoint that read prompts."""
LARGE = 2**30
"""Bytes of weights above which an encoder runs in half precision on a GPU."""


def video_prompts(teacher: VideoTeacher, source: str, target: str) -> assd.Prompts:
    """Embeddings of what a clip shows, of what it should show, and of nothing.

    Raises InputError where the encoder cannot be had, or cannot read a prompt whole.
    """
    texts = [*_said(teacher, (source, target)), ""]
    # A motion adapter has no encoder: its image model's is the one both read with.
    reads = teacher.video
    if teacher.shape == "animatediff" and teacher.image is not None:
        reads = teacher.image
    prompts = assd.Prompts(*_read(reads, texts).split(1))
    if teacher.image in (None, reads):
        return prompts
    return assd.Prompts(
        prompts.source,
        prompts.target,
        prompts.empty,
        image=assd.Prompts(*_read(teacher.image, texts).split(1)),
    )


def mesh_prompts(teacher: MeshTeacher, texts: Sequence[str]) -> csd.Prompts:
    """Embeddings of prompts, a row each in their order, and of nothing.

    Raises InputError where the encoder cannot be had, or cannot read a prompt whole.
    """
    texts = [*_said(teacher, texts), ""]
    said, large = _read(teacher.stage_1, texts), None
    if teacher.shape == "latent":
        own = _read(teacher.stage_2, texts)
        large = csd.Prompts(own[:-1], own[-1:])
    return csd.Prompts(said[:-1], said[-1:], large)


def _said(teacher: Teacher, texts: Sequence[str]) -> Sequence[str]:
    """Prompts as the teacher reads them: one that knows few words knows no punctuation."""
    return texts if teacher.words is None else [plain(text) for text in texts]


def _read(source: str, texts: Sequence[str]) -> Tensor:
    """Embeddings of texts (N, L, D) fp32 on the compute device, by a checkpoint's own encoder."""
    device, dtype = machine()
    folder = hub.fetch(source, takes_half())
    size = hub.weight(folder / PARTS[0])
    if device.type == "cpu" or size < LARGE:
        dtype = torch.float32

    def encode(missing: Sequence[str]) -> Tensor:
        # The library of models takes seconds to import; kept embeddings do without it.
        from sds.priors import texts as encoders

        try:
            return encoders.embed(str(folder), missing, _roomy(device, size), dtype).cpu()
        except (ValueError, OSError) as error:
            raise InputError(f"{source} cannot read this: {error}.") from error
        finally:
            let_go()

    encoder = f"{hub.identity(source, folder, PARTS)} {dtype}"
    return embedded(encoder, texts, encode).to(device)


def _roomy(device: torch.device, size: int) -> torch.device:
    """The device, or the CPU where what is free on it is little more than `size` bytes."""
    if device.type == "cpu" or torch.cuda.mem_get_info()[0] > 1.1 * size:
        return device
    return torch.device("cpu")
