"""A teacher's networks in memory.

The last teacher of each job stays loaded; another one takes its place. On a card that is too small
for all of it a teacher does without something (`thrift`). Its blocks are compiled where a run asks
for that, and plain again where the next one does not. This module knows nothing about edits,
prompts or where checkpoints come from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from pipelines.errors import InputError
from pipelines.teachers import hub, thrift
from pipelines.teachers.catalog import mesh_teacher, video_teacher
from pipelines.teachers.machine import let_go, machine, takes_half
from pipelines.teachers.teacher import MeshTeacher, Teacher, VideoTeacher
from pipelines.teachers.thrift import Thrift
from sds import assd, csd
from sds.priors import Codec, VideoPrior, compiled
from sds.priors.single_frames import SingleFrames
from sds.references import References

if TYPE_CHECKING:
    # The library of models takes seconds to import: it waits until a teacher is loaded.
    from sds.priors.stable_diffusion import Pipeline

T = TypeVar("T")
_last: dict[type[Teacher], tuple[Teacher, Any]] = {}
"""The last teacher of each job, and what was loaded of it."""

SMALL = 10**7
"""Parameters of an autoencoder that takes next to no time; Stable Diffusion's has 84 million."""
COMPILES = "The networks' blocks are compiled when they are first asked, which may take minutes."
COMPILES_NOT = "The networks' blocks are not compiled: that does not go with weights kept in fp8."


@dataclass(eq=False)
class LoadedVideoTeacher:
    """A teacher in memory, ready to be asked. What it does without may change on the way."""

    teachers: assd.Teachers
    codec: Codec
    device: torch.device
    multiple: int
    """It works on pictures whose sides are multiples of this."""
    thrift: Thrift = field(default_factory=Thrift)
    compile: bool = False
    """Whether the run asks for compiled blocks. Weights kept in fp8 are not for those."""
    last: tuple[str, References] = field(default_factory=lambda: ("", References()))
    """What the reference branch answered last, and which clip's it was."""

    @property
    def decodes_fast(self) -> bool:
        """Whether a preview can afford the autoencoder."""
        return sum(p.numel() for p in self.codec.vae.parameters()) < SMALL

    def references(self, clip: str) -> References:
        """What the reference branch of a clip answered so far; that of any other is forgotten."""
        if self.last[0] != clip:
            self.last = (clip, References())
        return self.last[1]

    def settle(self, after: Thrift, compile: bool) -> None:
        """From here on take as much memory as `after` says, with blocks compiled or as they are."""
        if (after, compile) != (self.thrift, self.compile):
            # Weights that are rounded answer otherwise, and so do blocks that are compiled.
            self.last = ("", References())
        before, self.thrift, self.compile = self.thrift, after, compile
        asked = (before, after, self.device)
        self.teachers, self.codec = thrift.spare_teachers(self.teachers, self.codec, *asked)
        compiled.switch(thrift.networks_of(self.teachers), compile and not after.fp8)

    def change(self, x: Tensor, x_src: Tensor) -> Tensor:
        """What an edit of latents (1, C, f, h, w) does to the picture: (F, 3, H, W) on the CPU.

        F is what f latent frames hold: a clip that was padded to be encoded is shorter.
        """
        return (self.codec.decode(x) - self.codec.decode(x_src)).cpu()

    def change_at(self, x: Tensor, x_src: Tensor, frames: Sequence[int]) -> Tensor:
        """The same of a few frames of the clip, for a preview: (n, 3, H, W) on the CPU."""
        return (self.codec.frames(x, frames) - self.codec.frames(x_src, frames)).cpu()


@dataclass(eq=False)
class LoadedMeshTeacher:
    """A cascade in memory, ready to be asked. What it does without may change on the way."""

    cascade: csd.Cascade
    device: torch.device
    thrift: Thrift = field(default_factory=Thrift)
    compile: bool = False
    """Whether the run asks for compiled blocks. Weights kept in fp8 are not for those."""

    def settle(self, after: Thrift, compile: bool) -> None:
        """From here on take as much memory as `after` says, with blocks compiled or as they are."""
        before, self.thrift, self.compile = self.thrift, after, compile
        self.cascade = thrift.spare_cascade(self.cascade, before, after, self.device)
        compiled.switch(thrift.networks_of(self.cascade), compile and not after.fp8)


