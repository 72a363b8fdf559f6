"""Make the clips and meshes the studio offers as examples, and what comes of them.

    python -m miniature.examples [--preset standard]

Scenes and meshes of the tune split, which no teacher was trained on. Each clip's edit changes one
attribute, so that `miniature.draw` could also draw the right answer. The results are the product's
own, made by the built-in teachers as they are, so that the page can show them at once. This module
knows nothing about pages.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import tyro

from miniature.draw import draw
from miniature.meshes import sample_mesh, write_obj
from miniature.scenes import Scene, caption, sample_scene
from pipelines.clip.job import Preset
from pipelines.events import Done, Event
from pipelines.media import clip_from_frames, to_uint8, write_clip
from pipelines.media.comparison import COMPARISON
from pipelines.mesh import PaintMesh, paint_mesh
from pipelines.runs import run_folder
from pipelines.video import EditVideo, edit_video

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
RATE = 8
"""Frames per second."""
RESOLUTION = 512
"""Texels along a side of an example's texture: what is shipped stays small."""
KEPT = {
    "video": ("result.mp4", COMPARISON, run_folder.SETTINGS, run_folder.METRICS),
    "mesh": (
        "painted.glb",
        "painted.obj",
        "painted.mtl",
        "painted_0.png",
        "base.png",
        "style.png",
        "localization.png",
        "texture.png",
        "turntable.mp4",
        COMPARISON,
        run_folder.PREVIEW,
        run_folder.SETTINGS,
        run_folder.METRICS,
    ),
}
"""What is kept of a run, by its kind: of a mesh also what its region can be moved with. Settings
and metrics tell what a run takes, as long as there is none on a machine to tell it."""
MESHES = {
    "mushroom": {"object": "mushroom", "edit": "cap", "style": "red dotted"},
    "snowman": {"object": "snowman", "edit": "hat", "style": "blue"},
    "vase": {"object": "vase", "edit": "body", "style": "blue striped"},
}
"""By family: what to say about its mesh."""


def scenes() -> dict[str, tuple[Scene, Scene]]:
    """By file name: the scene of the clip, and the same scene after the edit."""
    ball = replace(
        _moving("left"), object="ball", colour="red", pattern="plain", background="grass"
    )
    fish = replace(
        _moving("rising"), object="fish", colour="pink", pattern="striped", background="desert"
    )
    tree = replace(
        _moving("circling"),
        object="tree",
        colour="orange",
        pattern="plain",
        background="brick wall",
    )
    return {
        "ball": (ball, replace(ball, colour="blue")),
        "fish": (fish, replace(fish, pattern="checked")),
        "tree": (tree, replace(tree, object="star")),
    }


def _moving(motion: str) -> Scene:
    """The first scene of the tune split that moves this way."""
    return next(s for k in range(1000) if (s := sample_scene("tune", k)).motion == motion)


def clips() -> list[dict[str, Any]]:
    """Draw the clips; what to say about each, and the folder of its result."""
    said = []
    for name, (before, after) in scenes().items():
        frames = to_uint8(torch.from_numpy(draw(before).frames))
        write_clip(FOLDER / f"{name}.mp4", frames, clip_from_frames(frames, RATE))
        words = {"source": caption(before), "target": caption(after)}
        said.append({"clip": f"{name}.mp4", **words, "result": name})
    return said


def meshes() -> list[dict[str, Any]]:
    """Make the meshes; what to say about each, and the folder of its result."""
    for family in MESHES:
        write_obj(FOLDER / f"{family}.obj", sample_mesh("tune", 0, family))
    return [
        {"mesh": f"{family}.obj", **words, "result": family} for family, words in MESHES.items()
    ]


def keep(kind: str, name: str, events: Iterator[Event], run: Path) -> None:
    """Finish a run, and keep of it what the page shows in the folder `name`."""
    for event in events:
        if isinstance(event, Done):
            print(f"{name}: {event.metrics['seconds']:.0f} s", flush=True)
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    (FOLDER / name).mkdir()
    for file in KEPT[kind]:
        shutil.copy(run / file, FOLDER / name / file)


def main(preset: Preset = "standard") -> None:
    """Make the studio's examples and their results.

    Args:
        preset: how many steps each result takes.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        said = clips()
        for one in said:
            run = Path(folder) / one["result"]
            job = EditVideo(FOLDER / one["clip"], one["source"], one["target"], run, preset=preset)
            keep("video", one["result"], edit_video(job), run)
        _say("examples.json", said)
        said = meshes()
        for one in said:
            run = Path(folder) / one["result"]
            words = {name: one[name] for name in ("object", "edit", "style")}
            job = PaintMesh(
                FOLDER / one["mesh"], out=run, preset=preset, resolution=RESOLUTION, **words
            )
            keep("mesh", one["result"], paint_mesh(job), run)
        _say("meshes.json", said)


def _say(name: str, said: list[dict[str, Any]]) -> None:
    (FOLDER / name).write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main, prog="python -m miniature.examples")
