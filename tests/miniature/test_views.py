"""Training pictures of the mesh world: known words, exact patterns, colours as the caption says."""

import re
from collections import Counter

import numpy as np
import pytest
import torch
import trimesh

from miniature import views
from miniature.draw import second_colour
from miniature.meshes import FAMILIES, PartMesh, PartName, sample_mesh
from miniature.meshes.solids import ellipsoid
from miniature.scenes import COLOURS, PATTERNS
from miniature.styles import BAND, CHECK, COLOUR, DOT, LATTICE, Style, style_colours, words
from miniature.views import GRAY, KINDS, YELLOW, Look, mesh_views, sample_look
from pipelines.render import orbit
from pipelines.render.shade import AMBIENT

STYLE = f"({'|'.join(COLOURS)})( striped| dotted| checked)?"
GRAMMAR = re.compile(
    rf"a 3d render of (an? ({STYLE}|gray) \w+|a (gray )?\w+ with (an? )?{STYLE} (?P<part>\w+))"
)


def looks(count: int) -> list[tuple[PartMesh, Look]]:
    rng = np.random.default_rng(5)
    meshes = [sample_mesh("train", k) for k in range(40)]
    return [(meshes[k % 40], sample_look(meshes[k % 40], rng)) for k in range(count)]


LOOKS = looks(4000)


def test_captions_follow_the_grammar_in_known_words():
    said = set()
    for mesh, look in LOOKS:
        match = GRAMMAR.fullmatch(look.caption)
        assert match, look.caption
        assert mesh.family in look.caption
        said |= set(look.caption.split())
        if match["part"]:
            (part,) = (p for p in mesh.parts if p.name == match["part"])
            article = re.search(rf" with (an? )?{STYLE} {part.name}", look.caption)[1]
            assert (article is None) == part.plural, look.caption
    assert said == set(words()), "4000 captions say every word"
    assert list(words()) == sorted(words())


def test_articles_agree_with_the_next_word():
    for _, look in LOOKS:
        for article, word in re.findall(r"\b(an?) (\w+)", look.caption):
            assert (article == "an") == (word[0] in "aeiou"), look.caption


def test_the_kinds_come_as_often_as_they_should():
    count = Counter()
    for _, look in LOOKS:
        placed = " with " in look.caption
        if not placed:
            kind = "gray" if look.styles[0] == GRAY else "global"
        elif " of a gray " not in look.caption:
            kind = "background"
        else:
            kind = "localization" if YELLOW in look.styles else "style"
        count[kind] += 1
    # A plain yellow style looks, and is called, like a localization: one picture, one caption.
    for kind, share in KINDS.items():
        assert count[kind] / len(LOOKS) == pytest.approx(share, abs=0.035)


def test_a_small_part_is_shown_more_often_by_the_cube_root_of_its_surface():
    rng = np.random.default_rng(3)
    mesh = next(m for k in range(100) if (m := sample_mesh("train", k)).family == "house")
    assert mesh.areas.sum() == pytest.approx(surface_area(mesh), rel=1e-4)
    said = Counter(sample_look(mesh, rng).caption.split()[-1] for _ in range(6000))
    names = [part.name for part in mesh.parts]
    wall, door = names.index("walls"), names.index("door")
    ratio = (mesh.areas[wall] / mesh.areas[door]) ** (1 / 3)
    assert ratio > 2
    assert said["door"] / said["walls"] == pytest.approx(ratio, rel=0.15)


def surface_area(mesh: PartMesh) -> float:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).area


def test_the_painted_part_is_the_one_the_caption_names():
    for mesh, look in LOOKS:
        match = GRAMMAR.fullmatch(look.caption)
        if match["part"] is None:
            assert len(set(look.styles)) == 1
            assert str(look.styles[0]) in look.caption
            continue
        k = [part.name for part in mesh.parts].index(match["part"])
        rest = look.styles[:k] + look.styles[k + 1 :]
        assert f"{look.styles[k]} {match['part']}" in look.caption
        if " of a gray " in look.caption:
            assert set(rest) == {GRAY}
        else:
            assert look.styles[k] == YELLOW
            assert "yellow" not in {style.colour for style in rest}


UNIT = ((0, 0, 0), (1, 1, 1))


def colours_at(style: Style, box, *points: tuple[float, float, float]) -> torch.Tensor:
    points, box = (torch.tensor(given, dtype=torch.float64) for given in (points, box))
    return style_colours(points, style, box)


@pytest.mark.parametrize("colour", [*COLOURS, "gray"])
def test_a_plain_style_is_its_colour_everywhere(colour):
    seen = colours_at(Style(colour), UNIT, (0, 0, 0), (0.3, -0.4, 0.5))
    assert seen.tolist() == [list(COLOUR[colour])] * 2


UPRIGHT = ((0, 0, 0), (BAND, 4 * BAND, BAND))
FLAT = ((-2 * BAND, 0, -2 * BAND), (2 * BAND, BAND / 2, 2 * BAND))
LATTICES = ((0, 0, 0), (2 * LATTICE, LATTICE, LATTICE))
CHECKS = ((0, 0, 0), (3 * CHECK, 2 * CHECK, CHECK))


