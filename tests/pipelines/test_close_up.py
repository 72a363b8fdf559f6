"""Close-ups: where the region is, how large it is shown, and that its style is seen there."""

import math
from dataclasses import replace

import pytest
import torch
from test_painting import FAST, fields, run, sphere, task

from pipelines.paint import run as painting_run
from pipelines.paint.attached_noise import attached_noise
from pipelines.paint.close_up import (
    MARGIN,
    Ball,
    ball,
    close_up,
    fitting,
    magnification,
    scattered,
)
from pipelines.paint.composites import YELLOW
from pipelines.paint.look import look
from pipelines.paint.run import CLOSE_FROM, shown
from pipelines.render import orbit, sphere_views
from pipelines.render.rasterise import project

STYLE = 1
"""Which of three composites is the style's."""


def at(centre, radius):
    return Ball(torch.tensor(centre), torch.tensor(radius))


def cap(height, surface=None):
    """The points of the unit sphere above a height, as a region, and the points."""
    points = scattered(surface or sphere(), 20_000)
    return points.position, (points.position[:, 1:2] > height).float()


def test_points_are_scattered_by_area_and_always_the_same():
    surface = sphere()
    points = scattered(surface, 20_000)
    assert points.position.equal(scattered(surface, 20_000).position)
    # On a sphere every height has as much area as any other (Archimedes).
    above = [(points.position[:, 1] > h).float().mean().item() for h in (-0.5, 0.0, 0.5)]
    assert above == pytest.approx([0.75, 0.5, 0.25], abs=0.02)
    corners = surface.vertices[surface.faces]
    stretched = torch.where(corners[:, :, :1] > 0, corners * 3, corners).reshape(-1, 3)
    faces = torch.arange(len(stretched)).view(-1, 3)
    right = replace(surface, vertices=stretched, faces=faces)
    assert (scattered(right, 5000).position[:, 0] > 0).float().mean() > 0.8


def test_the_ball_is_around_the_region_and_a_speck_does_not_widen_it():
    position, region = cap(0.8)
    found = ball(position, region)
    # The mean of a spherical cap lies halfway between its rim and its pole.
    torch.testing.assert_close(found.centre, torch.tensor([0.0, 0.9, 0.0]), atol=0.03, rtol=0)
    assert found.radius == pytest.approx(math.hypot(0.6, 0.1), abs=0.04)
    region[position[:, 1].argmin()] = 1
    assert ball(position, region).radius == pytest.approx(found.radius.item(), abs=0.01)


def test_without_a_region_the_ball_is_the_whole():
    position, _ = cap(0.0)
    found = ball(position, torch.full((len(position), 1), 0.4))
    assert found.radius == 1 and not found.centre.any()
    assert magnification(found, 8.0) == 1


def test_magnification_goes_in_steps_and_keeps_the_ball_in_the_picture():
    sizes = torch.linspace(0.05, 1, 40)
    found = torch.stack([magnification(at([0.0, 0.0, 0.0], float(r)), 4.0) for r in sizes])
    steps = 2 * found.log2()
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert found.min() == 1 and found.max() == 4
    assert (found <= torch.stack([fitting(at([0.0] * 3, float(r)), 4.0) for r in sizes])).all()
    assert (found * MARGIN * sizes)[found > 1].max() <= 1 + 1e-6


@pytest.mark.parametrize("centre", [[0.5, 0.3, -0.2], [0.0, 0.0, 0.0]])
def test_a_window_shows_the_ball_in_the_middle_at_one_size_from_everywhere(centre):
    found, size = at(centre, 0.3), 64
    m = magnification(found, 8.0)
    cameras = sphere_views(40, torch.Generator().manual_seed(0))
    near = close_up(cameras, found.centre, m)
    x, y, depth = project(found.centre[None], near, size)
    middle = torch.full_like(x, (size - 1) / 2)
    torch.testing.assert_close(x / depth, middle, atol=1e-3, rtol=0)
    torch.testing.assert_close(y / depth, middle, atol=1e-3, rtol=0)
    directions = torch.nn.functional.normalize(
        torch.randn(500, 3, generator=torch.Generator().manual_seed(1)), dim=1
    )
    edge = found.centre + found.radius * directions
    x, y, depth = project(edge, near, size)
    reach = torch.stack([x / depth, y / depth]).sub(middle[0]).abs().amax((0, 2))
    assert reach.max() < 0.52 * size and reach.min() > 0.3 * size


def test_what_fits_only_whole_is_seen_whole():
    cameras = orbit(3, 20.0)
    near = close_up(cameras, torch.tensor([0.1, 0.0, 0.0]), torch.ones(()))
    assert near.window.equal(torch.tensor([[0.0, 0.0, 1.0]] * 3))


def test_only_the_style_is_seen_close_up_and_what_it_is_asked_there_trains_it():
    what, painted = task([YELLOW, (1.0, 0.0, 0.0), YELLOW]), fields()
    background = torch.rand(2, 3)
    cameras = orbit(2, 20.0)
    near = close_up(cameras, torch.tensor([0.0, 0.6, 0.0]), torch.tensor(2.0))
    whole, close = (look(what.surface, c, 16, background) for c in (cameras, near))
    both, query = shown(what, painted, whole, close)
    plain, _ = shown(what, painted, whole, whole)
    only, _ = shown(what, painted, close, close)
    style = slice(2 * STYLE, 2 * STYLE + 2)
    assert both[style].equal(only[style]) and not both[style].equal(plain[style])
    for others in (slice(0, 2), slice(4, 6)):
        assert both[others].equal(plain[others])
    assert len(query.style) == len(close.points.position)
    both[style].sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in painted.style.parameters())


def test_a_run_comes_close_once_the_region_is_found(monkeypatch):
    seen = []

    def watched(task, painted, whole, close):
        seen.append((close is whole, float(close.magnified)))
        return shown(task, painted, whole, close)

    monkeypatch.setattr(painting_run, "shown", watched)
    monkeypatch.setattr(painting_run, "ball", lambda *_: at([0.0, 0.5, 0.0], 0.4))
    what = task([YELLOW, (1.0, 0.0, 0.0), YELLOW])
    run(what, fields(), 10, replace(FAST, closest=8.0))
    first = round(CLOSE_FROM * 10)
    assert seen == [(True, 1.0)] * first + [(False, 2.0)] * (10 - first)
    seen.clear()
    run(what, fields(), 5, replace(FAST, closest=1.0))
    run(task([[0.5] * 3]), fields(everywhere=True), 5, replace(FAST, closest=8.0))
    assert seen == [(True, 1.0)] * 10


def test_attached_noise_is_as_fine_as_what_is_seen():
    """Where the surface is shown twice as large, twice as small a cell covers a pixel."""
    surface, size = sphere(), 64
    cameras = orbit(1, 0.0)
    near = close_up(cameras, torch.tensor([0.0, 0.0, 1.0]), torch.tensor(4.0))
    noise = attached_noise(0, torch.device("cpu"))
    zeros = torch.zeros(1, 3, size, size)

    def same_as_the_next(magnified):
        close = look(surface, near, size, torch.zeros(1, 3))
        found = noise.mixed(replace(close, magnified=magnified), 1.0, 0, 1, zeros)
        return (found[..., 1:] == found[..., :-1]).float().mean()

    assert same_as_the_next(1.0) > 0.6 and same_as_the_next(4.0) < 0.4
