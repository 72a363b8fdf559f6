"""The teachers a user can choose, and how one is loaded.

A teacher is named here and nowhere else. This module knows nothing about edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from pipelines import allocator
from pipelines.errors import InputError
from sds import assd, csd

if TYPE_CHECKING:
    # The library of models takes seconds to import. Asking which teachers there are must not.
    from sds.priors import deepfloyd
    from sds.priors import stable_diffusion as sd

T = TypeVar("T")
ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class VideoTeacher:
    """A text-to-video model and a text-to-image model that share one latent space."""

    name: str
    image: str
    """Folder or hub id of a Stable-Diffusion-shaped model."""
    motion: str
    """Folder or hub id of its motion adapter."""
    side: int
    """Works at about side x side pixels."""
    frames: int
    """Frames it sees at once."""
    licence: str
    about: str
    """One sentence for the user."""
    words: tuple[str, ...] | None
    """The only words it knows; None means it reads plain English."""


@dataclass(frozen=True)
class MeshTeacher:
    """A cascade: a text-to-image model, and a super-resolution model that reads the same words."""

    name: str
    stage_1: str
    """Folder or hub id of a DeepFloyd-IF-shaped stage I, with its text encoder."""
    stage_2: str
    """Folder or hub id of its stage II."""
    size_1: int
    """Stage I works at size_1 x size_1 pixels."""
    size_2: int
    """Stage II works at size_2 x size_2 pixels."""
    licence: str
    about: str
    """One sentence for the user."""
    words: tuple[str, ...] | None
    """The only words it knows; None means it reads plain English."""


def _words(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text().split())


def video_teachers() -> dict[str, VideoTeacher]:
    """Every video teacher by name, the default first."""
    miniature = VideoTeacher(
        name="miniature",
        image=str(ASSETS / "miniature" / "image"),
        motion=str(ASSETS / "miniature" / "motion"),
        side=128,
        frames=16,
        licence="Apache-2.0",
        about="Built in, runs on any machine. Knows only its own small world of drawn scenes.",
        words=_words(ASSETS / "miniature" / "words.txt"),
    )
    return {teacher.name: teacher for teacher in (miniature,)}


def mesh_teachers() -> dict[str, MeshTeacher]:
    """Every mesh teacher by name, the default first."""
    folder = ASSETS / "miniature" / "cascade"
    miniature = MeshTeacher(
        name="miniature",
        stage_1=str(folder / "stage_1"),
        stage_2=str(folder / "stage_2"),
        size_1=32,
        size_2=128,
        licence="Apache-2.0",
        about="Built in, runs on any machine. Knows only its own small world of simple objects.",
        words=_words(folder / "words.txt"),
    )
    return {teacher.name: teacher for teacher in (miniature,)}


def video_teacher(name: str) -> VideoTeacher:
    """The teacher called `name`. Raises InputError with the names there are."""
    return _named(video_teachers(), name, "video")


def mesh_teacher(name: str) -> MeshTeacher:
    """The teacher called `name`. Raises InputError with the names there are."""
    return _named(mesh_teachers(), name, "mesh")


def _named(teachers: dict[str, T], name: str, job: str) -> T:
    if name not in teachers:
        raise InputError(
            f"There is no {job} teacher called {name!r}. Choose one of: {', '.join(teachers)}."
        )
    return teachers[name]


def check_prompt(teacher: VideoTeacher | MeshTeacher, prompt: str, which: str) -> None:
    """Raises InputError when `prompt` is empty or says what the teacher cannot know."""
    said = _plain(prompt).split()
    if not said:
        raise InputError(f"The {which} prompt is empty. Say it in a few words.")
    if teacher.words is None:
        return
    unknown = sorted(set(said) - set(teacher.words))
    if unknown:
        raise InputError(
            f"The teacher {teacher.name!r} does not know {_listed(unknown)} in the {which} prompt. "
            f"It knows these words only: {', '.join(teacher.words)}."
        )


def _plain(prompt: str) -> str:
    """What is said, without capitals and punctuation."""
    return "".join(c if c.isalnum() else " " for c in prompt.lower())


def _listed(words: list[str]) -> str:
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]


@dataclass(frozen=True)
class LoadedVideoTeacher:
    """A teacher in memory, ready to be asked."""

    teachers: assd.Teachers
    codec: sd.LatentCodec
    pipe: sd.Pipeline
    device: torch.device

    def prompts(self, source: str, target: str) -> assd.Prompts:
        """Embeddings of the two prompts and of the empty one."""
        from sds.priors import stable_diffusion as sd

        embedded = sd.embed(self.pipe, [_plain(source), _plain(target), ""], self.device)
        return assd.Prompts(*embedded.split(1))

    def change(self, x: Tensor, x_src: Tensor) -> Tensor:
        """What an edit of latents (1, C, F, h, w) does to the picture: (F, 3, H, W) on the CPU."""
        return (self.codec.decode(x) - self.codec.decode(x_src)).cpu()


@dataclass(frozen=True)
class LoadedMeshTeacher:
    """A cascade in memory, ready to be asked."""

    cascade: csd.Cascade
    pipe: deepfloyd.IFPipeline
    """Stage I's, which reads the words."""
    device: torch.device

    def prompts(self, texts: Sequence[str]) -> csd.Prompts:
        """Embeddings of prompts, a row each in their order, and of the empty one."""
        from sds.priors import deepfloyd

        embedded = deepfloyd.embed(self.pipe, [*map(_plain, texts), ""], self.device)
        return csd.Prompts(embedded[:-1], embedded[-1:])


@cache
def load_video_teacher(name: str) -> LoadedVideoTeacher:
    """Load a teacher once per process. Raises InputError for a name that is not in the catalog."""
    from sds.priors import stable_diffusion as sd

    chosen = video_teacher(name)
    device, dtype = _machine()
    image, text = sd.load(chosen.image), sd.load_text(chosen.image)
    video = sd.with_motion(image, chosen.motion)
    teachers = assd.Teachers(
        video=sd.video_prior(video, device, dtype),
        image=sd.image_prior(image, device, dtype, frames_per_call=chosen.frames),
        window=chosen.frames,
    )
    return LoadedVideoTeacher(teachers, sd.latent_codec(image, device, dtype), text, device)


@cache
def load_mesh_teacher(name: str) -> LoadedMeshTeacher:
    """Load a teacher once per process. Raises InputError for a name that is not in the catalog."""
    from sds.priors import deepfloyd

    chosen = mesh_teacher(name)
    device, dtype = _machine()
    small, large = deepfloyd.load_stage_1(chosen.stage_1), deepfloyd.load_stage_2(chosen.stage_2)
    text = deepfloyd.load_text(chosen.stage_1)
    cascade = csd.Cascade(
        stage_1=deepfloyd.stage_1_prior(small, device, dtype),
        stage_2=deepfloyd.stage_2_prior(large, device, dtype),
        size_1=chosen.size_1,
        size_2=chosen.size_2,
    )
    return LoadedMeshTeacher(cascade, text, device)


def _machine() -> tuple[torch.device, torch.dtype]:
    """Where teachers run, and the dtype they run in."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        allocator.configure()
    return device, compute_dtype(device)


def compute_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it, fp32 elsewhere (on a plain CPU bf16 is slower)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
