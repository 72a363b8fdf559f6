"""The teachers a user can choose: what each is, what it needs, and how it is asked by default.

A teacher is named here and nowhere else; a checkpoint of the same shape needs no name (`unlisted`).
Memory that was not measured on a GPU is what the tensors of a step, or of encoding and decoding a
clip, take at most at true size, counted on networks that hold no numbers, and some room.
This module knows nothing about edits, nor about how a teacher is loaded (`loading`).
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from pipelines.teachers import hub, unlisted
from pipelines.teachers.painting import PAPER, Painting
from pipelines.teachers.teacher import MeshTeacher, Recipe, VideoTeacher
from sds.assd import FLOW_EDIT, Method

ASSETS = Path(__file__).resolve().parents[2] / "assets"
MINIATURE = "miniature"
BUILT_IN = "Built in, runs on any machine. Knows only its own small world of"


_SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"
_SD_LICENCE = "CreativeML OpenRAIL-M (Stable Diffusion 1.5)"
_RESEARCH = f"CC-BY-NC-4.0 (video): not for commercial use; {_SD_LICENCE}"
_FLOW_EDIT = Recipe(
    replace(FLOW_EDIT, guidance_source=5.0, guidance_target=13.5), 700, 20, ode=True, steady=1
)
"""FlowEdit on Wan 1.3B as published: guidance 5 and 13.5, from 0.7 of the schedule."""
_DDS = Recipe(Method(guidance_source=7.5, guidance_target=7.5))
"""ASSD at the guidance of DDS (2304.07090) and of its relatives on Stable Diffusion."""


def _words(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text().split())


@cache
def video_teachers() -> dict[str, VideoTeacher]:
    """Every video teacher by name, the built-in one first."""
    built_in = ASSETS / MINIATURE
    teachers = (
        VideoTeacher(
            name=MINIATURE,
            shape="animatediff",
            video=str(built_in / "motion"),
            image=str(built_in / "image"),
            side=128,
            frames=16,
            licence="Apache-2.0",
            about=f"{BUILT_IN} drawn scenes.",
            words=_words(built_in / "words.txt"),
            # Chosen by measurement, on scenes that are not the 24 of BENCHMARKS.md.
            recipe=Recipe(Method(joint=1.5), high=450, moves=10),
        ),
        VideoTeacher(
            name="wan-1.3b",
            shape="wan",
            video="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
            image=None,
            side=632,  # 832x480
            frames=81,
            licence="Apache-2.0",
            about="Wan2.1, 1.3 billion parameters: the one to begin with on a GPU.",
            memory_gb=14,
            memory_measured=True,
            recipe=_FLOW_EDIT,
        ),
        VideoTeacher(
            name="wan-5b",
            shape="wan",
            video="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            image=None,
            side=949,  # 1280x704, the one size that its authors' own code takes
            frames=81,
            licence="Apache-2.0",
            about="Wan2.2, 5 billion parameters: better motion, coarser in small texture.",
            memory_gb=36,
            # The smaller Wan's; there is none of its own to go by.
            recipe=_FLOW_EDIT,
        ),
        VideoTeacher(
            name="animatediff",
            shape="animatediff",
            video="guoyww/animatediff-motion-adapter-v1-5-2",
            image=_SD,
            side=512,
            frames=16,
            licence=f"Apache-2.0 (motion), {_SD_LICENCE}",
            about="Stable Diffusion 1.5 with AnimateDiff: for small GPUs, frames stay exact.",
            memory_gb=10,
            memory_measured=True,
            betas="linear",
            recipe=_DDS,
        ),
        VideoTeacher(
            name="zeroscope",
            shape="unet3d",
            video="cerspense/zeroscope_v2_576w",
            image=_SD,
            side=432,  # 576x320
            frames=24,
            licence=_RESEARCH,
            about="ZeroScope with Stable Diffusion 1.5: a pair like the one in the ASSD paper. "
            "It is published as a pickle: convert it first; trying it says how.",
            memory_gb=12,
            recipe=_DDS,
        ),
        VideoTeacher(
            name="modelscope",
            shape="unet3d",
            video="ali-vilab/text-to-video-ms-1.7b",
            image=_SD,
            side=256,
            frames=16,
            licence=_RESEARCH,
            about="ModelScope with Stable Diffusion 1.5: small pictures, some with a watermark.",
            memory_gb=8,
            recipe=_DDS,
        ),
        VideoTeacher(
            name="cogvideox-2b",
            shape="cogvideox",
            video="THUDM/CogVideoX-2b",
            image=None,
            side=588,  # 720x480
            frames=49,
            licence="Apache-2.0",
            about="CogVideoX, 2 billion parameters, made for 8 frames a second.",
            memory_gb=24,
            # Its words and picture share their attention, so there is no fusion.
            recipe=Recipe(Method(guidance_source=6.0, guidance_target=6.0, joint=0.0, fusion=1.0)),
        ),
    )
    return {teacher.name: teacher for teacher in teachers}


_PAPER_ASKS = replace(PAPER, field=Painting().field, rate=1e-2)
"""3D Paintbrush's questions, with the fields of this product and a rate that goes with them."""


