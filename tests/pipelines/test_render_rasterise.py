"""The z-buffer against analytic geometry, and against rays cast by embree."""

import importlib
import math

import numpy as np
import pytest
import torch
from render_surfaces import bumpy_torus, cast, embree, flat, rays
from scipy.spatial import Delaunay
from torch.nn.functional import max_pool2d

from pipelines.render import Buffer, Cameras, Surface, orbit, rasterise, sphere_views

FRONT = orbit(1, 0)
"""One camera on the z axis, at distance 3."""
SQUARE = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
PIXEL = 2 * 3 * math.tan(math.radians(20)) / 64
"""The width of one of 64 pixels in the plane through the origin that faces `FRONT`."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def in_plane(points, z: float = 0.0) -> list[tuple[float, float, float]]:
    return [(x, y, z) for x, y in points]


def position(surface: Surface, buffer: Buffer) -> torch.Tensor:
    """Of the hit pixels, fp64: (N, 3)."""
    hit = buffer.face >= 0
    corners = surface.vertices.double()[surface.faces[buffer.face[hit]]]
    return (buffer.bary[hit].double()[:, :, None] * corners).sum(1)


def assert_same(a: Buffer, b: Buffer) -> None:
    assert torch.equal(a.face, b.face)
    assert torch.equal(a.bary, b.bary)
    assert torch.equal(a.depth, b.depth)


def test_one_triangle_covers_exactly_the_pixels_whose_centre_is_in_it():
    # In units of pixels from the middle of the picture, x right and y up: no centre on an edge.
    a, b, c = np.array([[-20.3, -10.2], [15.1, -4.7], [2.4, 25.6]])
    surface = flat(in_plane(np.stack([a, b, c]) * PIXEL), [[0, 1, 2]])
    buffer = rasterise(surface, FRONT, 64)
    column, row = np.meshgrid(np.arange(64), np.arange(64))
    place = np.stack([column - 31.5, 31.5 - row], -1)
    whole = np.stack([a, b, c]).T
    weights = np.linalg.solve(
        np.vstack([whole, np.ones(3)]), np.dstack([place, np.ones((64, 64))]).reshape(-1, 3).T
    ).T.reshape(64, 64, 3)
    inside = torch.from_numpy((weights > 0).all(-1))
    assert torch.equal(buffer.face[0] == 0, inside)
    assert torch.equal(buffer.face[0] == -1, ~inside)
    got = buffer.bary[0][inside].double()
    torch.testing.assert_close(got, torch.from_numpy(weights)[inside], atol=2e-6, rtol=0)
    torch.testing.assert_close(buffer.depth[0][inside], torch.full((int(inside.sum()),), 3.0))
    assert (buffer.depth[0][~inside] == torch.inf).all()
    assert (buffer.bary[0][~inside] == 0).all()


def test_row_0_is_the_top_and_column_0_the_left():
    corner = flat(in_plane([(-1, 0.6), (-0.6, 0.6), (-0.6, 1)]), [[0, 1, 2]])
    hit = (rasterise(corner, FRONT, 64).face[0] >= 0).nonzero()
    assert len(hit) > 10
    assert (hit < 32 * torch.tensor([0.6, 0.6])).all()


def test_a_diagonal_through_pixel_centres_leaves_no_gap():
    square = np.array(SQUARE) * 40 * PIXEL
    surface = flat(in_plane(square), [[0, 1, 2], [0, 2, 3]])
    face = rasterise(surface, FRONT, 64).face[0]
    want = torch.full((64, 64), False)
    want[12:52, 12:52] = True
    assert torch.equal(face >= 0, want)
    inner = face[12:52, 12:52]
    row, column = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    assert (inner[row + column > 39] == 0).all()
    assert (inner[row + column < 39] == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_any_triangulation_of_a_square_covers_what_the_square_covers(seed):
    rng = np.random.default_rng(seed)
    points = np.concatenate([SQUARE, rng.uniform(-0.49, 0.49, (800, 2))])
    # The outline is the same two-point edges in both, so not one pixel may differ.
    faces = Delaunay(points).simplices
    turn = torch.linalg.qr(torch.randn(3, 3, generator=seeded(seed)))[0]
    many, two = (
        flat(torch.tensor(in_plane(points)).float() @ turn.T, f)
        for f in (faces, [[0, 1, 2], [0, 2, 3]])
    )
    cameras = sphere_views(12, seeded(seed))
    got, want = rasterise(many, cameras, 128), rasterise(two, cameras, 128)
    assert (want.face >= 0).sum() > 5000
    differ = (got.face >= 0) != (want.face >= 0)
    # Seen from the edge the fp32 points are not quite in one plane; nowhere else may they differ.
    facing = (cameras.position @ two.normals[0, 0] / 3).abs() > 0.1
    assert not differ[facing].any()
    assert len(facing.nonzero()) >= 9


def test_barycentrics_are_perspective_correct():
    corners = torch.tensor([[-0.6, -0.5, 0.6], [0.7, -0.4, -0.6], [0.0, 0.7, 0.1]])
    surface = flat(corners, [[0, 1, 2]])
    cameras = Cameras(torch.tensor([[0.3, 0.2, 2.9], [1.0, 1.0, 1.5], [-0.5, 2.0, 2.0]]), 50.0)
    buffer = rasterise(surface, cameras, 96)
    hit = buffer.face >= 0
    assert hit.sum((1, 2)).min() > 300
    origins, directions = rays(cameras, 96)
    a, b, c = corners.double()
    normal = torch.linalg.cross(b - a, c - a)
    along = ((a - origins) @ normal) / (directions @ normal)
    want = (origins + along[..., None] * directions)[hit]
    torch.testing.assert_close(position(surface, buffer), want, atol=1e-6, rtol=0)
    axis = -cameras.position.double() / cameras.position.double().norm(dim=1, keepdim=True)
    depth = along * (directions * axis[:, None, None]).sum(-1)
    torch.testing.assert_close(buffer.depth[hit].double(), depth[hit], atol=1e-6, rtol=0)
    torch.testing.assert_close(buffer.bary[hit].sum(1), torch.ones(int(hit.sum())))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_of_two_faces_is_seen_in_whatever_order_they_come(order):
    near = in_plane([(-0.3, -0.3), (0.3, -0.3), (0.0, 0.3)], 0.4)
    far = in_plane([(-0.6, -0.6), (0.6, -0.6), (0.0, 0.6)], -0.4)
    surface = flat(near + far, np.array([[0, 1, 2], [3, 4, 5]])[list(order)])
    buffer = rasterise(surface, FRONT, 64)
    alone = rasterise(flat(near, [[0, 1, 2]]), FRONT, 64).face >= 0
    front = order.index(0)
    assert torch.equal(buffer.face == front, alone)
    assert (buffer.face == 1 - front).sum() > 100


def test_crossing_faces_change_places_where_they_cross():
    # z = x / 2 and z = -x / 2: seen from +z, the first is in front on the right.
    square = np.array(SQUARE)
    rising = [(x, y, x / 2) for x, y in square]
    falling = [(x, y, -x / 2) for x, y in square]
    faces = [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    face = rasterise(flat(rising + falling, faces), FRONT, 64).face[0]
    left, right = face[20:44, 20:32], face[20:44, 32:44]
    assert (right < 2).all() and (right >= 0).all()
    assert (left >= 2).all()


def test_faces_are_seen_from_both_sides():
    surface = bumpy_torus(24, 12)
    back = flat(surface.vertices, surface.faces.flip(1))
    cameras = sphere_views(3, seeded())
    one, two = rasterise(surface, cameras, 64), rasterise(back, cameras, 64)
    assert torch.equal(one.face, two.face)
    torch.testing.assert_close(one.bary, two.bary.flip(3))


def test_faces_without_area_and_faces_seen_from_the_edge_are_not_seen():
    seen = in_plane([(-0.5, -0.5), (0.5, -0.5), (0.0, 0.5)])
    line = [(-0.7, 0.1, 0.2), (0.0, 0.1, 0.2), (0.7, 0.1, 0.2)]
    edge_on = [(0.0, -0.5, 0.7), (0.0, 0.5, 0.7), (0.0, 0.0, 0.1)]
    surface = flat(seen + line + edge_on, [[3, 4, 5], [3, 3, 4], [6, 7, 8], [0, 1, 2], [4, 4, 4]])
    buffer = rasterise(surface, FRONT, 65)
    assert set(buffer.face.unique().tolist()) == {-1, 3}
    alone = rasterise(flat(seen, [[0, 1, 2]]), FRONT, 65)
    assert torch.equal(buffer.face == 3, alone.face == 0)
    assert torch.equal(buffer.depth, alone.depth)


def test_nothing_is_seen_where_nothing_is():
    speck = flat([(0.9, 0, 0), (0.9 + 1e-5, 0, 0), (0.9, 1e-5, 0)], [[0, 1, 2]])
    buffer = rasterise(speck, orbit(2, 10), 16)
    assert (buffer.face == -1).all() and (buffer.depth == torch.inf).all()
    assert buffer.face.shape == (2, 16, 16) and buffer.bary.shape == (2, 16, 16, 3)


def test_a_camera_inside_the_surface_is_refused():
    with pytest.raises(ValueError, match="behind a camera"):
        rasterise(bumpy_torus(8, 6), Cameras(torch.tensor([[0.0, 0.0, 0.5]])), 16)


def test_views_do_not_depend_on_each_other_nor_on_how_the_work_is_cut(monkeypatch):
    surface, cameras = bumpy_torus(40, 20), sphere_views(5, seeded())
    together = rasterise(surface, cameras, 96)
    apart = [rasterise(surface, Cameras(p[None]), 96) for p in cameras.position]
    assert torch.equal(together.face, torch.cat([b.face for b in apart]))
    module = importlib.import_module("pipelines.render.rasterise")
    monkeypatch.setattr(module, "WORK", 25_000)
    monkeypatch.setattr(module, "SAMPLES", 500)
    assert_same(together, rasterise(surface, cameras, 96))


@pytest.fixture(scope="module")
def oracle():
    """A surface that hides parts of itself, seen by us and by embree: 6 pictures."""
    surface, cameras, size = bumpy_torus(160, 60), sphere_views(6, seeded(3)), 256
    origins, directions = rays(cameras, size)
    face, distance = cast(embree(surface), origins, directions)
    return (
        surface,
        rasterise(surface, cameras, size),
        face,
        origins + distance[..., None] * directions,
    )


def inner(buffer: Buffer) -> torch.Tensor:
    """Hit pixels off the silhouettes: the depth of their 3 x 3 neighbours is nearly theirs."""
    depth = buffer.depth[:, None]
    deepest = max_pool2d(depth, 3, 1, 1)
    nearest = -max_pool2d(-depth, 3, 1, 1)
    return (deepest - nearest < 0.06)[:, 0] & (buffer.face >= 0)


def test_face_ids_agree_with_embree_off_the_silhouettes(oracle):
    surface, buffer, face, _ = oracle
    off = inner(buffer)
    assert len(surface.faces) == 19_200
    assert off.sum() > 0.8 * (buffer.face >= 0).sum() > 50_000
    assert (face[off] >= 0).all()
    # A centre within rounding of an edge may go to either face.
    assert (face[off] == buffer.face[off]).float().mean() > 0.9995
    assert ((face >= 0) == (buffer.face >= 0)).float().mean() > 0.9999


def test_positions_agree_with_embree_to_1e_5(oracle):
    surface, buffer, _, want = oracle
    off = inner(buffer)
    hit = buffer.face >= 0
    error = (position(surface, buffer) - want[hit]).norm(dim=1)[off[hit]]
    assert error.max() < 1e-5
