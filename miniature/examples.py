"""Make the clips and meshes the studio offers as examples, and write down what to say about them.

    python -m miniature.examples

Scenes and meshes of the tune split, which no teacher was trained on. Each clip's edit changes one
attribute, so that `miniature.draw` could also draw the right answer. This module knows nothing
about edits or pages.
"""

import json
from dataclasses import replace
from pathlib import Path

import torch

from miniature.draw import draw
from miniature.meshes import sample_mesh, write_obj
from miniature.scenes import Scene, caption, sample_scene
from pipelines.media import clip_from_frames, to_uint8, write_clip

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
RATE = 8
"""Frames per second."""
MESHES = {
    "mushroom": {"object": "mushroom", "edit": "cap", "style": "red dotted", "plural": False},
    "snowman": {"object": "snowman", "edit": "hat", "style": "blue striped", "plural": False},
    "rocket": {"object": "rocket", "edit": "fins", "style": "yellow", "plural": True},
}
"""By family: what to say about its mesh."""


def scenes() -> dict[str, tuple[Scene, Scene]]:
    """By file name: the scene of the clip, and the same scene after the edit."""
    ball = replace(
        _moving("left"), object="ball", colour="red", pattern="plain", background="grass"
    )
    fish = replace(
        _moving("rising"), object="fish", colour="blue", pattern="plain", background="plain"
    )
    tree = replace(
        _moving("circling"), object="tree", colour="white", pattern="checked", background="sea"
    )
    return {
        "ball": (ball, replace(ball, colour="blue")),
        "fish": (fish, replace(fish, colour="yellow")),
        "tree": (tree, replace(tree, colour="purple")),
    }


def _moving(motion: str) -> Scene:
    """The first scene of the tune split that moves this way."""
    return next(s for k in range(1000) if (s := sample_scene("tune", k)).motion == motion)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    said = []
    for name, (before, after) in scenes().items():
        frames = to_uint8(torch.from_numpy(draw(before).frames))
        write_clip(FOLDER / f"{name}.mp4", frames, clip_from_frames(frames, RATE))
        clip = {"clip": f"{name}.mp4", "source": caption(before), "target": caption(after)}
        said.append(clip)
    _say("examples.json", said)
    for family in MESHES:
        write_obj(FOLDER / f"{family}.obj", sample_mesh("tune", 0, family))
    meshes = [{"mesh": f"{family}.obj", **words} for family, words in MESHES.items()]
    _say("meshes.json", meshes)


def _say(name: str, said: list[dict[str, str | bool]]) -> None:
    (FOLDER / name).write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    main()
