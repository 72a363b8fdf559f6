"""New UVs for the parts that need them: xatlas (MIT, github.com/jpcy/xatlas), in its own process.

This module knows nothing about files or about why the old UVs were not kept.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.events import Preparing
from pipelines.geometry.corners import face_normals
from pipelines.geometry.model import Floats, Model, Part

MAX_FACES = 250_000
"""A part with more faces is not unwrapped: xatlas would take many minutes."""
TIMEOUT = 600.0
"""Seconds that all parts of a model may take together."""
ROUGHNESS = 2e-4
"""Standard deviation, as a share of a part's longest side, of what makes a surface rough."""
BEAT = 1.0
"""Seconds between two looks at whether somebody still waits."""


def unwrap(model: Model, timeout: float = TIMEOUT) -> Model:
    """The model with UVs on every part; those that are there stay as they are.

    timeout: seconds for all parts. Raises InputError above MAX_FACES, and when xatlas takes too
    long or gives up.
    """
    making = unwrap_by_beats(model, timeout)
    while True:
        try:
            next(making)
        except StopIteration as end:
            return end.value


def unwrap_by_beats(model: Model, timeout: float = TIMEOUT) -> Generator[Preparing, None, Model]:
    """`unwrap` that can be left every second: closing it ends xatlas."""
    end = time.monotonic() + timeout
    parts = []
    try:
        for part in model.parts:
            if part.uv is None:
                part = replace(part, uv=(yield from _charts(part, end)))
            parts.append(part)
    except TimeoutError:
        raise InputError(
            f"Making UVs for {model.name} ({model.faces:,} faces) took more than {timeout:.0f} s. "
            "Simplify it with --max-faces 50000, join its small parts, or give it UVs."
        ) from None
    return replace(model, parts=tuple(parts))


def decimate(model: Model, faces: int) -> Model:
    """A simpler model of about `faces` faces, with quadric error metrics (Garland & Heckbert 1997).

    Nothing of the old UVs, materials and colours fits the new faces, so a note says they are gone;
    a model that has few enough faces is returned as it is.
    """
    if faces < 4:
        raise InputError(f"{faces} faces make no mesh. Ask for 4 or more.")
    if model.faces <= faces:
        return model
    parts = tuple(_simpler(part, faces / model.faces) for part in model.parts)
    simpler = Model(model.name, parts, (), None, model.beside)
    note = (
        f"Simplified from {model.faces:,} to {simpler.faces:,} faces; the old UVs, materials and "
        "colours are left behind."
    )
    return replace(simpler, notes=(*model.notes, note))


def _simpler(part: Part, share: float) -> Part:
    target = max(int(len(part.faces) * share), 4)
    as_it_is = Part(part.name, part.vertices, part.faces, uv=None)
    if len(part.faces) <= target or not face_normals(part.vertices, part.faces).any():
        return as_it_is
    low, size = _box(part)
    # At unit size and welded: its tolerances are absolute, and a file's seams would tear open.
    mesh = trimesh.Trimesh((part.vertices - low) / size, part.faces, process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    mesh = mesh.simplify_quadric_decimation(face_count=target)
    if not len(mesh.faces):
        # Faces that all lie on each other are no longer there.
        return as_it_is
    vertices = np.asarray(mesh.vertices, dtype=np.float64) * size + low
    return Part(part.name, vertices, np.asarray(mesh.faces, dtype=np.int64), uv=None)


def _charts(part: Part, end: float) -> Generator[Preparing, None, Floats]:
    """(F, 3, 2) from xatlas. Raises TimeoutError from `end` on, by `time.monotonic`."""
    if len(part.faces) > MAX_FACES:
        raise InputError(
            f"{part.name} has {len(part.faces):,} faces and needs new UVs, which takes too long "
            f"above {MAX_FACES:,}. Simplify it with --max-faces 100000, or give it UVs."
        )
    low, size = _box(part)
    if not face_normals(part.vertices, part.faces).any():
        return np.zeros((len(part.faces), 3, 2))
    used, faces = np.unique(part.faces, return_inverse=True)
    vertices, faces = (part.vertices[used] - low) / size, faces.reshape(-1, 3)
    uv = yield from _by_xatlas(vertices, faces, end)
    if uv is None:
        # It crashes on some surfaces that are smooth, such as a finely divided icosphere, and not
        # on the same a little rough. The UVs need not know.
        rough = np.random.default_rng(0).normal(0, ROUGHNESS, vertices.shape)
        uv = yield from _by_xatlas(vertices + rough, faces, end)
    if uv is None:
        raise InputError(
            f"xatlas could not make UVs for {part.name}: its surface may be broken. Repair it in a "
            f"3D editor, simplify it with --max-faces {len(part.faces) // 2}, or give it UVs."
        )
    return uv


def _by_xatlas(
    vertices: Floats, faces: NDArray[np.int64], end: float
) -> Generator[Preparing, None, Floats | None]:
    """(F, 3, 2) in a process of its own, or None where that crashes or gives up."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "mesh.npz", Path(folder) / "uv.npz"
        np.savez(given, vertices=vertices, faces=faces)
        script = Path(__file__).with_name("charts.py")
        command = [sys.executable, str(script), str(given), str(made)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **quiet) as run:
            try:
                while run.poll() is None:
                    if (left := end - time.monotonic()) <= 0:
                        raise TimeoutError
                    with suppress(subprocess.TimeoutExpired):
                        run.wait(min(left, BEAT))
                    yield Preparing()
            finally:
                run.kill()
        return np.load(made)["uv"] if run.returncode == 0 and made.is_file() else None


def _box(part: Part) -> tuple[Floats, float]:
    """The lowest corner of a part's box, and its longest side."""
    points = part.vertices[np.unique(part.faces)]
    low = points.min(axis=0)
    return low, float((points.max(axis=0) - low).max())
