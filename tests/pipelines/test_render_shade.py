"""From the z-buffer to pictures: points, light and composites."""

import math

import torch
from render_surfaces import bumpy_torus, flat

from pipelines.render import (
    Cameras,
    Points,
    Surface,
    compose,
    downsample,
    orbit,
    rasterise,
    shade,
    sphere_views,
    visible,
)
from pipelines.render.shade import AMBIENT, LAMP

FRONT = orbit(1, 0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def facing(normals) -> Points:
    """Points at the origin with these normals, of any length."""
    normal = torch.nn.functional.normalize(torch.tensor(normals).float(), dim=1)
    zero = torch.zeros(len(normal), 3)
    return Points(zero, normal, zero[:, :2], zero[:, 0].long())


def level(normals, light=None) -> torch.Tensor:
    """Shading in a picture of one pixel by the camera on the z axis."""
    points = facing(normals)
    index = torch.zeros(len(points.position), dtype=torch.long)
    return shade(points, FRONT, index, 1, None if light is None else torch.tensor([light]))


def test_visible_points_carry_everything_interpolated():
    vertices = torch.tensor([[-0.8, -0.6, 0.1], [0.7, -0.5, -0.2], [0.1, 0.8, 0.3]])
    normals = torch.nn.functional.normalize(torch.randn(1, 3, 3, generator=seeded()) + 2, dim=2)
    uv = torch.rand(1, 3, 2, generator=seeded())
    surface = Surface(vertices, torch.tensor([[0, 1, 2]]), normals, uv, torch.tensor([7]))
    cameras = sphere_views(3, seeded())
    buffer = rasterise(surface, cameras, 40)
    points, index = visible(surface, buffer)
    assert torch.equal(index, (buffer.face.flatten() == 0).nonzero()[:, 0])
    assert len(index) > 300
    weights = buffer.bary.view(-1, 3)[index]
    torch.testing.assert_close(points.position, weights @ vertices)
    torch.testing.assert_close(points.uv, weights @ uv[0])
    mixed = weights @ normals[0]
    torch.testing.assert_close(points.normal, mixed / mixed.norm(dim=1, keepdim=True))
    assert (points.atlas == 7).all()


def test_visible_points_project_back_to_their_pixels():
    surface, cameras, size = bumpy_torus(40, 20), sphere_views(4, seeded()), 64
    points, index = visible(surface, rasterise(surface, cameras, size))
    view = index // size**2
    seen = ((points.position - cameras.position[view])[:, None] @ cameras.axes[view].mT)[:, 0]
    focal = size / 2 / math.tan(math.radians(cameras.fov) / 2)
    column = size / 2 + focal * seen[:, 0] / -seen[:, 2] - 0.5
    row = size / 2 - focal * seen[:, 1] / -seen[:, 2] - 0.5
    torch.testing.assert_close(column, (index % size).float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(row, (index // size % size).float(), atol=1e-3, rtol=0)


def test_shading_is_lamberts_law_with_ambient_light():
    angles = torch.tensor([0.0, 30.0, 60.0, 80.0]).deg2rad()
    normals = [(0.0, float(a.sin()), float(a.cos())) for a in angles]
    want = AMBIENT + (1 - AMBIENT) * angles.cos()
    torch.testing.assert_close(level(normals, light=(0.0, 0.0, 2.0)), want)


def test_a_face_turned_away_from_the_lamp_has_ambient_light_only():
    assert level([(0.0, 0.3, 1.0)], light=(0.0, -1.0, 0.1)).item() == AMBIENT


def test_back_sides_are_lit_like_front_sides():
    normals = [(0.3, 0.2, 1.0), (-0.5, 0.4, 0.8), (0.0, -0.9, 0.6)]
    away = [tuple(-v for v in n) for n in normals]
    torch.testing.assert_close(level(away), level(normals))


def test_a_normal_that_bends_just_beyond_the_silhouette_is_not_turned_round():
    just, beyond = level([(-1.0, 1.0, 0.02), (-1.0, 1.0, -0.02)], light=(-1.0, 1.0, 0.0))
    assert just > 0.99 and beyond > 0.99


def test_without_a_light_the_lamp_goes_with_the_camera_up_left_of_it():
    cameras = sphere_views(6, seeded())
    toward = torch.tensor(LAMP) @ cameras.axes
    points, index = facing(toward.tolist()), torch.arange(6)
    torch.testing.assert_close(shade(points, cameras, index, 1), torch.ones(6))
    left, right, up, down = level([(-1, 0, 1), (1, 0, 1), (0, 1, 1), (0, -1, 1)])
    assert left > right and up > down
    given = shade(points, cameras, index, 1, light=5 * toward)
    torch.testing.assert_close(given, torch.ones(6))


def test_each_view_has_its_own_light():
    cameras = Cameras(FRONT.position.repeat(2, 1))
    points, index = facing([(0, 0, 1)] * 8), torch.arange(8)
    light = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    got = shade(points, cameras, index, 2, light)
    torch.testing.assert_close(got, torch.tensor([1.0] * 4 + [AMBIENT] * 4))


def test_shading_stays_between_ambient_and_1_on_a_whole_surface():
    surface, cameras = bumpy_torus(40, 20), sphere_views(4, seeded())
    points, index = visible(surface, rasterise(surface, cameras, 64))
    level_ = shade(points, cameras, index, 64)
    assert AMBIENT <= level_.min() < 0.6 and 0.99 < level_.max() <= 1 + 1e-6


def test_compose_puts_shaded_colours_before_each_views_background():
    index = torch.tensor([0, 3, 6])
    colours = torch.tensor([[1.0, 0.5, 0.0], [0.2, 0.4, 0.6], [0.0, 1.0, 1.0]])
    shading = torch.tensor([1.0, 0.5, 0.8])
    background = torch.tensor([[0.1, 0.2, 0.3], [0.7, 0.8, 0.9]])
    images = compose(colours, shading, index, background, 2)
    want = background[:, :, None, None].repeat(1, 1, 2, 2)
    want[0, :, 0, 0] = torch.tensor([1.0, 0.5, 0.0])
    want[0, :, 1, 1] = torch.tensor([0.1, 0.2, 0.3])
    want[1, :, 1, 0] = torch.tensor([0.0, 0.8, 0.8])
    torch.testing.assert_close(images, want)


def test_the_gradient_of_compose_is_the_shading_at_the_visible_pixels():
    index = torch.tensor([5, 1, 17])
    colours = torch.rand(3, 3, generator=seeded(), requires_grad=True)
    shading, background = torch.tensor([0.9, 0.6, 0.5]), torch.rand(2, 3, generator=seeded(1))
    weight = torch.randn(2, 3, 3, 3, generator=seeded(2))
    (compose(colours, shading, index, background, 3) * weight).sum().backward()
    at_pixels = weight.permute(0, 2, 3, 1).reshape(-1, 3)[index]
    assert torch.equal(colours.grad, at_pixels * shading[:, None])


def test_the_gradient_of_a_downsampled_composite_is_exact():
    index, background = torch.tensor([0, 2, 7, 13]), torch.rand(1, 3).double()
    shading = torch.rand(4, generator=seeded()).double()
    colours = torch.rand(4, 3, generator=seeded()).double().requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda c: downsample(compose(c, shading, index, background, 4), 2), colours
    )


def test_the_whole_way_is_right_on_a_plain_triangle():
    surface = flat([(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.0, 0.5, 0.0)], [[0, 1, 2]])
    points, index = visible(surface, rasterise(surface, FRONT, 32))
    light = shade(points, FRONT, index, 32)
    torch.testing.assert_close(light, light[0].expand(len(light)))
    cosine = 1 / math.sqrt(0.4**2 + 0.5**2 + 1)
    assert math.isclose(light[0], AMBIENT + (1 - AMBIENT) * cosine, rel_tol=1e-6)
    images = compose(torch.ones(len(index), 3), light, index, torch.zeros(1, 3), 32)
    assert math.isclose(images.sum(), 3 * len(index) * light[0], rel_tol=1e-5)
