"""What tests/pipelines/test_zero_gpu.py runs in a process of its own, on a ZeroGPU of our own."""

import json
import os
import sys
import threading
from functools import partial
from pathlib import Path

from pipelines import worker
from pipelines.events import Done, Note, Preview, Step

import spaces  # isort: skip
import torch

from pipelines.mesh import PaintMesh, paint_mesh
from pipelines.runs import run_folder
from pipelines.video import EditVideo, edit_video


def showing(folder):
    run_folder.open_folder(folder)
    yield Note(str(os.getpid()))
    with torch.no_grad():
        yield Preview(0, torch.arange(24, dtype=torch.uint8).reshape(1, 2, 4, 3))


def endless(folder):
    run_folder.open_folder(folder)
    index = 0
    while not run_folder.stop_asked(folder):
        yield Step(index, 10**6, float(index), 0.0, 0.0)
        index += 1


def broken():
    yield Note("first")
    raise ZeroDivisionError


def main(folder: Path, clip: Path, mesh: Path) -> dict:
    found = {"zero": worker.ZERO_GPU}

    here = []
    worker.prepare(lambda: here.append(threading.current_thread() is threading.main_thread()))
    found["prepared"] = here

    note, preview = worker.stream(partial(showing, folder / "a"), folder / "a", 7.6)
    found["another_process"] = int(note.text) != os.getpid()
    found["picture"] = preview.frames.flatten().tolist() == list(range(24))

    events = worker.stream(partial(endless, folder / "b"), folder / "b")
    found["first"] = next(events).index
    worker.stop(folder / "b")
    found["ended"] = sum(1 for _ in events) < 10**5

    edit = EditVideo(clip, "a red ball", "a blue ball", folder / "edit", steps=1)
    *_, last = worker.stream(partial(edit_video, edit), edit.out)
    found["edited"] = isinstance(last, Done) and last.result.exists()

    nothing = PaintMesh(mesh, "mushroom", "red", folder / "paint", "cap", steps=0)
    failing = {"refused": partial(paint_mesh, nothing), "broken": broken}
    for name, job in failing.items():
        try:
            list(worker.stream(job, folder / "paint"))
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"

    found["reserved"] = spaces.reserved
    return found


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))))
