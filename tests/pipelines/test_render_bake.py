"""Textures from a surface and back: no texel missed, no chart read by another's lookups."""

import numpy as np
import pytest
import torch
from render_surfaces import cube, flat

from pipelines.render import Surface, at, bake
from pipelines.render.bake import sample, texels, texture_image

SQUARE = [(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square(left: float, low: float, right: float, high: float) -> Surface:
    """A unit square in z = 0 with one chart."""
    corner = [(left, low), (right, low), (right, high), (left, high)]
    faces = [[0, 1, 2], [0, 2, 3]]
    return flat(SQUARE, faces, [[corner[i] for i in face] for face in faces])


def anywhere(surface: Surface, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces and weights of random points: inside, on edges and at corners."""
    face = torch.randint(len(surface.faces), (count,), generator=seeded())
    weights = torch.rand(count, 3, generator=seeded(1))
    weights[: count // 3, 0] = 0
    weights[: count // 9, 1] = 0
    return face, weights / weights.sum(1, keepdim=True)


def linear(position: torch.Tensor) -> torch.Tensor:
    """A colour that is linear in the position. (N, 3) -> (N, 2)."""
    return position @ torch.tensor([[0.3, -0.2], [0.1, 0.5], [-0.4, 0.2]]) + 0.5


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_texel_centres_and_the_direction_of_v(size):
    height, width = size
    points, index = texels(square(0, 0, 1, 1), 0, size)
    assert torch.equal(index, torch.arange(height * width))
    u = (torch.arange(width) + 0.5) / width
    v = 1 - (torch.arange(height) + 0.5) / height
    want = torch.stack(torch.meshgrid(v, u, indexing="ij")[::-1], dim=-1).view(-1, 2)
    torch.testing.assert_close(points.uv, want)
    torch.testing.assert_close(points.position[:, :2], want - 0.5)
    torch.testing.assert_close(points.normal, torch.tensor([0.0, 0.0, 1.0]).expand(len(index), 3))


def test_texels_outside_a_chart_take_its_closest_point():
    size = 32
    points, index = texels(square(0.25, 0.25, 0.75, 0.75), 0, (size, size))
    row, column = index // size, index % size
    place = torch.stack([(column + 0.5) / size, 1 - (row + 0.5) / size], dim=1)
    torch.testing.assert_close(points.uv, place.clamp(0.25, 0.75))
    away = (place - place.clamp(0.25, 0.75)).norm(dim=1) * size
    assert away.max() <= 2**0.5
    # 16 texels a side, and one more all around; the second ring is 1.5 away.
    assert len(index) == 18 * 18


def test_a_linear_function_of_position_survives_baking():
    surface, size = cube(), 96
    points, index = texels(surface, 0, (size, size))
    image = texture_image(linear(points.position), index, (size, size))
    face, weights = anywhere(surface, 20_000)
    looked = at(surface, face, weights)
    error = (sample(image, looked.uv) - linear(looked.position)).abs().amax(1)
    # A bilinear lookup is exact on linear functions, but for the last texel of a chart.
    low = surface.uv.view(6, -1, 2).amin(1)[face // 2]
    high = surface.uv.view(6, -1, 2).amax(1)[face // 2]
    inside = ((looked.uv - low > 1 / size) & (high - looked.uv > 1 / size)).all(1)
    assert 5_000 < inside.sum() < 15_000
    assert error[inside].max() < 1e-5
    side = 2 / 3**0.5
    texel = side / (size * (surface.uv.view(6, -1, 2).amax(1) - low[0]).abs()[0].min())
    assert error.max() < 0.7 * texel


@pytest.mark.parametrize("size", [48, 100])
def test_no_chart_bleeds_into_another(size):
    surface = cube()
    colour = torch.eye(6)
    points, index = texels(surface, 0, (size, size))
    side = torch.full((len(index),), -1)
    for k in range(6):
        inside = (points.normal - surface.normals[2 * k, 0]).abs().amax(1) < 1e-5
        side[inside] = k
    assert (side >= 0).all()
    image = texture_image(colour[side], index, (size, size))
    face, weights = anywhere(surface, 20_000)
    looked = sample(image, at(surface, face, weights).uv)
    torch.testing.assert_close(looked, colour[face // 2], atol=1e-5, rtol=0)


def test_charts_thinner_than_a_texel_are_not_missed():
    # One hundredth of a texel wide, between two columns of centres.
    thin = square(0.5 - 0.005 / 32, 0.2, 0.5 + 0.005 / 32, 0.8)
    points, index = texels(thin, 0, (32, 32))
    assert set((index % 32).tolist()) == {15, 16}
    image = texture_image(points.position[:, 1:2], index, (32, 32))
    face, weights = anywhere(thin, 500)
    looked = at(thin, face, weights)
    got = sample(image, looked.uv)
    torch.testing.assert_close(got, looked.position[:, 1:2], atol=0.5 / (0.6 * 32), rtol=0)


def test_faces_without_area_on_the_texture_take_texels_next_to_them_only():
    uv = torch.tensor([[[0.5, 0.1]] * 3, [[0.125, 0.125], [0.5, 0.5], [0.75, 0.75]]])
    points, index = texels(flat(SQUARE, [[0, 1, 2], [0, 2, 3]], uv), 0, (32, 32))
    row, column = index // 32, index % 32
    place = torch.stack([(column + 0.5) / 32, 1 - (row + 0.5) / 32], dim=1)
    assert ((place - points.uv).norm(dim=1) * 32 <= 2**0.5 + 1e-4).all()
    assert len(index) > 40
    assert points.position.isfinite().all()
    assert points.position.abs().max() <= 0.5


def test_a_texel_whose_centre_is_in_a_chart_is_never_taken_by_a_neighbour():
    # Two charts side by side; the border lies between the columns 7 and 8 of 16.
    left, right = square(0, 0, 0.5, 1), square(0.5, 0, 1, 1)
    both = flat(
        torch.cat([left.vertices, right.vertices + torch.tensor([0.0, 0.0, 0.7])]),
        torch.cat([left.faces, right.faces + 4]),
        torch.cat([left.uv, right.uv]),
    )
    points, index = texels(both, 0, (16, 16))
    assert torch.equal(points.position[:, 2] > 0.5, index % 16 >= 8)


def test_each_atlas_has_its_own_texels():
    surface = cube()
    parted = Surface(
        surface.vertices, surface.faces, surface.normals, surface.uv, torch.arange(12) // 2 % 2
    )
    whole = texels(surface, 0, (60, 60))[1]
    parts = [texels(parted, k, (60, 60)) for k in (0, 1)]
    assert torch.equal(torch.cat([index for _, index in parts]).sort()[0], whole)
    for k, (points, _) in enumerate(parts):
        assert (points.atlas == k).all()


def test_texels_do_not_depend_on_how_the_work_is_cut(monkeypatch):
    points, index = texels(cube(), 0, (50, 70))
    monkeypatch.setattr(bake, "CHUNK", 300)
    again, same = texels(cube(), 0, (50, 70))
    assert torch.equal(index, same)
    assert torch.equal(points.position, again.position)


def test_gutters_take_the_value_of_the_nearest_texel():
    index = torch.tensor([3, 40, 77, 118])
    values = torch.rand(4, 3, generator=seeded())
    image = texture_image(values, index, (10, 14))
    place = np.stack([index // 14, index % 14], 1)
    for row in range(10):
        for column in range(14):
            distance = ((place - [row, column]) ** 2).sum(1)
            nearest = values[torch.from_numpy(distance == distance.min())]
            assert (nearest == image[row, column]).all(1).any()


def test_an_image_of_no_texels_is_refused():
    with pytest.raises(ValueError, match="no face"):
        texture_image(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), (4, 4))


def test_a_lookup_is_bilinear_between_centres_and_clamped_at_the_border():
    texture = torch.rand(3, 4, 2, generator=seeded())
    # Half-way between the centres of columns 1 and 2, on row 2, the lowest.
    uv = torch.tensor([[0.5, 1 / 6], [0.0, 0.0], [1.0, 1.0], [3.5 / 4, 0.5]])
    want = torch.stack(
        [(texture[2, 1] + texture[2, 2]) / 2, texture[2, 0], texture[0, 3], texture[1, 3]]
    )
    torch.testing.assert_close(sample(texture, uv), want)


def test_a_lookup_has_an_exact_gradient_in_the_texture():
    texture = torch.rand(3, 4, 2, generator=seeded()).double().requires_grad_(True)
    uv = torch.rand(6, 2, generator=seeded())
    assert torch.autograd.gradcheck(lambda t: sample(t, uv), texture)
