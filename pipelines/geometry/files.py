"""The files a mesh may name: those in its own folder, or in its own zip, and no others.

A mesh from a stranger may name any path. URLs, `..` that leaves the folder and links that lead out
of it are refused with a sentence, before anything is opened. An absolute path, which many programs
write, is never followed: it stands for a file of its name beside the mesh. This module knows
nothing about what is in the files.
"""

import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from pipelines.errors import InputError

MAX_BYTES = 512 * 2**20
"""A file, or all of a zip unpacked: an OBJ of two million faces needs about half of it."""
MAX_ENTRIES = 2000
"""Files in a zip."""
BESIDE = "Put it beside the mesh, or give both as a zip."
"""What to do about a file that a mesh names and that is not there."""
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError)
DAMAGED += (UnicodeDecodeError,)
"""What a zip raises that is damaged, has a password, or is packed in a way Python does not know."""


class Files(Protocol):
    """What lies around a mesh."""

    def read(self, name: str) -> bytes | None:
        """The file `name`, relative to the mesh; None if there is none. InputError if outside.

        Names that differ in capitals only are one file where most meshes are made: where there is
        no file of just that name, one that is spelt with other capitals is meant.
        However often a file is asked for, it is held in memory once.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """The folder a mesh lies in, and what is below it."""

    root: Path
    found: dict[str, bytes] = field(default_factory=dict)
    """The files that were read so far, by their names relative to `root`."""

    def read(self, name: str) -> bytes | None:
        inside = self._spelt(_inside(_beside(name), PurePosixPath()))
        path = self.root / inside
        if self._leads_out(path):
            raise InputError(
                f"{name!r} is a link that leads out of the mesh's folder; it is not followed. "
                "Put the file itself there."
            )
        if inside not in self.found and os.path.isfile(path):
            self.found[inside] = read_bounded(path)
        return self.found.get(inside)

    def _leads_out(self, path: Path) -> bool:
        return not path.resolve().is_relative_to(self.root.resolve())

    def _spelt(self, inside: str) -> str:
        """`inside` with the capitals it has in the folder, or as it is where there is none."""
        # Here and below as `os.path` asks: there is no file whose name is longer than one can be.
        if os.path.exists(self.root / inside):
            return inside
        places = [PurePosixPath()]
        for part in PurePosixPath(inside.casefold()).parts:
            names = ((at, name) for at in places for name in self._names(at))
            places = [at / name for at, name in names if name.casefold() == part]
        return next((str(at) for at in places if os.path.isfile(self.root / at)), inside)

    def _names(self, at: PurePosixPath) -> list[str]:
        """What is in a folder, in order; nothing where it leads out or cannot be listed."""
        try:
            return [] if self._leads_out(self.root / at) else sorted(os.listdir(self.root / at))
        except OSError:
            return []


@dataclass(frozen=True, eq=False)
class Archive:
    """A zip, read without unpacking it to the disk."""

    zip: zipfile.ZipFile
    name: str
    """The zip's own, for messages."""
    start: PurePosixPath
    """The folder of the mesh inside the zip."""
    entries: dict[str, zipfile.ZipInfo]
    """By their paths from the zip's root, and by the same without capitals."""
    found: dict[zipfile.ZipInfo, bytes]
    """The entries that were unpacked so far."""

    def read(self, name: str) -> bytes | None:
        inside = _inside(_beside(name), self.start)
        entry = self.entries.get(inside) or self.entries.get(inside.casefold())
        if entry is not None and entry not in self.found:
            with damage_is_said(self.name):
                self.found[entry] = self.zip.read(entry)
        return self.found.get(entry)


@contextmanager
def damage_is_said(name: str) -> Iterator[None]:
    """Turn what a zip raises that cannot be read into InputError. name: the zip's."""
    try:
        yield
    except DAMAGED as error:
        raise InputError(
            f"{name} is not a zip that can be opened, or it is damaged or has a password. "
            "Zip the mesh and its textures again."
        ) from error


def read_bounded(path: Path) -> bytes:
    """The bytes of a file of at most MAX_BYTES; InputError where it is larger or cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path.name} is larger than {MAX_BYTES >> 20} MB. Simplify the mesh or shrink "
                "its textures first."
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read ({error.strerror}). Check its permissions."
        ) from error


def as_text(content: bytes) -> str:
    """A text file's characters: names in any encoding come out as they went in.

    Without the mark that many programs on Windows put in front.
    """
    return content.decode("utf-8-sig", "surrogateescape")


def open_archive(path: Path, kinds: tuple[str, ...]) -> tuple[str, bytes, Archive]:
    """The one mesh in a zip: its name, its bytes, and the files around it.

    kinds: suffixes of meshes, with the dot. Raises InputError for a damaged or too large zip, for
    entries that lead out of it, and unless it holds exactly one mesh.
    """
    with damage_is_said(path.name):
        archive = zipfile.ZipFile(path)
        entries = _checked(archive, path.name)
        mesh = _mesh(entries, path.name, kinds)
        content = archive.read(entries[mesh])
    lower = {inside.casefold(): entry for inside, entry in entries.items()}
    found = {entries[mesh]: content}
    around = Archive(archive, path.name, PurePosixPath(mesh).parent, lower | entries, found)
    return mesh, content, around


def _checked(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip by their paths from its root; errors as `open_archive`. name: the zip's.

    Programs write `./a.obj` and `maps\\wood.png` too: the keys are without dots, with slashes.
    """
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    # zipfile never unpacks more of an entry than the size it declares, and `Archive` unpacks each
    # once, so the sum is a real bound.
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise InputError(
            f"{name} unpacks to more than {MAX_BYTES >> 20} MB or {MAX_ENTRIES} files. "
            "Zip only the mesh and its textures."
        )
    for entry in entries:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(
                f"{name} holds the link {entry.filename!r}, which is not followed. "
                "Zip the files themselves."
            )
    return {_inside(entry.filename, PurePosixPath()): entry for entry in entries}


def _mesh(entries: Iterable[str], name: str, kinds: tuple[str, ...]) -> str:
    """The one mesh among the files of a zip; InputError unless there is one. name: the zip's."""
    paths = map(PurePosixPath, entries)
    meshes = [
        str(p) for p in paths if p.suffix.lower() in kinds and not _hidden(p) and p.name[0] != "."
    ]
    if len(meshes) != 1:
        raise InputError(
            f"{name} holds {len(meshes)} meshes and must hold one "
            f"({', '.join(kind[1:] for kind in kinds)}), with its textures."
        )
    return meshes[0]


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts[:-1])


def _beside(name: str) -> str:
    """What an absolute path names, in the mesh's own folder; any other `name` as it is."""
    # Windows' rules know the roots of both: `C:\`, `\\server\share\` and `/`.
    return re.split(r"[\\/:]", name)[-1] if PureWindowsPath(name).anchor else name


def _inside(name: str, start: PurePosixPath) -> str:
    """`name`, relative to `start`, as a path from the root; InputError if it leaves the root."""
    text = name.replace("\\", "/")
    found = list(start.parts)
    outside = text.startswith("/") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or "\0" in text
    for part in text.split("/"):
        if part == ".." and not found:
            outside = True
        elif part == "..":
            found.pop()
        elif part not in ("", "."):
            found.append(part)
    if outside:
        raise InputError(
            f"The mesh names {name[:80]!r}, which is not in its own folder; it is not read. Put "
            "the file beside the mesh, name it without its folders, and upload both as a zip."
        )
    return "/".join(found)
