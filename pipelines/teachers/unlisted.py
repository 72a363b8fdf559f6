"""Teachers that are not in the list: checkpoints of the same shapes, by folder or hub id.

    video   VIDEO, or VIDEO+IMAGE where an image model can share its latent space
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
IMAGE, ADAPTER, UNET = "StableDiffusionPipeline", "MotionAdapter", "TextToVideoSDPipeline"
VIDEO: dict[str, VideoShape] = {
    "WanPipeline": "wan",
    "CogVideoXPipeline": "cogvideox",
    UNET: "unet3d",
    "AnimateDiffPipeline": "animatediff",
}
"""Shapes by the class of a video model that is given alone."""
WITH_IMAGE: dict[str, VideoShape] = {UNET: "unet3d", ADAPTER: "animatediff"}
"""The same beside an image model: others have latents of their own, or that model already."""
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
    shapes, image = (WITH_IMAGE, found[IMAGE]) if IMAGE in found else (VIDEO, None)
    kinds = [kind for kind in found if kind != IMAGE]
    if len(kinds) != 1 or kinds[0] not in shapes:
        raise InputError(
            f"{name} is {_said(found)}, and that is no video teacher. Give a "
            f"{listed(list(VIDEO), 'or')} alone; or, as VIDEO+IMAGE, a "
            f"{listed(list(WITH_IMAGE), 'or')} with a {IMAGE}; or choose one of: "
            f"{', '.join(teachers)}."
        )
    (kind,) = kinds
    # Known before more than a hundred gigabytes are fetched.
    if hub.read_index(found[kind]).get("boundary_ratio") is not None:
        raise InputError(
            f"{name} has two transformers, one for high and one for low noise. Give a Wan with a "
            "single one, such as Wan-AI/Wan2.1-T2V-14B-Diffusers."
        )
    like = next(t for t in _large(teachers) if t.shape == shapes[kind])
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
    """What `name` joins, by their ids on the hub without a revision; nothing if one comes twice."""
    sources = name.split("+")
    found = {hub.name_of(source)[0]: source for source in sources}
    return found if len(found) == len(sources) else {}


def _checkpoints(name: str, job: str, teachers: Mapping[str, object]) -> dict[str, str]:
    """The checkpoints that `name` joins, by their classes.

    Raises InputError where it has none, or two of one class.
    """
    # The empty path is a folder too.
    sources = [name] if name and Path(name).is_dir() else name.split("+")
    if not all(source and ("/" in source or Path(source).is_dir()) for source in sources):
        raise InputError(
            f"There is no {job} teacher called {name!r}. Choose one of: {', '.join(teachers)}; or "
            "give a model's folder or its id on the Hugging Face hub."
        )
    found: dict[str, str] = {}
    for source in sources:
        kind = hub.read_index(source)["_class_name"]
        if kind in found:
            raise InputError(f"{found[kind]} and {source} are both a {kind}. Give one of them.")
        found[kind] = source
    return found


def _said(found: Mapping[str, str]) -> str:
    return "a " + listed(list(found), "and a")


def _unknown(what: str) -> dict[str, str]:
    return {"licence": "see the card of the model", "about": f"Your own choice: {what}."}
