"""Which weights a teacher is made of, in a few digits, for whoever wants to repeat a run.

    on the hub             the commit
    in a folder here       SHA-256 of its safetensors, one after the other in order of their paths

Knows nothing about what the weights are for.
"""

import hashlib
from functools import cache
from pathlib import Path

from pipelines.teachers import hub
from pipelines.teachers.teacher import MeshTeacher, Teacher

DIGITS = 12
MOST = 10**8
"""Bytes that are read for this; a larger folder would keep a run waiting, and is left out."""


def weights(teacher: Teacher) -> dict[str, str]:
    """What tells the weights of each of a teacher's checkpoints from any others, by its role.

    One on the hub of which nothing is here yet is left out.
    """
    roles = ("stage_1", "stage_2") if isinstance(teacher, MeshTeacher) else ("video", "image")
    found = {role: _told(source) for role, source in zip(roles, teacher.sources, strict=False)}
    return {role: told for role, told in found.items() if told is not None}


def _told(source: str) -> str | None:
    folder = Path(source)
    if not folder.is_dir():
        return hub.commit(source)
    return _digest(folder, hub.identity(source, folder, ("",)))


@cache
def _digest(folder: Path, identity: str) -> str | None:
    """identity: changes when the files do, so that they are read again then."""
    files = sorted(folder.rglob("*.safetensors"))
    if sum(path.stat().st_size for path in files) > MOST:
        return None
    found = hashlib.sha256()
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()[:DIGITS]
