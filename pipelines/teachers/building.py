"""From what a teacher is to its networks in memory, by the shape of its checkpoints.

This module knows nothing about edits, prompts or which teachers there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipelines.teachers import hub, thrift
from pipelines.teachers.loaded import LoadedMeshTeacher, LoadedVideoTeacher
from pipelines.teachers.machine import autoencoder_dtype, machine, takes_half
from pipelines.teachers.teacher import MeshTeacher, Teacher, VideoTeacher
from pipelines.teachers.thrift import Thrift
from sds import assd, csd
from sds.priors import VideoPrior
from sds.priors.single_frames import SingleFrames

if TYPE_CHECKING:
    # The library of models takes seconds to import: it waits until a teacher is loaded.
    from sds.priors.stable_diffusion import Pipeline


@dataclass(frozen=True)
class Room:
    """The card, as a teacher that is to be loaded finds it."""

    make: Callable[[], object]
    """Lets go of what is on the card and need not be."""
    lighter: bool = False
    """Whether the weights ran out of memory as they were planned: some more of them stay away."""


def build_video(teacher: VideoTeacher, room: Room) -> tuple[LoadedVideoTeacher, Thrift]:
    """The networks of a video teacher, and what it is to do without on this card.

    Raises InputError or ValueError where they are no use.
    """
    device, dtype = machine()
    match teacher.shape:
        case "wan":
            from sds.priors import wan

            pipe = wan.load(_folder(teacher, teacher.video), dtype)
            chosen, home = _planned(teacher, device, dtype, room, pipe.transformer)
            video, codec = wan.video_prior(pipe, home, dtype), wan.video_codec(pipe, device)
            patch = pipe.transformer.config.patch_size[1]
        case "cogvideox":
            from sds.priors import cogvideox

            pipe = cogvideox.load(_folder(teacher, teacher.video), dtype, autoencoder_dtype(dtype))
            chosen, home = _planned(teacher, device, dtype, room, pipe.transformer)
            video = cogvideox.video_prior(pipe, home, dtype)
            codec = cogvideox.video_codec(pipe, device)
            patch = pipe.transformer.config.patch_size
        case _:
            return _unet_video(teacher, device, dtype, room)
    window = (teacher.frames - 1) // codec.stride + 1
    teachers = assd.Teachers(video, SingleFrames(video, window), window)
    return LoadedVideoTeacher(teachers, codec, device, codec.factor * patch), chosen


def _unet_video(
    teacher: VideoTeacher, device: torch.device, dtype: torch.dtype, room: Room
) -> tuple[LoadedVideoTeacher, Thrift]:
    """A video UNet in the latent space of Stable Diffusion, and a model for its frames."""
    from sds.priors import stable_diffusion as sd
    from sds.priors.loading import frozen

    folder, codec_dtype = _folder(teacher, teacher.video), autoencoder_dtype(dtype)
    image = None
    if teacher.image is not None:
        image = sd.load(_folder(teacher, teacher.image), dtype, codec_dtype)
    networks = [] if image is None else [image.unet]
    if teacher.shape == "unet3d":
        from sds.priors import unet3d

        pipe = unet3d.load(folder, dtype, codec_dtype)
        chosen, home = _planned(teacher, device, dtype, room, pipe.unet, *networks)
        video: VideoPrior = unet3d.video_prior(pipe, home, dtype)
        window = teacher.frames
        if image is not None:
            _expect_one_space(pipe, image)
    else:
        pipe = (
            sd.load_motion(folder, dtype, codec_dtype)
            if image is None
            else sd.with_motion(image, folder, dtype, teacher.betas)
        )
        chosen, home = _planned(teacher, device, dtype, room, pipe.unet, *networks)
        if image is not None:
            # There first, so that what both have never is there twice.
            sd.share_weights(frozen(image.unet, home, dtype), pipe.unet)
        video = sd.video_prior(pipe, home, dtype)
        window = min(teacher.frames, video.max_frames)
    frames = (
        SingleFrames(video, window)
        if image is None
        else sd.image_prior(image, home, dtype, frames_per_call=window)
    )
    codec = sd.latent_codec(pipe, device, codec_dtype)
    levels = len(pipe.unet.config.block_out_channels)
    teachers = assd.Teachers(video, frames, window)
    factor = codec.factor * 2 ** (levels - 1)
    return LoadedVideoTeacher(teachers, codec, device, factor), chosen


def _expect_one_space(video: "Pipeline", image: "Pipeline") -> None:
    one, other = (
        (pipe.vae.config.latent_channels, pipe.vae.config.scaling_factor) for pipe in (video, image)
    )
    if one != other:
        raise ValueError(
            f"its video and its image model have different latent spaces ({one[0]} channels scaled "
            f"by {one[1]}, {other[0]} by {other[1]}); give two that share one"
        )


def build_mesh(teacher: MeshTeacher, room: Room) -> tuple[LoadedMeshTeacher, Thrift]:
    """The networks of a cascade, and what it is to do without on this card.

    Raises InputError or ValueError where they are no use.
    """
    device, dtype = machine()
    folders = _folder(teacher, teacher.stage_1), _folder(teacher, teacher.stage_2)
    if teacher.shape == "deepfloyd":
        from sds.priors import deepfloyd

        small = deepfloyd.load_stage_1(folders[0], dtype)
        large = deepfloyd.load_stage_2(folders[1], dtype)
        chosen, home = _planned(teacher, device, dtype, room, small.unet, large.unet)
        stage_1 = deepfloyd.stage_1_prior(small, home, dtype)
        stage_2 = deepfloyd.stage_2_prior(large, home, dtype)
        cascade = csd.Cascade(stage_1, stage_2, stage_1.size, stage_2.size)
        return LoadedMeshTeacher(cascade, device), chosen
    from sds.priors import stable_diffusion as sd
    from sds.priors import upscaler

    codec_dtype = autoencoder_dtype(dtype)
    one = sd.load(folders[0], dtype, codec_dtype)
    two = upscaler.load(folders[1], dtype, codec_dtype)
    chosen, home = _planned(teacher, device, dtype, room, one.unet, two.unet)
    cascade = upscaler.cascade(one, two, home, device, dtype, codec_dtype)
    return LoadedMeshTeacher(cascade, device), chosen


def _planned(
    teacher: Teacher,
    device: torch.device,
    dtype: torch.dtype,
    room: Room,
    *networks: nn.Module,
) -> tuple[Thrift, torch.device]:
    """What the teacher does without on this card, and where its networks are made ready.

    networks: those that share weights with others after them come first.
    """
    if device.type != "cuda":
        return Thrift(), device
    weights, counted = [], set[int]()
    for network in networks:
        own = {p.data_ptr(): p.numel() * dtype.itemsize for p in network.parameters()}
        weights.append(sum(size for place, size in own.items() if place not in counted))
        counted |= own.keys()
    needs = None if teacher.memory_gb is None else teacher.memory_gb * 10**9
    chosen = thrift.plan(torch.cuda.mem_get_info()[0], weights, needs)
    if chosen != Thrift():
        room.make()
        chosen = thrift.plan(torch.cuda.mem_get_info()[0], weights, needs)
    if room.lighter:
        chosen = thrift.lighter(chosen)
    return chosen, torch.device("cpu") if chosen.in_turn else device


def _folder(teacher: Teacher, source: str) -> str:
    return str(hub.fetch(source, takes_half(), teacher.unread(source)))