@cache
def mesh_teachers() -> dict[str, MeshTeacher]:
    """Every mesh teacher by name, the built-in one first."""
    built_in = ASSETS / MINIATURE / "cascade"
    paper = "DeepFloyd IF, the teachers of 3D Paintbrush"
    gated = "DeepFloyd IF License: non-commercial research only; gated: accept it on the hub first"
    teachers = (
        MeshTeacher(
            name=MINIATURE,
            shape="deepfloyd",
            stage_1=str(built_in / "stage_1"),
            stage_2=str(built_in / "stage_2"),
            licence="Apache-2.0",
            about=f"{BUILT_IN} simple objects.",
            words=_words(built_in / "words.txt"),
            patterns=("striped", "dotted", "checked"),
        ),
        *(
            MeshTeacher(
                name=f"if-{size.lower()}",
                shape="deepfloyd",
                stage_1=f"DeepFloyd/IF-I-{size}-v1.0",
                stage_2=f"DeepFloyd/IF-II-{large}-v1.0",
                licence=gated,
                about=f"{paper}: {which}.",
                memory_gb=memory,
                memory_measured=size == "XL",
                painting=_PAPER_ASKS,
            )
            for size, large, which, memory in (
                ("XL", "L", "the pair of the paper", 24),
                ("L", "L", "a smaller first stage", 14),
                ("M", "M", "the smallest pair", 10),
            )
        ),
        MeshTeacher(
            name="sd-x4",
            shape="latent",
            stage_1=_SD,
            stage_2="stabilityai/stable-diffusion-x4-upscaler",
            licence=f"{_SD_LICENCE}, OpenRAIL++-M (upscaler)",
            about="Stable Diffusion 1.5 and its x4 upscaler: a cascade that is not gated.",
            memory_gb=20,
            # Guidance 100 is DreamFusion's on Stable Diffusion; the upscaler's is the paper's.
            painting=replace(_PAPER_ASKS, guidance_1=100.0, high_end=500),
        ),
    )
    return {teacher.name: teacher for teacher in teachers}


def default_video_teacher() -> str:
    """The video teacher of this machine: Wan where there is a GPU, unless it cannot be loaded.

    That is, unless it is not here and HF_HUB_OFFLINE forbids to fetch it. The hub is not asked.
    """
    wan = video_teachers()["wan-1.3b"]
    usable = torch.cuda.is_available() and (hub.may_fetch() or hub.is_here(wan.video))
    return wan.name if usable else MINIATURE


def video_teacher(name: str) -> VideoTeacher:
    """The teacher called `name`, or made of the checkpoints it names (`unlisted`).

    Raises InputError, with the names and shapes there are.
    """
    listed = video_teachers()
    return listed[name] if name in listed else unlisted.video_teacher(name, listed)


def mesh_teacher(name: str) -> MeshTeacher:
    """The teacher called `name`, or made of the checkpoints it names (`unlisted`).

    Raises InputError, with the names and shapes there are.
    """
    listed = mesh_teachers()
    return listed[name] if name in listed else unlisted.mesh_teacher(name, listed)
