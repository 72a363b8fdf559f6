"""Which teachers are in memory: the last one of each job stays, and another one takes its place.

Where memory runs out, the other job's teacher goes before the one that works does without anything.
Blocks are compiled where a run asks for that, and plain again where the next one does not. This
module knows nothing about edits or prompts, nor about what a teacher is made of.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from pipelines.errors import InputError, RunFailed
from pipelines.teachers import hub, thrift
from pipelines.teachers.building import Room, build_mesh, build_video
from pipelines.teachers.catalog import mesh_teacher, video_teacher
from pipelines.teachers.loaded import Loaded, LoadedMeshTeacher, LoadedVideoTeacher, notes
from pipelines.teachers.machine import let_go, takes_half
from pipelines.teachers.shortage import shortage
from pipelines.teachers.teacher import Teacher, needs
from pipelines.teachers.thrift import Thrift

T = TypeVar("T")
Build = Callable[[Any, Room], tuple[T, Thrift]]
_last: dict[type[Teacher], tuple[Teacher, Any]] = {}
"""The last teacher of each job, and what was loaded of it."""
LET_GO = "The teacher that the other job had left in memory was let go."


def announcements(teacher: Teacher) -> list[str]:
    """What loading the teacher will download, each with its licence, size and memory.

    None where all of it is here. Raises InputError where something cannot be had.
    """
    said = []
    for source in dict.fromkeys(teacher.sources):
        wanted = hub.download(source, takes_half(), teacher.unread(source))
        if wanted is not None:
            size = f"{wanted.bytes / 1e9:.1f} GB"
            fetched = f"Downloading {source}, {size}. Licence: {teacher.licence}. {needs(teacher)}"
            said.append(fetched.strip())
    return said


def is_here(teacher: Teacher) -> bool:
    """Whether the teacher can be loaded without a download. The hub is not asked."""
    return all(hub.is_here(source, teacher.unread(source)) for source in teacher.sources)


def load_video_teacher(name: str, compile: bool = False) -> LoadedVideoTeacher:
    """The networks of a teacher. Raises InputError where they cannot be had or used."""
    return _kept(video_teacher(name), build_video, compile)


def load_mesh_teacher(name: str, compile: bool = False) -> LoadedMeshTeacher:
    """The networks of a cascade. Raises InputError where they cannot be had or used."""
    return _kept(mesh_teacher(name), build_mesh, compile)


def step_down(loaded: Loaded) -> list[str]:
    """Take less memory from here on; what to tell the user, nothing where nothing is left."""
    if _make_room(loaded):
        return [LET_GO]
    after = thrift.following(loaded.thrift, loaded.device)
    if after is None:
        return []
    if after.fp8 and not loaded.thrift.fp8:
        # The next run begins with weights that are not rounded, as this one did.
        _last.clear()
    loaded.settle(after, loaded.compile)
    let_go()
    return notes(loaded)


def _kept(teacher: Teacher, build: Build[T], compile: bool) -> T:
    """The last teacher of this job if it is this one, else a new one, compiled or not as asked."""
    before, loaded = _last.get(type(teacher), (None, None))
    if before == teacher:
        loaded.settle(loaded.thrift, compile)
        return loaded
    # The last one goes first: two of them need not fit.
    del loaded
    _last.pop(type(teacher), None)
    let_go()
    loaded = _fitting(teacher, build, compile)
    _last[type(teacher)] = (teacher, loaded)
    return loaded


def _fitting(teacher: Teacher, build: Build[T], compile: bool) -> T:
    """A new teacher, with lighter weights than planned where those run out of memory.

    Raises RunFailed where it does not fit even so.
    """
    for lighter in (False, True):
        try:
            return _new(teacher, build, compile, lighter)
        except RuntimeError as error:
            short = shortage(error)
        # Outside of the handler, which holds on to what was too much.
        _make_room()
    raise RunFailed(
        f"There is not enough memory for the teacher {teacher.name}: choose a smaller one, or end "
        f"what else takes memory. It said: {short}"
    )


def _new(teacher: Teacher, build: Build[T], compile: bool, lighter: bool) -> T:
    """A new teacher, ready to be asked."""
    try:
        loaded, chosen = build(teacher, Room(_make_room, lighter))
        loaded.settle(chosen, compile)
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise InputError(f"The teacher {teacher.name} cannot be used: {error}.") from error
    return loaded


def _make_room(loaded: Loaded | None = None) -> bool:
    """Let go of every teacher but this one, which comes first; whether there was another."""
    others = [job for job, (_, kept) in _last.items() if kept is not loaded]
    for job in others:
        del _last[job]
    let_go()
    return bool(others)
