"""Past runs: which there are, what each was asked, and what can be done with one.

A run's folder is all there is to know about it. This module knows nothing about pages or visitors.
"""

import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipelines import geometry, media, mesh, video
from pipelines.errors import InputError
from pipelines.events import Event
from pipelines.media.files import replacing
from pipelines.mesh import PaintMesh
from pipelines.runs import run_folder, settings
from pipelines.runs.checkpoint import NAME as CHECKPOINT
from pipelines.runs.hold import hold
from pipelines.runs.run_folder import Status
from pipelines.video import EditVideo

Job = EditVideo | PaintMesh
_MODULES = {"video": video, "mesh": mesh}
_KINDS = {"video": EditVideo, "mesh": PaintMesh}
# What `describe` and a resumed run add to the settings of a job.
_ABOUT = ("job", "versions", "lengthened_at")
_DELETED = ".deleted-"
_PRIVATE = (CHECKPOINT, run_folder.STOP, run_folder.STATUS, run_folder.OWNER)


@dataclass(frozen=True)
class Past:
    """A run, as a list of runs shows it."""

    folder: Path
    status: Status
    job: Job | None
    """What was asked; None where the settings cannot be read."""
    broken: str | None
    """Why they cannot, in a sentence."""

    @property
    def preview(self) -> Path | None:
        """A small picture of the result, where there is one."""
        path = self.folder / run_folder.PREVIEW
        return path if path.is_file() else None

    @property
    def words(self) -> str:
        """What was asked, in a few words."""
        match self.job:
            case EditVideo(source=source, target=target):
                return f"{source} → {target}"
            case PaintMesh(object=thing, edit=part, style=style):
                return f"{thing}: {style} {part}".strip()
        return self.folder.name

    @property
    def resumable(self) -> bool:
        """Whether steps are left to take."""
        return self.job is not None and self.status.state in ("interrupted", "stopped", "failed")


def past(base: Path, seen: Callable[[Path], bool] = lambda folder: True) -> list[Past]:
    """The runs in a folder, the newest first. What holds no run is left out.

    seen: whether to list a run, by its folder; nothing is read of one that is not.
    """
    if not base.is_dir():
        return []
    found = []
    for folder in [path for path in base.iterdir() if path.is_dir() and path.name[0] != "."]:
        # Anybody may delete it meanwhile.
        with suppress(FileNotFoundError):
            if _was_begun(folder) and seen(folder):
                found.append(one(folder))
    return sorted(found, key=lambda run: (run.status.began, run.folder.name), reverse=True)


def one(folder: Path) -> Past:
    """The run in a folder, broken or not."""
    job, broken = None, None
    try:
        job = job_of(folder)
    except InputError as error:
        broken = str(error)
    return Past(folder, run_folder.read_status(folder), job, broken)


def job_of(folder: Path, inputs: Mapping[str, Path] | None = None) -> Job:
    """What the run in a folder was asked, with its own copies of the files it was given.

    inputs: where the files are instead, by their settings, of what is kept of a run without them.
    Raises InputError where there is no run or its settings cannot be read.
    """
    said = run_folder.read_settings(folder)
    kind = _kind(said, folder.name)
    files = inputs or run_folder.input_files(folder, settings.file_names(kind, said))
    return _recall(said, {**files, "out": folder})


def embedded_job(path: Path) -> Job:
    """What the run was asked that made a result.mp4 or a painted.glb; its files are names only.

    Raises InputError for a file that no run made, or that lost its settings on the way.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".mp4":
            said = media.read_settings(path)
        case ".glb":
            said = geometry.read_settings(path)
        case _:
            raise InputError(f"{path.name} is no result. Give a result.mp4 or a painted.glb.")
    if not isinstance(said, dict):
        raise InputError(
            f"{path.name} holds no settings: it was not made here, or another program saved it "
            "again. Give the file as a run wrote it."
        )
    _kind(said, path.name)
    return _recall(said, {})


def command_line(job: Job) -> str:
    """The command that runs a job, ready to paste into a shell."""
    module = _MODULES[_name(job)]
    try:
        usual = module.usual(job.teacher)
    except InputError:
        # The teacher is not to be had any more, and with it went what it would bring.
        usual = {}
    return settings.command_line(module.__name__, job, usual)


def begin(job: Job, resumes: bool = False) -> Iterator[Event]:
    """The events of a job, whichever it is."""
    match job:
        case EditVideo():
            return video.edit_video(job, resumes)
        case PaintMesh():
            return mesh.paint_mesh(job, resumes)


def again(job: Job, folder: Path) -> Job:
    """The same job in another folder."""
    return replace(job, out=folder)


def copy(folder: Path, to: Path, inputs: Mapping[str, Path]) -> None:
    """Make a finished run in the folder `to` of what is kept of one in `folder`.

    inputs: as `run_folder.begin` takes them. Raises RunFailed when the disk is full; nothing of the
    copy is then left. Raises FileExistsError where there is something, which is left alone.
    """
    with run_folder.full_disk_is_said("try again"):
        to.mkdir(parents=True)
        try:
            # The settings last, which make it a run.
            left = shutil.ignore_patterns(run_folder.SETTINGS)
            shutil.copytree(folder, to, ignore=left, dirs_exist_ok=True)
            run_folder.begin(to, run_folder.read_settings(folder), inputs)
            steps = run_folder.read_metrics(folder).get("steps", 0)
            run_folder.write_status(to, Status("done", time.time(), steps))
        except BaseException:
            shutil.rmtree(to, ignore_errors=True)
            raise


def delete(folder: Path, base: Path) -> None:
    """Remove a run for good, with all that is in its folder.

    Raises InputError unless it is a run right inside `base`, and while somebody works in it.
    """
    inside = not folder.is_symlink() and folder.resolve().parent == base.resolve()
    if not inside or not folder.is_dir() or not _was_begun(folder):
        raise InputError(f"{folder.name} is no run of this studio, and stays.")
    with hold(folder):
        # At once out of every list: deleting takes a while, and may be cut short.
        folder.rename(base / f"{_DELETED}{uuid4().hex[:8]}")
    for gone in base.glob(f"{_DELETED}*"):
        shutil.rmtree(gone, ignore_errors=True)


def archive(folder: Path) -> Path:
    """A zip, in the run's folder, of what it was given and what it made."""
    path = folder / f"{folder.name}.zip"
    with (
        run_folder.full_disk_is_said("download again"),
        replacing(path) as unfinished,
        zipfile.ZipFile(unfinished, "w") as packed,
    ):
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder)
            hidden = any(part.startswith(".") for part in inside.parts)
            if file.is_file() and not hidden and str(inside) not in (path.name, *_PRIVATE):
                packed.write(file, inside, zipfile.ZIP_DEFLATED)
    return path


def _recall(said: Mapping[str, Any], files: Mapping[str, Path]) -> Job:
    asked = {key: value for key, value in said.items() if key not in _ABOUT}
    return _MODULES[said["job"]].recall(asked, files)


def _kind(said: Mapping[str, Any], where: str) -> type:
    """Which job the settings are of."""
    kind = _KINDS.get(str(said.get("job")))
    if kind is None:
        raise InputError(f"The settings in {where} are of no job of Scorebrush's.")
    return kind


def _name(job: Job) -> str:
    return next(name for name, kind in _KINDS.items() if isinstance(job, kind))


def _was_begun(folder: Path) -> bool:
    """Whether a run was begun here, however far it came."""
    return run_folder.is_run(folder) or (folder / run_folder.STATUS).is_file()
