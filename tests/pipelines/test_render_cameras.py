"""Cameras: their axes, how they cover the sphere, and what fits into the picture."""

import math

import pytest
import torch
from render_surfaces import bumpy_torus, flat

from pipelines.render import Cameras, orbit, rasterise, sphere_views


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fibonacci(count: int) -> torch.Tensor:
    return sphere_views(count, seeded(9), distance=1.0).position


def test_axes_are_a_right_handed_frame_that_looks_at_the_origin_with_y_up():
    cameras = sphere_views(50, seeded())
    axes = cameras.axes
    torch.testing.assert_close(axes @ axes.mT, torch.eye(3).expand(50, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(axes), torch.ones(50))
    torch.testing.assert_close(axes[:, 2] * 3, cameras.position)
    assert (axes[:, 0, 1] == 0).all()
    assert (axes[:, 1, 1] > 0).all()


def test_in_front_x_is_right_and_y_is_up():
    torch.testing.assert_close(orbit(1, 0).axes[0], torch.eye(3))


@pytest.mark.parametrize("height", [3.0, -3.0])
def test_axes_are_sound_at_the_poles_and_next_to_them(height):
    position = torch.tensor([[0.0, height, 0.0], [1e-9, height, 0.0], [1e-4, height, 1e-4]])
    axes = Cameras(position).axes
    torch.testing.assert_close(axes @ axes.mT, torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(axes[0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_sphere_views_repeat_with_the_seed_and_differ_from_call_to_call():
    generator = seeded()
    first, second = sphere_views(8, generator), sphere_views(8, generator)
    assert torch.equal(first.position, sphere_views(8, seeded()).position)
    assert (first.position - second.position).norm(dim=1).min() > 0.01


@pytest.mark.parametrize("count", [1, 4, 64])
def test_sphere_views_keep_their_distance(count):
    cameras = sphere_views(count, seeded(), distance=2.5)
    assert len(cameras) == count
    torch.testing.assert_close(cameras.position.norm(dim=1), torch.full((count,), 2.5))


def test_sphere_views_leave_no_hole_and_do_not_crowd():
    views, directions = fibonacci(64), fibonacci(5000)
    angle = (directions @ views.T).clamp(-1, 1).acos()
    # 64 caps cover a sphere at best with a radius of 16.5 degrees; random views leave about 40.
    assert math.degrees(angle.amin(1).max()) < 23
    apart = (views @ views.T - 2 * torch.eye(64)).clamp(-1, 1).acos()
    assert math.degrees(apart.amin(1).min()) > 15


def test_each_of_the_sphere_views_is_uniform_on_the_sphere():
    generator = seeded()
    first = torch.stack([sphere_views(4, generator, 1.0).position[0] for _ in range(4000)])
    # Mean 0 and covariance 1/3; the standard errors are 0.009 and 0.005.
    assert first.mean(0).abs().max() < 0.04
    assert (first.T @ first / 4000 - torch.eye(3) / 3).abs().max() < 0.025


def test_an_orbit_starts_in_front_and_goes_round_evenly():
    position = orbit(4, 30).position / 3
    high, flat_ = 0.5, math.sqrt(0.75)
    want = [[0, high, flat_], [flat_, high, 0], [0, high, -flat_], [-flat_, high, 0]]
    torch.testing.assert_close(position, torch.tensor(want), atol=1e-6, rtol=0)


@pytest.mark.parametrize("cameras", [orbit(3, 35), sphere_views(5, seeded())], ids=["orbit", "all"])
def test_the_unit_ball_fits_the_picture_and_nearly_fills_it(cameras):
    points = fibonacci(3000)
    # Each point is a small triangle that touches the unit sphere from inside.
    side = torch.nn.functional.normalize(torch.linalg.cross(points, points.roll(1, 1)), dim=1)
    corners = torch.stack([points, 0.97 * points + 0.02 * side, 0.97 * points - 0.02 * side], 1)
    ball = flat(corners.view(-1, 3), torch.arange(9000).view(-1, 3))
    hit = rasterise(ball, cameras, 128).face >= 0
    inner = hit[:, 1:-1, 1:-1].sum((1, 2))
    assert torch.equal(hit.sum((1, 2)), inner)
    assert (hit.any(1).sum(1) >= 0.93 * 128).all()
    assert (hit.any(2).sum(1) >= 0.93 * 128).all()


def test_a_window_is_a_square_cut_out_of_the_picture():
    surface, cameras = bumpy_torus(40, 24), sphere_views(3, seeded())
    whole = rasterise(surface, cameras, 64)
    # 24 to 56 from the left and 32 to 64 from the top: its middle is at 40 and 48 of 64.
    window = torch.tensor([[0.25, -0.5, 0.5]] * 3)
    part = rasterise(surface, Cameras(cameras.position, cameras.fov, window), 32)
    there = (slice(None), slice(32, 64), slice(24, 56))
    same = part.face == whole.face[there]
    assert same.float().mean() > 0.999 and (part.face < 0).any() and (part.face >= 0).any()
    torch.testing.assert_close(part.bary[same], whole.bary[there][same], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.depth[same], whole.depth[there][same])


def test_some_of_the_cameras_keep_their_windows():
    window = torch.rand(4, 3, generator=seeded())
    cameras = Cameras(orbit(4, 10.0).position, 35.0, window)
    some = cameras.some(slice(1, 3))
    assert some.position.equal(cameras.position[1:3]) and some.fov == 35.0
    assert some.window.equal(window[1:3])
    assert orbit(4, 10.0).some(slice(0, 2)).window is None