Loaded = LoadedVideoTeacher | LoadedMeshTeacher


def announcements(teacher: Teacher) -> list[str]:
    """What loading the teacher will download, a sentence each with licence and size.

    None where all of it is here. Raises InputError where something cannot be had.
    """
    said = []
    for source in dict.fromkeys(teacher.sources):
        wanted = hub.download(source, takes_half())
        if wanted is not None:
            size = f"{wanted.bytes / 1e9:.1f} GB"
            said.append(f"Downloading {source}, {size}. Licence: {teacher.licence}.")
    return said


def is_here(teacher: Teacher) -> bool:
    """Whether the teacher can be loaded without a download. The hub is not asked."""
    return all(hub.is_here(source) for source in teacher.sources)


def load_video_teacher(name: str, compile: bool = False) -> LoadedVideoTeacher:
    """The networks of a teacher. Raises InputError where they cannot be had or used."""
    return _as_asked(_kept(video_teacher(name), _video), compile)


def load_mesh_teacher(name: str, compile: bool = False) -> LoadedMeshTeacher:
    """The networks of a cascade. Raises InputError where they cannot be had or used."""
    return _as_asked(_kept(mesh_teacher(name), _mesh), compile)


def notes(loaded: Loaded) -> list[str]:
    """What the user should know of how the teacher will be asked, a sentence each."""
    said = thrift.said(loaded.thrift)
    if loaded.compile:
        said.append(COMPILES_NOT if loaded.thrift.fp8 else COMPILES)
    return said


def _as_asked(loaded: T, compile: bool) -> T:
    """The teacher with its blocks compiled or not, whatever the run before asked for."""
    loaded.settle(loaded.thrift, compile)
    return loaded


def _kept(teacher: Teacher, load: Callable[[Any], T]) -> T:
    """The last teacher of this job if it is this one, else what `load` makes of this one."""
    before, loaded = _last.get(type(teacher), (None, None))
    if before == teacher:
        return loaded
    # The last one goes first: two of them need not fit.
    del loaded
    _last.pop(type(teacher), None)
    let_go()
    try:
        loaded = load(teacher)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"The teacher {teacher.name} cannot be used: {error}.") from error
    _last[type(teacher)] = (teacher, loaded)
    return loaded


def step_down(loaded: Loaded) -> list[str]:
    """Do without something more, for good; what to tell the user, nothing where nothing is left."""
    after = thrift.following(loaded.thrift)
    if after is None:
        return []
    let_go()
    loaded.settle(after, loaded.compile)
    let_go()
    return notes(loaded)


def _planned(
    teacher: Teacher, device: torch.device, dtype: torch.dtype, *networks: nn.Module
) -> tuple[Thrift, torch.device]:
    """What the teacher does without on this card, and where its networks are made ready."""
    if device.type != "cuda":
        return Thrift(), device
    weights = sum(p.numel() for network in networks for p in network.parameters()) * dtype.itemsize
    needs = None if teacher.memory_gb is None else teacher.memory_gb * 10**9
    chosen = thrift.plan(torch.cuda.mem_get_info()[0], weights, needs)
    return chosen, torch.device("cpu") if chosen.fp8 else device


def _folder(source: str) -> str:
    return str(hub.fetch(source, takes_half()))


def _codec_dtype(dtype: torch.dtype) -> torch.dtype:
    """What image autoencoders run in: fp16 is too narrow for them."""
    return torch.float32 if dtype == torch.float16 else dtype


