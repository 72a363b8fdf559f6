"""What a teacher's text encoders say of the prompts.

An encoder is used once and let go, before the networks are loaded if the job asks for its prompts
first, and is not loaded at all where what it says was kept (`embeddings`). This module knows
nothing about what prompts mean.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pipelines.errors import InputError
from pipelines.teachers import hub
from pipelines.teachers.embeddings import embedded
from pipelines.teachers.machine import let_go, machine, takes_half
from pipelines.teachers.shortage import shortage
from pipelines.teachers.teacher import MeshTeacher, VideoTeacher, as_read
from sds import assd, csd

PARTS = ("text_encoder", "tokenizer")
"""The parts of a checkpoint that read prompts."""
LARGE = 5 * 10**8
"""Parameters above which an encoder runs in half precision on a GPU: those of T5, not of CLIP."""
ROOM = 1.25
"""What an encoder takes, in units of its weights: in fp16, T5's keep a fifth of them in fp32."""


def video_prompts(teacher: VideoTeacher, source: str, target: str) -> assd.Prompts:
    """Embeddings of what a clip shows, of what it should show, and of nothing.

    Raises InputError where the encoder cannot be had, or cannot read a prompt whole.
    """
    texts = [*as_read(teacher, (source, target)), ""]
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


def mesh_prompts(
    teacher: MeshTeacher, texts: Sequence[str], unlike: str | None = None
) -> csd.Prompts:
    """Embeddings of prompts, a row each in their order, of nothing, and of what to be unlike.

    Raises InputError where the encoder cannot be had, or cannot read a prompt whole.
    """
    more = [] if unlike is None else as_read(teacher, [unlike])
    asked = [*as_read(teacher, texts), "", *more]

    def said(reads: str) -> csd.Prompts:
        rows, empty, other = _read(reads, asked).split([len(texts), 1, len(more)])
        return csd.Prompts(rows, empty, unlike=other if more else None)

    prompts = said(teacher.stage_1)
    return replace(prompts, large=said(teacher.stage_2)) if teacher.shape == "latent" else prompts


def _read(source: str, texts: Sequence[str]) -> Tensor:
    """Embeddings of texts (N, L, D) fp32 on the compute device, by a checkpoint's own encoder."""
    device, dtype = machine()
    folder = hub.fetch(source, takes_half())
    count = hub.parameters(folder / PARTS[0])
    if device.type == "cpu" or count < LARGE:
        dtype = torch.float32

    def encode(missing: Sequence[str]) -> Tensor:
        # The library of models takes seconds to import; kept embeddings do without it.
        from sds.priors import texts as encoders

        def said(place: torch.device) -> Tensor:
            try:
                return encoders.embed(str(folder), missing, place, dtype).cpu()
            except (ValueError, OSError) as error:
                raise InputError(f"{source} cannot read this: {error}.") from error
            finally:
                let_go()

        place = _roomy(device, count * dtype.itemsize)
        try:
            return said(place)
        except RuntimeError as error:
            shortage(error)
            if place.type == "cpu":
                raise
        # Outside of the handler, which holds on to what was too much.
        let_go()
        return said(torch.device("cpu"))

    encoder = f"{hub.identity(source, folder, PARTS)} {dtype}"
    return embedded(encoder, texts, encode).to(device)


def _roomy(device: torch.device, size: int) -> torch.device:
    """The device, or the CPU where weights of `size` bytes leave too little room on it."""
    if device.type == "cpu":
        return device
    # What torch keeps for later counts as taken until it is given back.
    let_go()
    if torch.cuda.mem_get_info()[0] > ROOM * size:
        return device
    return torch.device("cpu")
