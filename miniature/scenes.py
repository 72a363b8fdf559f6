"""The grammar of the small world: what a scene is, how it is sampled and how it is called.

A `Scene` holds every attribute and every continuous parameter of a short clip, so that
`dataclasses.replace(scene, colour="blue")` is the same clip with one thing changed: the exact right
answer of an edit. This module knows nothing about pixels (see `miniature.draw`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

OBJECTS = ("ball", "cube", "star", "car", "fish", "boat", "bird", "tree")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
PATTERNS = ("plain", "striped", "dotted", "checked")
BACKGROUNDS = ("grass", "sea", "night sky", "desert", "brick wall", "plain")
MOTIONS = ("left", "right", "rising", "bouncing", "circling", "still")

PLACES = {
    "grass": "on the grass",
    "sea": "on the sea",
    "night sky": "in the night sky",
    "desert": "in the desert",
    "brick wall": "in front of a brick wall",
    "plain": "on a plain background",
}
VERBS = {
    "ball": "rolling",
    "cube": "sliding",
    "star": "gliding",
    "car": "driving",
    "fish": "swimming",
    "boat": "sailing",
    "bird": "flying",
    "tree": "moving",
}
ARTICLES = {"orange": "an"}

Split = Literal["train", "tune", "test"]
_SPLITS = {"train": 0, "tune": 1, "test": 2}


@dataclass(frozen=True)
class Scene:
    """One clip of the small world. Lengths are fractions of the frame's side."""

    object: str
    colour: str
    pattern: str
    background: str
    motion: str
    x: float
    """Centre of the path, 0 left to 1 right."""
    y: float
    """Centre of the path, 0 top to 1 bottom."""
    radius: float
    """Half the object's width."""
    travel: float
    """Length of the path (diameter of the circle, height of the bounce)."""
    phase: float
    """Where a circle or a bounce starts, 0 to 1."""
    light: float
    """Direction the light comes from, in radians; 0 is from the right, pi/2 from below."""
    facing: int
    """1 looks right, -1 left, where the motion does not say."""
    texture_seed: int
    """Seed of the background's texture."""


def sample_scene(split: Split, seed: int) -> Scene:
    """Scene number `seed` of a split. The splits never share a random stream."""
    rng = np.random.default_rng([_SPLITS[split], seed])
    radius = rng.uniform(0.17, 0.28)
    motion = str(rng.choice(MOTIONS))
    travel = 0.0 if motion == "still" else rng.uniform(0.12, 0.30)
    along_x = travel / 2 if motion in ("left", "right", "circling") else 0.0
    along_y = travel / 2 if motion in ("rising", "bouncing", "circling") else 0.0
    margin_x, margin_y = radius + along_x + 0.02, radius + along_y + 0.02
    return Scene(
        object=str(rng.choice(OBJECTS)),
        colour=str(rng.choice(COLOURS)),
        pattern=str(rng.choice(PATTERNS)),
        background=str(rng.choice(BACKGROUNDS)),
        motion=motion,
        x=rng.uniform(margin_x, 1 - margin_x),
        y=rng.uniform(margin_y, 1 - margin_y),
        radius=radius,
        travel=travel,
        phase=rng.uniform(),
        light=rng.uniform(-2.6, -0.5),
        facing=int(rng.choice((-1, 1))),
        texture_seed=int(rng.integers(2**31)),
    )


def centres(scene: Scene, frames: int) -> np.ndarray:
    """Centre of the object in every frame: float64 (F, 2), x then y, in fractions of the side."""
    t = np.arange(frames) / max(frames - 1, 1)
    x, y = np.full(frames, scene.x), np.full(frames, scene.y)
    half = scene.travel / 2
    turn = 2 * np.pi * (t + scene.phase)
    if scene.motion == "left":
        x = scene.x + half - scene.travel * t
    elif scene.motion == "right":
        x = scene.x - half + scene.travel * t
    elif scene.motion == "rising":
        y = scene.y + half - scene.travel * t
    elif scene.motion == "bouncing":
        y = scene.y + half - scene.travel * np.abs(np.sin(turn))
    elif scene.motion == "circling":
        x, y = scene.x + half * np.cos(turn), scene.y + half * np.sin(turn)
    return np.stack([x, y], axis=1)


def facing(scene: Scene) -> int:
    """1 if the object looks right, -1 if it looks left."""
    return {"left": -1, "right": 1}.get(scene.motion, scene.facing)


def caption(scene: Scene, motion: bool = True, pattern: bool | None = None) -> str:
    """What the scene shows, in the grammar's words.

    `motion` says how it moves; `pattern` names the pattern (by default only where it is not
    plain).
    """
    named = scene.pattern != "plain" if pattern is None else pattern
    words = [ARTICLES.get(scene.colour, "a"), scene.colour]
    if named:
        words.append(scene.pattern)
    words.append(scene.object)
    if motion:
        words.append(_motion_words(scene))
    words.append(PLACES[scene.background])
    return " ".join(words)


def _motion_words(scene: Scene) -> str:
    if scene.motion in ("left", "right"):
        return f"{VERBS[scene.object]} {scene.motion}"
    return "standing still" if scene.motion == "still" else scene.motion


def training_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A random way to call the scene: with or without its motion, its side, a spare "plain"."""
    if rng.uniform() < 0.35:
        return caption(scene, motion=False, pattern=_named(scene, rng))
    text = caption(scene, motion=True, pattern=_named(scene, rng))
    if scene.motion in ("left", "right") and rng.uniform() < 0.4:
        text = text.replace(f" {scene.motion} ", " ", 1)
    return text


def _named(scene: Scene, rng: np.random.Generator) -> bool:
    return scene.pattern != "plain" or rng.uniform() < 0.2


def words() -> tuple[str, ...]:
    """Every word the grammar can say, sorted: what the built-in teachers know."""
    phrases = [*PLACES.values(), *VERBS.values(), *OBJECTS, *COLOURS, *PATTERNS]
    phrases += ["left right rising bouncing circling standing still", "a an the"]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))
