"""The mesh world keeps its promises: closed solids, exact labels, unit size, nothing undecided."""

import numpy as np
import pytest
import torch

from miniature.meshes import FAMILIES, PartMesh, PartName, sample_mesh, surface, write_obj
from miniature.meshes.solids import (
    Solid,
    box,
    cylinder,
    ellipsoid,
    extrude,
    lathe,
    ring,
    tube,
    turned,
)
from pipelines.render import rasterise, sphere_views

SEEDS = range(4)


def volume(solid: Solid) -> float:
    """Signed, positive where faces are counter-clockwise from outside."""
    a, b, c = solid.vertices[solid.faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(solid: Solid) -> bool:
    """Every edge is walked once in each direction."""
    edges = solid.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    forth, back = (sorted(map(tuple, e)) for e in (edges.tolist(), edges[:, ::-1].tolist()))
    return forth == back and len(set(forth)) == len(forth)


def alone(solid: Solid) -> PartMesh:
    vertices = solid.vertices.astype(np.float32)
    labels = np.zeros(len(solid.faces), np.int64)
    return PartMesh("solid", (PartName("all", False),), vertices, solid.faces, labels)


def test_solids_hold_the_volume_that_geometry_says():
    square = [(1, 0), (1.5, 0), (1.5, 0.5), (1, 0.5)]
    n = 24
    gon = n / 2 * np.sin(2 * np.pi / n)
    exact = [
        (box(1, 2, 3), 6),
        (turned(box(1, 2, 3), "x", 0.7), 6),
        (cylinder(0.5, 1, 3), gon * 0.5),
        (lathe([(0, 0), (1, 0), (0, 3)], n), gon),
        (ring(square, n), gon * 0.5 * (1.5**2 - 1)),
        (extrude([(0, 0), (2, 0), (0, 1)], 0.3, rows=2), 0.3),
        (tube([(0, 0, 0), (0, 1, 0), (0, 3, 0)], 0.2, segments=n), gon * 0.04 * 3),
    ]
    for solid, expected in exact:
        assert is_closed(solid)
        assert volume(solid) == pytest.approx(expected, rel=1e-9)
    assert volume(ellipsoid(1, 2, 3, 200, 200)) == pytest.approx(8 * np.pi, rel=1e-3)


@pytest.mark.parametrize("axis", "xyz")
def test_a_quarter_turn_takes_the_next_axis_to_the_one_after(axis):
    k = "xyz".index(axis)
    unit = np.eye(3)
    solid = turned(Solid(unit, np.zeros((0, 3), int)), axis, np.pi / 2)
    assert solid.vertices[(k + 1) % 3] == pytest.approx(unit[(k + 2) % 3], abs=1e-12)
    assert solid.vertices[k] == pytest.approx(unit[k], abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_made_of_closed_solids(family):
    for seed in range(30):
        for part in FAMILIES[family](np.random.default_rng(seed)):
            for solid in part.solids:
                assert is_closed(solid), (seed, part.name)
                assert volume(solid) > 0, (seed, part.name)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_labels_partition_the_faces_into_the_parts_that_were_built(family):
    for seed in SEEDS:
        mesh = sample_mesh("tune", seed, family)
        assert len(mesh.labels) == len(mesh.faces)
        assert 400 <= len(mesh.faces) <= 3000
        assert set(mesh.labels) == set(range(len(mesh.parts)))
        assert len({part.name for part in mesh.parts}) == len(mesh.parts) >= 2
        owner = np.full(len(mesh.vertices), -1)
        owner[mesh.faces.ravel()] = np.repeat(mesh.labels, 3)
        assert (owner[mesh.faces] == mesh.labels[:, None]).all(), "parts share vertices"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mesh_has_unit_size_and_stands_upright(family):
    for seed in SEEDS:
        v = sample_mesh("test", seed, family).vertices
        assert v.dtype == np.float32
        assert v.min(0) + v.max(0) == pytest.approx(np.zeros(3), abs=1e-6)
        assert np.linalg.norm(v, axis=1).max() == pytest.approx(1, abs=1e-6)


def test_what_should_be_above_is_above():
    above = [("mushroom", "cap", "stem"), ("table", "top", "legs"), ("snowman", "hat", "body")]
    above += [("house", "roof", "walls"), ("rocket", "nose", "fins"), ("lamp", "shade", "base")]
    for family, upper, lower in above:
        mesh = sample_mesh("tune", 3, family)
        names = [part.name for part in mesh.parts]
        height = mesh.vertices[mesh.faces].mean(1)[:, 1]
        high, low = (height[mesh.labels == names.index(n)].mean() for n in (upper, lower))
        assert high > low + 0.3


def test_a_seed_repeats_and_no_two_splits_or_seeds_are_the_same():
    again = [sample_mesh("train", 7, "mug").vertices for _ in range(2)]
    assert (again[0] == again[1]).all()
    drawn = [("train", 7), ("tune", 7), ("test", 7), ("train", 8)]
    meshes = [sample_mesh(split, seed, "mug").vertices.tobytes() for split, seed in drawn]
    assert len(set(meshes)) == 4
    assert {sample_mesh("train", seed).family for seed in range(150)} == set(FAMILIES)


def test_a_given_family_keeps_the_proportions_of_its_seed():
    free = sample_mesh("tune", 5)
    assert (sample_mesh("tune", 5, free.family).vertices == free.vertices).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_faces_of_different_solids_overlap_in_one_plane(family):
    for seed in range(12):
        parts = FAMILIES[family](np.random.default_rng(seed))
        solids = [solid for part in parts for solid in part.solids]
        for k, one in enumerate(solids):
            for other in solids[:k]:
                assert not shared_plane(one, other), (seed, k)


def shared_plane(one: Solid, other: Solid) -> bool:
    """Whether any two triangles lie within 1e-3 of one plane and overlap there."""
    p, q = (s.vertices[s.faces] for s in (one, other))
    n, m = (np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in (p, q))
    n, m = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (n, m))
    level = (n * p[:, 0]).sum(1)[:, None] - n @ q[:, 0].T
    close = (np.abs(n @ m.T) > 0.9999) & (np.abs(level) < 1e-3)
    return any(overlap(p[i], q[j], n[i]) for i, j in zip(*close.nonzero(), strict=True))


def overlap(p: np.ndarray, q: np.ndarray, normal: np.ndarray) -> bool:
    """Separating axes of two triangles in the plane of `normal`."""
    for t in (p, q):
        for k in range(3):
            axis = np.cross(normal, t[k] - t[k - 1])
            a, b = p @ axis, q @ axis
            if a.min() > b.max() - 1e-9 or b.min() > a.max() - 1e-9:
                return False
    return True


def test_the_plane_test_sees_two_boxes_with_one_top():
    small, large = box(1, 1, 1), box(2, 1, 2)
    assert shared_plane(small, large)
    assert not shared_plane(small, Solid(large.vertices + np.array((0, 0.01, 0)), large.faces))


def test_normals_are_smooth_on_a_ball_and_flat_on_a_box():
    ball = surface(alone(ellipsoid(1, 1, 1, 24, 24)))
    outward = ball.vertices[ball.faces]
    assert (ball.normals * outward).sum(2).min() > np.cos(np.radians(4))
    assert torch.allclose(ball.normals.norm(dim=2), torch.ones(1), atol=1e-6)
    cube = surface(alone(box(1, 1, 1)))
    assert (cube.normals.abs().amax(2) > 1 - 1e-6).all()
    drum = surface(alone(cylinder(1, -1, 1)))
    height = drum.normals[..., 1].abs()
    assert ((height < 1e-6) | (height > 1 - 1e-6)).all(), "the rim is a crease"


def test_every_face_has_its_own_place_on_the_texture():
    for family in ("house", "rocket"):
        shape = surface(sample_mesh("tune", 0, family))
        uv, count = shape.uv.double(), len(shape.faces)
        side = int(np.ceil(np.sqrt((count + 1) // 2)))
        assert uv.min() > 0 and uv.max() < 1
        cell = (uv * side).floor()
        assert (cell == cell[:, :1]).all(), "a face lies in one cell"
        upper = (uv * side - cell).sum(2) > 1
        assert (upper == upper[:, :1]).all(), "and on one side of its diagonal"
        place = torch.cat([cell[:, 0], upper[:, :1]], dim=1)
        assert len(place.unique(dim=0)) == count


@pytest.mark.parametrize("family", FAMILIES)
def test_every_part_is_seen_from_somewhere(family):
    for seed in SEEDS:
        mesh = sample_mesh("test", seed, family)
        cameras = sphere_views(12, torch.Generator().manual_seed(seed))
        face = rasterise(surface(mesh), cameras, 64).face
        labels = torch.from_numpy(mesh.labels)
        for k, part in enumerate(mesh.parts):
            seen = ((face >= 0) & (labels[face.clamp(min=0)] == k)).sum((1, 2))
            assert seen.max() >= 20, part.name


def test_an_obj_holds_the_mesh_to_the_last_bit(tmp_path):
    mesh = sample_mesh("tune", 1)
    write_obj(tmp_path / "mesh.obj", mesh)
    lines = [line.split() for line in (tmp_path / "mesh.obj").read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], np.float32)
    faces = np.array([line[1:] for line in lines if line[0] == "f"], np.int64) - 1
    assert (vertices == mesh.vertices).all()
    assert (faces == mesh.faces).all()
