"""UVs: which are kept, how overlap is measured, and what unwrapping promises."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import PurePath

import numpy as np
import pytest
import trimesh
from geometry_files import CORNER_UV, CUBE, TRIANGLES
from scipy.spatial import Delaunay

from pipelines import geometry
from pipelines.errors import InputError
from pipelines.events import Preparing
from pipelines.geometry import Model, Part, decimate, surface, unwrap, unwrapping
from pipelines.geometry.corners import corner_normals, split
from pipelines.geometry.uv import overlap, unusable

SQUARE = np.array([[(0, 0), (1, 0), (1, 1)], [(0, 0), (1, 1), (0, 1)]], dtype=float)


def model(vertices, faces, **about) -> Model:
    part = Part("thing", np.asarray(vertices, float), np.asarray(faces), uv=None, **about)
    return Model(PurePath("thing.obj"), (part,), (), None)


def sphere(subdivisions: int = 2):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def test_two_halves_of_a_square_do_not_overlap():
    assert overlap(SQUARE) == 0


def test_the_same_area_twice_is_half_used_again():
    assert overlap(np.concatenate([SQUARE, SQUARE])) == 0.5
    assert overlap(np.concatenate([SQUARE, SQUARE[..., ::-1]])) == 0.5


@pytest.mark.parametrize("shift", [0.25, 0.5, 0.8])
def test_squares_pushed_over_each_other(shift):
    pushed = np.concatenate([SQUARE, SQUARE + np.array([shift, 0])])
    assert overlap(pushed) == pytest.approx((1 - shift) / 2, abs=2e-3)


def test_triangles_that_only_share_edges_never_overlap():
    points = np.random.default_rng(0).random((3000, 2))
    assert overlap(points[Delaunay(points).simplices]) == 0


def test_a_cube_on_a_grid_is_usable_and_its_spoilt_versions_say_why():
    assert unusable(CUBE, TRIANGLES, CORNER_UV) is None
    assert "none" in unusable(CUBE, TRIANGLES, None)
    assert "repeats" in unusable(CUBE, TRIANGLES, CORNER_UV * 3)
    assert "no area" in unusable(CUBE, TRIANGLES, CORNER_UV * (1, 0))
    assert "not numbers" in unusable(CUBE, TRIANGLES, np.where(CORNER_UV == 0, np.nan, CORNER_UV))
    mirrored = CORNER_UV.copy()
    mirrored[2:4] = mirrored[0:2]
    assert "more than once" in unusable(CUBE, TRIANGLES, mirrored)


def test_unwrapping_gives_every_face_a_place_of_its_own():
    vertices, faces = sphere()
    part = unwrap(model(vertices, faces)).parts[0]
    assert part.uv.shape == (len(faces), 3, 2)
    assert part.uv.min() >= 0
    assert part.uv.max() <= 1
    assert unusable(vertices, faces, part.uv) is None
    assert not part.keeps_uv
    # Stretch: a chart of a smooth surface keeps areas in proportion, but for a factor.
    a, b = part.uv[:, 1] - part.uv[:, 0], part.uv[:, 2] - part.uv[:, 0]
    flat = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    space = np.linalg.norm(
        np.cross(
            vertices[faces[:, 1]] - vertices[faces[:, 0]],
            vertices[faces[:, 2]] - vertices[faces[:, 0]],
        ),
        axis=1,
    )
    ratio = flat / space
    assert ratio.max() < 3 * ratio.min()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_and_place_do_not_matter(scale):
    vertices, faces = sphere(1)
    uv = unwrap(model(vertices, faces)).parts[0].uv
    far = unwrap(model(vertices * scale + 3 * scale, faces)).parts[0].uv
    assert np.allclose(uv, far, atol=1e-3)


def test_uvs_that_are_there_are_left_alone():
    part = Part("a", CUBE, TRIANGLES, uv=CORNER_UV, old_uv=CORNER_UV)
    given = Model(PurePath("a.obj"), (part,), (), None)
    assert unwrap(given).parts[0] is part


def test_a_time_out_names_the_remedy():
    vertices, faces = sphere()
    with pytest.raises(InputError, match="--max-faces"):
        unwrap(model(vertices, faces), timeout=1e-3)


def test_the_time_is_that_of_all_parts_together(monkeypatch):
    given = model(CUBE, TRIANGLES)
    ends = []

    def charts(part, end):
        ends.append(end)
        time.sleep(0.02)
        yield
        return CORNER_UV

    monkeypatch.setattr(unwrapping, "_charts", charts)
    unwrap(replace(given, parts=given.parts * 3), timeout=9)
    assert len(ends) == 3 and len(set(ends)) == 1
    assert ends[0] == pytest.approx(time.monotonic() + 9, abs=5)
    monkeypatch.undo()
    with pytest.raises(InputError, match="--max-faces"):
        unwrap(given, timeout=-1)


def test_xatlas_ends_when_nobody_waits_for_it(monkeypatch):
    began, begin = [], subprocess.Popen

    def slow(_, **about):
        began.append(begin(["sleep", "60"], **about))
        return began[0]

    monkeypatch.setattr(unwrapping, "BEAT", 0.01)
    monkeypatch.setattr(subprocess, "Popen", slow)
    making = geometry.unwrap_by_beats(model(CUBE, TRIANGLES))
    assert next(making) == Preparing() and began[0].poll() is None
    making.close()
    assert began[0].poll() == -signal.SIGKILL


def test_too_many_faces_name_the_remedy(monkeypatch):
    monkeypatch.setattr(unwrapping, "MAX_FACES", 11)
    with pytest.raises(InputError, match="--max-faces"):
        unwrap(model(CUBE, TRIANGLES))


def test_decimation_comes_near_the_count_and_keeps_the_shape():
    vertices, faces = sphere(4)
    simple = decimate(model(vertices * 1e-3 + 5, faces), 600)
    assert simple.faces == pytest.approx(600, rel=0.05)
    assert "600" in simple.notes[-1] or f"{simple.faces:,}" in simple.notes[-1]
    points = (simple.parts[0].vertices - 5) * 1e3
    assert np.allclose(np.linalg.norm(points, axis=1), 1, atol=0.03)
    small = model(CUBE, TRIANGLES)
    assert decimate(small, 12) is small


def test_a_mesh_of_fewer_faces_than_a_solid_has_is_refused():
    with pytest.raises(InputError, match=r"^3 faces make no mesh\. Ask for 4 or more\.$"):
        decimate(model(*sphere()), 3)
    assert decimate(model(*sphere()), 4).faces >= 4


def beside_a_sphere(vertices, faces) -> Model:
    """A sphere of 1280 faces, and a second part."""
    given = model(*sphere(3))
    return replace(given, parts=(*given.parts, *model(vertices, faces).parts))


def test_a_part_that_has_few_faces_is_not_simplified():
    # Its faces share no vertices, and simplified they would.
    solid = np.eye(4, 3)[[[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]].reshape(12, 3)
    faces = np.arange(12).reshape(4, 3)
    big, small = decimate(beside_a_sphere(solid, faces), 200).parts
    assert len(big.faces) == pytest.approx(200, rel=0.05)
    assert np.array_equal(small.vertices, solid)
    assert np.array_equal(small.faces, faces)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("places", [1, 2])
def test_a_part_that_is_a_point_or_a_line_can_be_beside_what_is_simplified(places):
    given = beside_a_sphere(np.eye(places, 3) + 5, [[0, places - 1, 0]] * 40)
    big, thin = unwrap(decimate(given, 200)).parts
    assert len(big.faces) < 200
    assert {tuple(x) for x in thin.vertices[thin.faces].reshape(-1, 3)} == {
        tuple(x) for x in np.eye(places, 3) + 5
    }
    assert not thin.uv.any()


def test_a_part_without_area_gets_uvs_without_area():
    given = unwrap(beside_a_sphere(np.eye(3) * (1, 0, 0), [[0, 1, 2], [2, 1, 0]]))
    big, flat = given.parts
    assert unusable(big.vertices, big.faces, big.uv) is None
    assert flat.uv.shape == (2, 3, 2)
    assert not flat.uv.any()


def test_a_surface_that_xatlas_gives_up_on_names_the_remedy(monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(InputError, match=r"for thing: .* Repair it in .* --max-faces 6, or give"):
        unwrap(model(CUBE, TRIANGLES))


def test_a_surface_that_xatlas_crashes_on_is_given_again_a_little_rough(monkeypatch):
    """An icosphere of 81,920 faces is one; it takes too long here."""
    given, honest = [], subprocess.Popen

    def crashing(command, **about):
        given.append(np.load(command[2])["vertices"])
        return honest(["false"] if len(given) == 1 else command, **about)

    monkeypatch.setattr(subprocess, "Popen", crashing)
    (part,) = unwrap(model(CUBE, TRIANGLES)).parts
    assert unusable(part.vertices, part.faces, part.uv) is None
    assert np.array_equal(part.vertices, CUBE)
    smooth, rough = given
    assert 0 < abs(rough - smooth).max() < 1e-3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("faces", [[[0, 0, 0]] * 12, [[0, 1, 2], [0, 2, 1]] * 6])
def test_a_part_that_cannot_be_simpler_stays(faces):
    """One of no area, and one of faces that all lie on each other."""
    ball, odd = model(*sphere(3)), model(np.eye(3), faces)
    simple = unwrap(decimate(replace(ball, parts=ball.parts + odd.parts), 200))
    assert [len(part.faces) for part in simple.parts] == [pytest.approx(200, rel=0.05), 12]
    assert np.isfinite(simple.parts[1].uv).all()


def test_normals_of_a_sphere_point_outwards():
    vertices, faces = sphere(3)
    assert np.allclose(corner_normals(vertices, faces), vertices[faces], atol=0.02)


def test_a_cube_keeps_its_edges():
    normals = corner_normals(CUBE, TRIANGLES)
    assert np.array_equal(normals, np.broadcast_to(normals[:, :1], normals.shape))
    assert np.array_equal(np.abs(normals).sum(-1), np.ones((12, 3)))
    centre = CUBE[TRIANGLES].mean(axis=1) - CUBE.mean(axis=0)
    assert ((normals[:, 0] * centre).sum(-1) > 0).all()


def test_a_split_mesh_is_as_smooth_as_a_welded_one():
    vertices, faces = sphere(2)
    soup = np.arange(faces.size).reshape(-1, 3)
    split_normals = corner_normals(vertices[faces].reshape(-1, 3), soup)
    assert np.allclose(split_normals, corner_normals(vertices, faces), atol=1e-12)


def test_a_cylinder_is_smooth_around_and_sharp_at_its_lids():
    mesh = trimesh.creation.cylinder(radius=1, height=2, sections=24)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    normals = corner_normals(vertices, faces)
    lid = np.ptp(vertices[faces][..., 2], axis=1) == 0
    assert np.allclose(np.abs(normals[lid][..., 2]), 1)
    around = vertices[faces[~lid]] * (1, 1, 0)
    assert np.allclose(normals[~lid], around, atol=0.1)
    assert np.allclose(normals[~lid][..., 2], 0, atol=1e-12)


def test_faces_without_area_have_no_say_and_no_nan():
    vertices = np.concatenate([CUBE, CUBE[:1]])
    faces = np.concatenate([TRIANGLES, [[0, 8, 1], [3, 3, 3], [0, 1, 1]]])
    normals = corner_normals(vertices, faces)
    assert np.allclose(normals[:12], corner_normals(CUBE, TRIANGLES))
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1)
    seen = surface(unwrap(model(vertices, faces)))
    assert seen.normals.isfinite().all()
    assert seen.uv.isfinite().all()
    assert len(seen.faces) == 15


def test_split_repeats_vertices_and_nothing_else():
    rng = np.random.default_rng(3)
    faces, count = rng.integers(0, 50, (200, 3)), 60
    values = rng.integers(0, 3, (200, 3, 2)).astype(np.float32)
    new, origin, rows = split(faces, values, count)
    assert np.array_equal(origin[new], faces)
    assert np.array_equal(rows[new], values)
    assert np.array_equal(origin[:count], np.arange(count))
    pairs = {
        (v, *xy)
        for v, xy in zip(faces.ravel(), values.reshape(-1, 2).tolist(), strict=True)
        for xy in [tuple(xy)]
    }
    assert len(origin) == len(pairs) + count - len(np.unique(faces))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_surface_is_at_unit_size(scale):
    vertices, faces = sphere(1)
    part = Part(
        "a", vertices * scale * (1, 2, 3) + 7 * scale, faces, uv=np.zeros((*faces.shape, 2))
    )
    second = Part("b", CUBE * scale + 7 * scale, TRIANGLES, uv=CORNER_UV)
    seen = surface(Model(PurePath("two.glb"), (part, second), (), None))
    assert seen.vertices.norm(dim=1).max() == pytest.approx(1, abs=1e-6)
    assert (seen.vertices.amin(0) + seen.vertices.amax(0)).abs().max() < 1e-6
    assert seen.atlas.tolist() == [0] * len(faces) + [1] * 12
    assert np.allclose(seen.uv[-12:], CORNER_UV)
    assert (seen.faces[-12:] - len(vertices)).tolist() == TRIANGLES.tolist()


def test_what_lies_on_its_back_stands_where_z_is_up():
    standing = sphere(1)[0] * (1, 2, 3) + (4, 5, 6)
    # Blender's export: its front, -y, comes to look along z.
    lying = np.stack([standing[:, 0], -standing[:, 2], standing[:, 1]], axis=1)
    faces = sphere(1)[1]
    uv = np.zeros((*faces.shape, 2))
    seen, turned, as_is = (
        surface(Model(PurePath("a.stl"), (Part("a", vertices, faces, uv=uv),), (), None), up)
        for vertices, up in ((standing, "y"), (lying, "z"), (lying, "y"))
    )
    assert seen.vertices.equal(turned.vertices) and seen.normals.equal(turned.normals)
    assert not seen.vertices.equal(as_is.vertices)


def test_a_surface_needs_uvs():
    with pytest.raises(ValueError, match="unwrap"):
        surface(model(CUBE, TRIANGLES))
