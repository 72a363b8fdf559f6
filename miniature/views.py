"""Training pictures of the mesh world: views of sampled meshes, with the prompts of the mesh job.

A mesh is rendered from several sides at once; every view shows one of the job's composites, in the
job's own words, colours and light, so that the teachers learn what the job will show them. This
module knows nothing about teachers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from miniature.close_ups import ball, close_up, fitting
from miniature.cores import on_all_cores
from miniature.meshes import PartMesh, sample_mesh, surface
from miniature.styles import Style, sample_style, style_colours
from pipelines.paint.composites import Words, prompts
from pipelines.render import Cameras, compose, downsample, rasterise, shade, visible
from pipelines.render.cameras import DISTANCE
from pipelines.render.shade import LAMP

SIZE = 128
SUPERSAMPLING = 2
PER_MESH = 8
"""Views of one mesh, rendered together."""
KINDS = {"localization": 0.18, "style": 0.55, "background": 0.14, "global": 0.09, "gray": 0.04}
"""What a view shows, and how often: the job's composites, one style all over, or no edit at all."""
SCARCITY = 1 / 3
"""A part is shown in proportion to its surface to the minus this: a door more often than a wall."""
CLOSE = 0.5
"""Of the views that show a style on a part, how many are close-ups."""
CLOSEST = 4.0
"""How many times larger than in a whole view a close-up shows its part, at most."""
ASIDE = 0.1
"""How far a close-up looks past the middle of its part, in radii of it."""
GRAY = Style("gray")
YELLOW = Style("yellow")
STREAM = 13
"""First word of the views' random stream: none of the scenes' and meshes'."""

Rng = np.random.Generator


@dataclass(frozen=True)
class Look:
    """How a mesh is painted, and how that is called."""

    caption: str
    styles: tuple[Style, ...]
    """One for each part."""
    close: int | None = None
    """The part that is shown close up."""


def mesh_views(number: int) -> tuple[np.ndarray, list[str]]:
    """All views of training mesh `number`: uint8 (PER_MESH, 3, 128, 128), and their captions."""
    rng = np.random.default_rng([STREAM, number])
    mesh = sample_mesh("train", number)
    looks = [sample_look(mesh, rng) for _ in range(PER_MESH)]
    cameras = come_closer(sample_cameras(PER_MESH, rng), mesh, looks, rng)
    pictures = render(mesh, looks, cameras, rng)
    return (pictures * 255).round().byte().numpy(), [look.caption for look in looks]