@pytest.mark.parametrize(
    ("pattern", "box", "first", "second", "edge"),
    [
        (
            "striped",
            UPRIGHT,
            [(0, 0, 0), (0.1, 0.9 * BAND, 0), (0, 2.5 * BAND, 0.1)],
            [(0, 1.5 * BAND, 0), (0, 3.1 * BAND, 0), (0.1, 4 * BAND, 0.1)],
            [(0, BAND, 0), (0.1, 2 * BAND, 0), (0, 3 * BAND, 0.1)],
        ),
        (
            "striped",
            FLAT,
            [(2 * BAND, 0, 0), (0, BAND / 2, -1.5 * BAND), (2 * BAND, 0, 2 * BAND)],
            [(0, 0, 0), (0.5 * BAND, BAND / 2, 0.5 * BAND)],
            [(BAND, 0, 0), (0, BAND / 2, -BAND)],
        ),
        (
            "dotted",
            LATTICES,
            [(0, 0, 0), (LATTICE, 0, 0), (LATTICE / 4, 0, LATTICE / 4)],
            [(LATTICE / 2, 0, LATTICE / 2), (1.5 * LATTICE, LATTICE / 2, 0), (0, 0.27, 0.27)],
            [(LATTICE / 2, 0, (0.5 + DOT) * LATTICE), (1.5 * LATTICE, (0.5 - DOT) * LATTICE, 0)],
        ),
        (
            "checked",
            CHECKS,
            [(0, 0, 0), (1.5 * CHECK, 1.5 * CHECK, CHECK), (3 * CHECK, 0, 0)],
            [(1.5 * CHECK, 0, 0), (0, 2 * CHECK, 0), (2.5 * CHECK, 1.5 * CHECK, CHECK / 2)],
            [(CHECK, 0, 0), (0, CHECK, CHECK), (2 * CHECK, 1.7 * CHECK, 0)],
        ),
    ],
)
def test_patterns_are_exact_at_chosen_points(pattern, box, first, second, edge):
    style = Style("blue", pattern)
    a, b = torch.tensor(COLOUR["blue"]).double(), torch.from_numpy(second_colour("blue")).double()
    assert torch.allclose(colours_at(style, box, *first), a, atol=1e-6)
    assert torch.allclose(colours_at(style, box, *second), b, atol=1e-6)
    assert torch.allclose(colours_at(style, box, *edge), (a + b) / 2, atol=1e-6)


@pytest.mark.parametrize("pattern", sorted(set(PATTERNS) - {"plain"}))
def test_a_pattern_goes_with_its_part(pattern):
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    box = torch.tensor(UNIT, dtype=torch.float64)
    style, away = Style("green", pattern), torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
    here, there = style_colours(points, style, box), style_colours(points + away, style, box + away)
    assert torch.allclose(here, there, atol=1e-9)


@pytest.mark.parametrize("pattern", sorted(set(PATTERNS) - {"plain"}))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pattern_shows_both_colours_on_every_part(family, pattern):
    mesh = sample_mesh("tune", 2, family)
    weights = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    weights /= weights.sum(1, keepdim=True)
    for k in range(len(mesh.parts)):
        corners = torch.from_numpy(mesh.vertices[mesh.faces[mesh.labels == k]])
        points = (weights @ corners).reshape(-1, 3)
        area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = area.norm(dim=1).repeat_interleave(40)
        red = style_colours(points, Style("red", pattern), mesh.box([k]))[:, 1]
        share = (area * (red > 0.45)).sum() / area.sum()
        assert 0.08 < share < 0.8, mesh.parts[k].name


def test_parts_in_one_style_wear_it_together():
    mesh = sample_mesh("tune", 0, "mug")
    alone, both = mesh.box([0]), mesh.box([0, 1])
    assert both.equal(
        torch.stack([mesh.box([1]).minimum(alone)[0], mesh.box([1]).maximum(alone)[1]])
    )
    style, cameras = Style("red", "checked"), orbit(1, 20.0)

    def seen(*styles):
        return views.render(mesh, [Look("", styles)], cameras, np.random.default_rng(0))

    apart = seen(style, Style("gray"))
    assert not seen(style, style).equal(apart), "the box has grown by the handle"


def test_a_plain_look_is_its_colour_times_the_light():
    mesh = sample_mesh("tune", 0, "mushroom")
    look = Look("", (Style("orange"), Style("purple")))
    picture = views.render(mesh, [look], orbit(1, 20.0), np.random.default_rng(0))[0]
    background = picture[:, 0, 0]
    cap, stem = (torch.tensor(COLOUR[c])[:, None, None] for c in ("orange", "purple"))
    inside = 0
    for colour in (cap, stem):
        light = picture / colour
        same = (light - light.mean(0)).abs().amax(0) < 1e-5
        inside += int(same.sum())
        assert light[:, same].min() >= AMBIENT - 1e-5
        assert light[:, same].max() <= 1 + 1e-5
    outside = (picture == background[:, None, None]).all(0).sum()
    assert inside + outside > 0.93 * views.SIZE**2, "all but edges are one or the other"
    assert inside > 0.15 * views.SIZE**2


