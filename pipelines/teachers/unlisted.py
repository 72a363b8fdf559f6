"""Teachers that are not in the list: checkpoints of the same shapes, by folder or hub id.

    video   VIDEO, or VIDEO+IMAGE with an image model that shares its latent space
    mesh    STAGE_1+STAGE_2

The shape is told from the class that a checkpoint's own index names; the order of the two does not
matter. Everything else is taken from the teacher of the list that has the same shape. What is in
the list, at the same or at another revision, is the teacher of the list. This module knows nothing
about how a teacher is loaded.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pipelines.errors import InputError
from pipelines.teachers import hub
from pipelines.teachers.teacher import MeshShape, MeshTeacher, VideoShape, VideoTeacher, listed

AnyTeacher = TypeVar("AnyTeacher", VideoTeacher, MeshTeacher)
IMAGE, ADAPTER = "StableDiffusionPipeline", "MotionAdapter"
VIDEO: dict[str, VideoShape] = {
    "WanPipeline": "wan",
    "CogVideoXPipeline": "cogvideox",
    "TextToVideoSDPipeline": "unet3d",
    "AnimateDiffPipeline": "animatediff",
}
"""Shapes by the class of the video model. An adapter is the last one too, on an image model."""
MESH: dict[tuple[str, str], MeshShape] = {
    ("IFPipeline", "IFSuperResolutionPipeline"): "deepfloyd",
    (IMAGE, "StableDiffusionUpscalePipeline"): "latent",
}
"""Shapes by the classes of the two stages."""


def video_teacher(name: str, teachers: Mapping[str, VideoTeacher]) -> VideoTeacher:
    """The teacher that `name` describes. Raises InputError with the shapes and `teachers`."""
    given = _by_repo(name)
    for one in _large(teachers):
        if set(given) in ({one.video}, set(one.sources)):
            image = given.get(one.image, one.image)
            return replace(one, name=name, video=given[one.video], image=image)
    found = _checkpoints(name, "video", teachers)
    match sorted(found, key=lambda kind: kind == IMAGE):
        case [kind] if kind in VIDEO:
            image = None
        case [kind, "StableDiffusionPipeline"] if kind in VIDEO or kind == ADAPTER:
            image = found[IMAGE]
        case _:
            raise InputError(
                f"{name} is {_said(found)}, and that is no video teacher. Give a "
                f"{listed(list(VIDEO), 'or')}, alone or with an image model that shares its "
                f"latent space (VIDEO+IMAGE), or a {ADAPTER} with a {IMAGE}; or choose one of: "
                f"{', '.join(teachers)}."
            )
    # Known before more than a hundred gigabytes are fetched.
    if hub.read_index(found[kind]).get("boundary_ratio") is not None:
        raise InputError(
            f"{name} has two transformers, one for high and one for low noise. Give a Wan with a "
            "single one, such as Wan-AI/Wan2.1-T2V-14B-Diffusers."
        )
    shape = VIDEO.get(kind, "animatediff")
    like = next(t for t in _large(teachers) if t.shape == shape)
    betas = like.betas if kind == ADAPTER else None
    own = {"video": found[kind], "image": image, "betas": betas, "memory_gb": None}
    return replace(like, name=name, **own, **_unknown(_said(found)))


def mesh_teacher(name: str, teachers: Mapping[str, MeshTeacher]) -> MeshTeacher:
    """The teacher that `name` describes. Raises InputError with the shapes and `teachers`."""
    given = _by_repo(name)
    for one in _large(teachers):
        if set(given) == set(one.sources):
            stages = {"stage_1": given[one.stage_1], "stage_2": given[one.stage_2]}
            return replace(one, name=name, **stages)
    found = _checkpoints(name, "mesh", teachers)
    for stages, shape in MESH.items():
        if set(found) == set(stages):
            like = next(t for t in _large(teachers) if t.shape == shape)
            stage_1, stage_2 = (found[kind] for kind in stages)
            own = {"stage_1": stage_1, "stage_2": stage_2, "memory_gb": None}
            return replace(like, name=name, **own, **_unknown(_said(found)))
    pairs = " or ".join("+".join(stages) for stages in MESH)
    raise InputError(
        f"{name} is {_said(found)}, and that is no mesh teacher. Give both stages as "
        f"STAGE_1+STAGE_2 ({pairs}); or choose one of: {', '.join(teachers)}."
    )


def _large(teachers: Mapping[str, AnyTeacher]) -> list[AnyTeacher]:
    """Those of the list that are on the hub."""
    return [teacher for teacher in teachers.values() if teacher.words is None]


def _by_repo(name: str) -> dict[str, str]:
    """What `name` joins, by their ids on the hub without a revision."""
    return {hub.name_of(source)[0]: source for source in name.split("+")}


def _checkpoints(name: str, job: str, teachers: Mapping[str, object]) -> dict[str, str]:
    """The checkpoints that `name` joins, by their classes. Raises InputError where it has none."""
    # The empty path is a folder too.
    sources = [name] if name and Path(name).is_dir() else name.split("+")
    if not all(source and ("/" in source or Path(source).is_dir()) for source in sources):
        raise InputError(
            f"There is no {job} teacher called {name!r}. Choose one of: {', '.join(teachers)}; or "
            "give a model's folder or its id on the Hugging Face hub."
        )
    return {hub.read_index(source)["_class_name"]: source for source in sources}


def _said(found: Mapping[str, str]) -> str:
    return "a " + listed(list(found), "and a")


def _unknown(what: str) -> dict[str, str]:
    return {"licence": "see the card of the model", "about": f"Your own choice: {what}."}
