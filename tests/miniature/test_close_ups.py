"""Close-ups: the ball around a part, and windows that show it."""

import pytest
import torch
import trimesh
from torch.nn.functional import normalize

from miniature.close_ups import MARGIN, Ball, ball, close_up, fitting
from pipelines.render import orbit, sphere_views
from pipelines.render.rasterise import project

SIZE = 64


def at(centre, radius):
    return Ball(torch.tensor(centre), torch.tensor(radius))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_ball_is_around_its_faces_only():
    mesh = trimesh.creation.icosphere(subdivisions=3)
    vertices, faces = torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.faces)
    whole = ball(vertices, faces)
    torch.testing.assert_close(whole.centre, torch.zeros(3), atol=1e-5, rtol=0)
    assert whole.radius == pytest.approx(1)
    cap = faces[(vertices[faces][:, :, 1] > 0.75).all(1)]
    found = ball(vertices, cap)
    rim = vertices[cap.unique()]
    assert (rim - found.centre).norm(dim=1).max() == pytest.approx(found.radius.item())
    # The mean of a spherical cap lies halfway between its rim and its pole (Archimedes).
    middle = torch.tensor([0.0, (1 + rim[:, 1].min().item()) / 2, 0.0])
    torch.testing.assert_close(found.centre, middle, atol=0.02, rtol=0)


def test_a_ball_is_never_shown_smaller_than_whole_nor_beyond_the_picture():
    for radius in (0.1, 0.3, 0.7, 0.95, 1.0):
        m = fitting(at([0.0] * 3, radius), 4.0)
        assert m == pytest.approx(min(max(1 / (MARGIN * radius), 1), 4))


@pytest.mark.parametrize("centre", [[0.5, 0.3, -0.2], [0.0, 0.0, 0.0]])
def test_a_window_shows_the_ball_in_the_middle_at_one_size_from_everywhere(centre):
    found, count = at(centre, 0.3), 40
    m = fitting(found, 8.0).expand(count)
    near = close_up(sphere_views(count, seeded()), found.centre.expand(count, 3), m)
    x, y, depth = project(found.centre[None], near, SIZE)
    middle = torch.full_like(x, (SIZE - 1) / 2)
    torch.testing.assert_close(x / depth, middle, atol=1e-3, rtol=0)
    torch.testing.assert_close(y / depth, middle, atol=1e-3, rtol=0)
    edge = found.centre + found.radius * normalize(torch.randn(500, 3, generator=seeded(1)), dim=1)
    x, y, depth = project(edge, near, SIZE)
    reach = torch.stack([x / depth, y / depth]).sub(middle[0, 0]).abs().amax((0, 2))
    assert reach.max() < 0.52 * SIZE and reach.min() > 0.4 * SIZE


def test_what_is_shown_no_larger_is_seen_whole():
    near = close_up(orbit(2, 20.0), torch.full((2, 3), 0.1), torch.tensor([1.0, 2.0]))
    assert near.window[0].tolist() == [0, 0, 1] and near.window[1, 2] < 0.7