def test_views_in_one_batch_do_not_mix():
    ball = ellipsoid(1, 1, 1)
    names = (PartName("all", False),)
    labels = np.zeros(len(ball.faces), np.int64)
    mesh = PartMesh("ball", names, ball.vertices.astype(np.float32), ball.faces, labels)
    painted = [Look("", (Style("red"),)), Look("", (Style("blue"),))]
    pictures = views.render(mesh, painted, orbit(2, 0.0), np.random.default_rng(0))
    centre = pictures[:, :, 64, 64]
    for seen, colour in zip(centre, ("red", "blue"), strict=True):
        light = seen / torch.tensor(COLOUR[colour])
        assert light.max() - light.min() < 1e-5


def test_cameras_see_the_whole_ball_from_all_sides():
    position = views.sample_cameras(4000, np.random.default_rng(0)).position
    distance = position.norm(dim=1)
    # The unit ball fits a picture of 40 degrees from 1 / sin(20 degrees).
    assert distance.min() > 1 / np.sin(np.radians(20))
    height = position[:, 1] / distance
    assert (height < -0.9).float().mean() > 0.005
    assert (height > np.sin(np.radians(75))).float().mean() > 0.002
    assert (height.abs() < 0.94).float().mean() > 0.9
    assert position.mean(0)[[0, 2]].abs().max() < 0.15


def test_a_view_is_a_picture_of_its_mesh_and_repeats():
    pictures, captions = mesh_views(3)
    assert pictures.shape == (views.PER_MESH, 3, 128, 128)
    assert pictures.dtype == np.uint8
    again, said = mesh_views(3)
    assert (again == pictures).all() and said == captions
    family = sample_mesh("train", 3).family
    assert all(family in text for text in captions)


def test_rendering_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    found = [mesh_views(k) for k in range(-(-20 // views.PER_MESH))]
    expected = [view for drawn, said in found for view in zip(drawn, said, strict=True)][:20]
    made = []

    def stops(number):
        if number == 2 and made.count(2) == 0:
            made.append(2)
            raise KeyboardInterrupt
        made.append(number)
        return mesh_views(number)

    monkeypatch.setattr(views, "mesh_views", stops)
    # What is counted here would be counted in other processes.
    monkeypatch.setattr(views, "on_all_cores", map)
    with pytest.raises(KeyboardInterrupt):
        views.render_views(tmp_path, 20)
    assert not (tmp_path / "views.npy").exists()
    with (tmp_path / "views.txt").open("a") as out:
        out.write("a line cut sho")
    views.render_views(tmp_path, 20)
    assert made == [0, 1, 2, 2]
    store = np.load(tmp_path / "views.npy")
    captions = (tmp_path / "views.txt").read_text().splitlines()
    assert len(store) == len(captions) == 20
    assert all((store[k] == expected[k][0]).all() for k in range(20))
    assert captions == [text for _, text in expected]
    views.render_views(tmp_path, 20)
    assert made == [0, 1, 2, 2], "complete views are left alone"
    with pytest.raises(ValueError, match="delete"):
        views.render_views(tmp_path, 24)


def test_half_of_the_styles_on_a_part_are_close_ups_of_it():
    one = [look for mesh, look in LOOKS if look.styles.count(GRAY) == len(mesh.parts) - 1]
    # Yellow, which is also what shows where a part is.
    styled = [look for look in one if YELLOW not in look.styles]
    close = [look for _, look in LOOKS if look.close is not None]
    share = sum(look.close is not None for look in styled) / len(styled)
    assert share == pytest.approx(views.CLOSE, abs=0.05)
    assert all(look in one and look.styles[look.close] != GRAY for look in close)


def test_a_close_up_shows_more_of_its_part():
    mesh = sample_mesh("tune", 0, "robot")
    k = [part.name for part in mesh.parts].index("head")
    styles = tuple(Style("red") if j == k else GRAY for j in range(len(mesh.parts)))
    looks = [Look("", styles), Look("", styles, close=k)] * 8
    rng = np.random.default_rng(0)
    cameras = orbit(16, 0.0)
    cameras = type(cameras)(cameras.position[::2].repeat_interleave(2, 0))
    near = views.come_closer(cameras, mesh, looks, rng)
    assert near.window[::2].equal(torch.tensor([[0.0, 0.0, 1.0]] * 8))
    assert near.window[1::2, 2].max() <= 1.5 and near.window[1::2, 2].min() < 0.5
    pictures = views.render(mesh, looks, near, rng)
    red = ((pictures[:, 0] > 2 * pictures[:, 1]) & (pictures[:, 0] > 2 * pictures[:, 2])).float()
    whole, close = red.mean((1, 2)).view(8, 2).unbind(1)
    assert (close > 0.8 * whole).all() and close.mean() > 2 * whole.mean()
