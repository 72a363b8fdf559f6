"""What a teacher does without so that it fits the card: chosen when it is loaded, or on the way.

    few rows   smaller calls of the networks: exact, a little slower;
               the autoencoder in tiles, which overlap and are blended
    in turn    on the card is the network that is asked, or the           exact, slower where two
               autoencoder; the others wait in the computer's memory      are asked in a step
    fp8        weights kept in fp8, in the compute dtype layer by layer   half the weights, rounded
    offload    weights in the computer's memory, visiting the card        fewer weights, slow
               block by block

Of a transformer two blocks and what is in none are there at once, a twelfth of it. A UNet's blocks
are few, and those in its middle large: three fifths of it are (counted on networks at true size).
Each rung has what the one before it has. On a CPU there is no other memory for weights to wait in,
so few rows are all. How much slower turns are was not measured on a GPU. This module knows nothing
about jobs, nor about which teachers there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import nn

from pipelines.teachers.turns import Turns, Visiting
from sds.assd import Teachers
from sds.csd import Cascade
from sds.priors import Codec
from sds.priors.few_rows import FewRows
from sds.priors.single_frames import SingleFrames
from sds.schedules import Schedule

T = TypeVar("T")


@dataclass(frozen=True)
class Thrift:
    """What is done for the sake of memory."""

    few_rows: bool = False
    in_turn: bool = False
    fp8: bool = False
    offload: bool = False


LADDER = tuple(Thrift(*[True] * k) for k in range(len(fields(Thrift)) + 1))
_SAID = dict(
    zip(
        LADDER[1:],
        (
            "networks are asked about few rows at a time, the autoencoder works in tiles",
            "besides, one network at a time is on the GPU, and the autoencoder only when it works",
            "besides, weights are kept in fp8, which rounds them",
            "besides, weights visit the GPU block by block, which is slow",
        ),
        strict=True,
    )
)
UNKNOWN = 4 * 10**9
"""Bytes that a teacher of unknown needs works with, at least."""
ROUNDED = 0.55
"""Share of a network's bytes that fp8 leaves: norms and embeddings are not cast."""
FEWER = 4
"""Frames and views go through a network in this many times more calls."""


def plan(free: int, weights: Sequence[int], needs: int | None) -> Thrift:
    """The first rung that fits the card, or the last.

    free: bytes free on it; weights: bytes of each network; needs: bytes that the teacher takes with
    nothing spared, None where that is not known.
    """
    every, largest = sum(weights), max(weights)
    working = max(every, UNKNOWN) if needs is None else max(needs - every, 0)
    for thrift in LADDER[:-1]:
        kept = (ROUNDED if thrift.fp8 else 1) * (largest if thrift.in_turn else every)
        if kept + working * (0.5 if thrift.few_rows else 1) <= free:
            return thrift
    return LADDER[-1]


def rungs(device: torch.device) -> tuple[Thrift, ...]:
    """The rungs that spare memory of the device."""
    return LADDER[:2] if device.type == "cpu" else LADDER


def following(thrift: Thrift, device: torch.device) -> Thrift | None:
    """The next rung on the device; None after the last."""
    rest = rungs(device)[LADDER.index(thrift) + 1 :]
    return rest[0] if rest else None


def lighter(thrift: Thrift) -> Thrift:
    """The next rung that has fewer weights on the card; the last after the last."""
    rest = LADDER[LADDER.index(thrift) + 1 :]
    return next((rung for rung in rest if rung.in_turn), LADDER[-1])


def said(thrift: Thrift) -> list[str]:
    """What the user should know: a sentence, or nothing where nothing is spared."""
    done = [_SAID[rung] for rung in LADDER[1 : LADDER.index(thrift) + 1]]
    return [f"To take less memory: {'; '.join(done)}."] if done else []


def spare_network(network: nn.Module, before: Thrift, after: Thrift, turns: Turns) -> None:
    """Bring a network of diffusers, wherever it is, to the card as `after` says; in place."""
    if after.fp8 and not before.fp8:
        network.enable_layerwise_casting(torch.float8_e4m3fn, network.dtype)
    if not after.in_turn:
        network.to(turns.device)
    elif not after.offload:
        turns.take(network)
    elif not before.offload:
        turns.dismiss(network)
        network.enable_group_offload(
            turns.device,
            torch.device("cpu"),
            # Blocks, not layers: fusion asks some layers twice, which would upset the prefetching.
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=turns.device.type == "cuda",
        )


def spare_teachers(
    teachers: Teachers, codec: Codec, before: Thrift, after: Thrift, turns: Turns
) -> tuple[Teachers, Codec]:
    """The teachers of an edit at another rung. Their networks are changed in place."""
    video, image = _on(teachers.video, turns.device), teachers.image
    if image is not None:
        image = _on(image, turns.device)
        if isinstance(image, SingleFrames):
            image = replace(image, video=_on(image.video, turns.device))
    turns.end()
    for network in networks_of(teachers):
        spare_network(network, before, after, turns)
    if after.few_rows and not before.few_rows:
        video = FewRows(video)
        if image is not None:
            image = replace(image, frames_per_call=-(-image.frames_per_call // FEWER))
        codec.vae.enable_tiling()
    if after.in_turn and not before.in_turn:
        codec.vae.to("cpu")
        codec = Visiting(codec, turns)
    return replace(teachers, video=video, image=image), codec


def spare_cascade(cascade: Cascade, before: Thrift, after: Thrift, turns: Turns) -> Cascade:
    """The teachers of a painting at another rung. Their networks are changed in place.

    Autoencoders stay on the card, where gradients go back through them: they are small.
    """
    stages = {name: _on(getattr(cascade, name), turns.device) for name in ("stage_1", "stage_2")}
    turns.end()
    for network in networks_of(cascade):
        spare_network(network, before, after, turns)
    if after.few_rows and not before.few_rows:
        for name, stage in stages.items():
            stages[name] = replace(stage, rows_per_call=-(-stage.rows_per_call // FEWER))
        for name in ("encode_1", "encode_2"):
            if (encode := getattr(cascade, name)) is not None:
                stages[name] = replace(encode, rows_per_call=1)
    return replace(cascade, **stages)


def networks_of(teachers: Teachers | Cascade) -> list[nn.Module]:
    """The networks that are asked, each of them once."""
    if isinstance(teachers, Cascade):
        found = [teachers.stage_1.unet, teachers.stage_2.unet]
    else:
        # A teacher that asks the video's network about single frames brings none of its own.
        found = [teachers.video.network, getattr(teachers.image, "network", None)]
    return list({id(network): network for network in found if network is not None}.values())


def _on(prior: T, device: torch.device) -> T:
    """The prior with its schedules on the device; its network stays where it is."""
    values = {f.name: getattr(prior, f.name) for f in fields(prior)}
    moved = {name: v.to(device) for name, v in values.items() if isinstance(v, Schedule)}
    return replace(prior, **moved) if moved else prior