def sample_look(mesh: PartMesh, rng: Rng) -> Look:
    """A random composite of a random part, in a random style."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    scarce = mesh.areas**-SCARCITY
    k = int(rng.choice(len(mesh.parts), p=scarce / scarce.sum()))
    style = sample_style(rng)
    if kind in ("global", "gray"):
        style = GRAY if kind == "gray" else style
        (caption,) = prompts(Words(mesh.family, None, str(style)), background=False)
        return Look(caption, (style,) * len(mesh.parts))
    words = Words(mesh.family, mesh.parts[k].name, str(style), mesh.parts[k].plural)
    localized, styled, placed = prompts(words, background=True)
    if kind == "style":
        close = k if rng.uniform() < CLOSE else None
        return Look(styled, _with(mesh, k, style, (GRAY,) * len(mesh.parts)), close)
    if kind == "localization":
        return Look(localized, _with(mesh, k, YELLOW, (GRAY,) * len(mesh.parts)))
    return Look(placed, _with(mesh, k, YELLOW, _plausible(mesh, rng)))


def _with(mesh: PartMesh, k: int, style: Style, rest: tuple[Style, ...]) -> tuple[Style, ...]:
    return tuple(style if j == k else rest[j] for j in range(len(mesh.parts)))


def _plausible(mesh: PartMesh, rng: Rng) -> tuple[Style, ...]:
    """Styles without yellow for an object nothing is said of: one for all parts, or one each."""
    count = len(mesh.parts) if rng.uniform() < 0.5 else 1
    drawn = []
    while len(drawn) < count:
        style = sample_style(rng)
        if style.colour != YELLOW.colour:
            drawn.append(style)
    return tuple(drawn * (len(mesh.parts) // count))


def sample_cameras(count: int, rng: Rng) -> Cameras:
    """Four of five from where objects are usually seen, the others from anywhere on the sphere.

    The distance varies from where the unit ball just fits the picture to a tenth beyond the job's.
    """
    usual = rng.uniform(np.radians(-60), np.radians(70), count)
    anywhere = np.arcsin(rng.uniform(-1, 1, count))
    up = np.where(rng.uniform(size=count) < 0.8, usual, anywhere)
    turn = rng.uniform(0, 2 * np.pi, count)
    away = np.stack([np.cos(up) * np.sin(turn), np.sin(up), np.cos(up) * np.cos(turn)], axis=1)
    away *= DISTANCE * rng.uniform(0.98, 1.1, (count, 1))
    return Cameras(torch.from_numpy(away).float())


def come_closer(cameras: Cameras, mesh: PartMesh, looks: list[Look], rng: Rng) -> Cameras:
    """The cameras with windows around the parts that are to be shown close up.

    They show the part at anything from its size in a whole view to as large as it fits.
    """
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    centres, sizes = torch.zeros(len(looks), 3), torch.ones(len(looks))
    for k, look in enumerate(looks):
        if look.close is None:
            continue
        found = ball(vertices, faces[torch.from_numpy(mesh.labels == look.close)])
        aside = torch.from_numpy(ASIDE * rng.standard_normal(3)).float()
        centres[k] = found.centre + found.radius * aside
        sizes[k] = fitting(found, CLOSEST) ** rng.uniform()
    return close_up(cameras, centres, sizes)


def render(mesh: PartMesh, looks: list[Look], cameras: Cameras, rng: Rng) -> Tensor:
    """One view for each look, before plain random backgrounds: (B, 3, 128, 128) in [0, 1].

    The lamp is where the job has it, give or take some fifteen degrees.
    """
    size = SIZE * SUPERSAMPLING
    shape = surface(mesh)
    buffer = rasterise(shape, cameras, size)
    points, index = visible(shape, buffer)
    part = torch.from_numpy(mesh.labels)[buffer.face.flatten()[index]]
    colours = _colours(mesh, points.position, part, index // size**2, looks)
    lamp = torch.from_numpy(np.array(LAMP) + 0.2 * rng.standard_normal((len(looks), 3))).float()
    light = (lamp[:, None] @ cameras.axes)[:, 0]
    level = shade(points, cameras, index, size, light)
    return downsample(compose(colours, level, index, _backgrounds(len(looks), rng), size), SIZE)


def _colours(
    mesh: PartMesh, position: Tensor, part: Tensor, view: Tensor, looks: list[Look]
) -> Tensor:
    """Every point in the style that its view gives its part: (N, 3).

    Parts in one style wear it together.
    """
    colours = torch.empty_like(position)
    for k, look in enumerate(looks):
        for style in set(look.styles):
            parts = [j for j, other in enumerate(look.styles) if other == style]
            rows = ((view == k) & torch.isin(part, torch.tensor(parts))).nonzero()[:, 0]
            colours[rows] = style_colours(position[rows], style, mesh.box(parts))
    return colours


def _backgrounds(count: int, rng: Rng) -> Tensor:
    """Grays and colours in equal parts: (count, 3)."""
    gray = np.repeat(rng.uniform(size=(count, 1)), 3, axis=1)
    colour = rng.uniform(size=(count, 3))
    return torch.from_numpy(np.where(rng.uniform(size=(count, 1)) < 0.5, gray, colour)).float()


def render_views(work: Path, count: int) -> None:
    """Write `work/views.npy`, uint8 (count, 3, 128, 128), and `work/views.txt`, a caption a line.

    Goes on with the first mesh that is missing, and does nothing where all views are there. Raises
    ValueError where another number of views is there.
    """
    work.mkdir(parents=True, exist_ok=True)
    target, captions = work / "views.npy", work / "views.txt"
    partial = work / "views.partial"
    if target.exists():
        if len(np.load(target, mmap_mode="r")) != count:
            raise ValueError(f"{target} holds another number of views than {count}: delete it")
        return
    shape = (count, 3, SIZE, SIZE)
    started = partial.exists() and captions.exists()
    if started and np.load(partial, mmap_mode="r").shape != shape:
        raise ValueError(f"{partial} holds another number of views than {count}: delete it")
    mode = "r+" if started else "w+"
    store = np.lib.format.open_memmap(partial, mode, np.uint8, None if started else shape)
    lines = captions.read_text().splitlines() if started else []
    done = len(lines) // PER_MESH
    captions.write_text("".join(f"{line}\n" for line in lines[: done * PER_MESH]))
    with captions.open("a") as out:
        meshes = range(done, -(-count // PER_MESH))
        rendered = tqdm(on_all_cores(mesh_views, meshes), "views", len(meshes), mininterval=5)
        for mesh, (pictures, texts) in zip(meshes, rendered, strict=True):
            first = mesh * PER_MESH
            store[first : first + PER_MESH] = pictures[: count - first]
            out.write("".join(f"{text}\n" for text in texts[: count - first]))
            out.flush()
    store.flush()
    partial.rename(target)