def _video(teacher: VideoTeacher) -> LoadedVideoTeacher:
    device, dtype = machine()
    match teacher.shape:
        case "wan":
            from sds.priors import wan

            pipe = wan.load(_folder(teacher.video), dtype)
            chosen, home = _planned(teacher, device, dtype, pipe.transformer)
            video, codec = wan.video_prior(pipe, home, dtype), wan.video_codec(pipe, device)
            patch = pipe.transformer.config.patch_size[1]
        case "cogvideox":
            from sds.priors import cogvideox

            pipe = cogvideox.load(_folder(teacher.video), dtype, _codec_dtype(dtype))
            chosen, home = _planned(teacher, device, dtype, pipe.transformer)
            video = cogvideox.video_prior(pipe, home, dtype)
            codec = cogvideox.video_codec(pipe, device)
            patch = pipe.transformer.config.patch_size
        case _:
            return _unet_video(teacher, device, dtype)
    window = (teacher.frames - 1) // codec.stride + 1
    teachers = assd.Teachers(video, SingleFrames(video, window), window)
    loaded = LoadedVideoTeacher(teachers, codec, device, codec.factor * patch)
    loaded.settle(chosen, compile=False)
    return loaded


def _unet_video(
    teacher: VideoTeacher, device: torch.device, dtype: torch.dtype
) -> LoadedVideoTeacher:
    """A video UNet in the latent space of Stable Diffusion, and a model for its frames."""
    from sds.priors import stable_diffusion as sd

    folder, codec_dtype = _folder(teacher.video), _codec_dtype(dtype)
    image = None
    if teacher.image is not None:
        image = sd.load(_folder(teacher.image), dtype, codec_dtype)
    networks = [] if image is None else [image.unet]
    if teacher.shape == "unet3d":
        from sds.priors import unet3d

        pipe = unet3d.load(folder, dtype, codec_dtype)
        chosen, home = _planned(teacher, device, dtype, pipe.unet, *networks)
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
        chosen, home = _planned(teacher, device, dtype, pipe.unet, *networks)
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
    loaded = LoadedVideoTeacher(teachers, codec, device, codec.factor * 2 ** (levels - 1))
    loaded.settle(chosen, compile=False)
    return loaded


def _expect_one_space(video: "Pipeline", image: "Pipeline") -> None:
    one, other = (
        (pipe.vae.config.latent_channels, pipe.vae.config.scaling_factor) for pipe in (video, image)
    )
    if one != other:
        raise ValueError(
            f"its video and its image model have different latent spaces ({one[0]} channels scaled "
            f"by {one[1]}, {other[0]} by {other[1]}); give two that share one"
        )


def _mesh(teacher: MeshTeacher) -> LoadedMeshTeacher:
    device, dtype = machine()
    folders = _folder(teacher.stage_1), _folder(teacher.stage_2)
    if teacher.shape == "deepfloyd":
        from sds.priors import deepfloyd

        small = deepfloyd.load_stage_1(folders[0], dtype)
        large = deepfloyd.load_stage_2(folders[1], dtype)
        chosen, home = _planned(teacher, device, dtype, small.unet, large.unet)
        stage_1 = deepfloyd.stage_1_prior(small, home, dtype)
        stage_2 = deepfloyd.stage_2_prior(large, home, dtype)
        loaded = LoadedMeshTeacher(
            csd.Cascade(stage_1, stage_2, stage_1.size, stage_2.size), device
        )
        loaded.settle(chosen, compile=False)
        return loaded
    from sds.priors import stable_diffusion as sd
    from sds.priors import upscaler

    codec_dtype = _codec_dtype(dtype)
    one = sd.load(folders[0], dtype, codec_dtype)
    two = upscaler.load(folders[1], dtype, codec_dtype)
    chosen, home = _planned(teacher, device, dtype, one.unet, two.unet)
    stage_1 = upscaler.stage_1_prior(one, home, dtype)
    stage_2 = upscaler.stage_2_prior(two, home, dtype)
    encode_1 = upscaler.picture_encoder(one, device, codec_dtype)
    encode_2 = upscaler.picture_encoder(two, device, codec_dtype)
    cascade = csd.Cascade(
        stage_1=stage_1,
        stage_2=stage_2,
        size_1=stage_1.size * encode_1.factor,
        size_2=stage_2.size * encode_2.factor,
        encode_1=encode_1,
        encode_2=encode_2,
        size_low=stage_2.size,
        top_level=two.config.max_noise_level,
    )
    loaded = LoadedMeshTeacher(cascade, device)
    loaded.settle(chosen, compile=False)
    return loaded
