"""Writing: what was not painted comes back as it was, and what was painted is where it belongs."""

import io
from dataclasses import replace

import geometry_files as files
import numpy as np
import pytest
import trimesh
from geometry_files import CORNER_UV, CUBE, TRIANGLES
from PIL import Image

from pipelines.geometry import read_mesh, read_settings, surface, unwrap, write_glb, write_obj
from pipelines.geometry.gltf_file import Document, array, floats

PAINT = files.picture((16, 16), seed=5)


def untouched(model) -> list[None]:
    return [None] * len(model.parts)


def image_bytes(document: Document, number: int) -> bytes:
    return document.views[document.tree["images"][number]["bufferView"]]


def statements(path, *keys: str) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.split(" ")[0] in keys]


@pytest.mark.parametrize("scale", [1e38, 1.2e-38])
def test_a_mesh_as_large_or_small_as_a_glb_can_be_comes_back(scale, tmp_path):
    path = tmp_path / "a.obj"
    rows = [f"v {x * scale} {y * scale} {z * scale}" for x, y, z in CUBE]
    rows += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in TRIANGLES]
    path.write_text("\n".join(rows) + "\n")
    model = unwrap(read_mesh(path))
    assert surface(model).vertices.isfinite().all()
    write_glb(tmp_path / "a.glb", model, [files.picture((16, 16))])
    (part,) = read_mesh(tmp_path / "a.glb").parts
    assert np.allclose(part.vertices[part.faces] / scale, CUBE[TRIANGLES], atol=1e-5)


def test_an_obj_comes_back_line_by_line(tmp_path):
    given = files.obj_cube(tmp_path)
    out = tmp_path / "out" / "same.obj"
    out.parent.mkdir()
    model = read_mesh(given)
    written = write_obj(out, model, untouched(model))
    for keys in (("v",), ("vt",), ("f", "g", "s", "o", "usemtl"), ("#",)):
        assert statements(out, *keys) == statements(given, *keys)
    again = read_mesh(out)
    assert again.notes == ()
    for a, b in zip(model.parts, again.parts, strict=True):
        assert (a.name, a.factor) == (b.name, b.factor)
        assert np.array_equal(a.faces, b.faces)
        assert (a.picture is None) == (b.picture is None)
        assert a.picture is None or np.array_equal(a.picture, b.picture)
    assert {p.name for p in written} == {p.name for p in out.parent.iterdir()}
    material = out.with_suffix(".mtl").read_text()
    assert "Ns 12" in material
    assert "map_Pr same_rough.png" in material
    write_obj(out, again, untouched(again))
    assert {p.name for p in written} == {p.name for p in out.parent.iterdir()}


def test_an_obj_keeps_its_polygons_where_only_colours_change(tmp_path):
    given = files.obj_cube(tmp_path)
    model = read_mesh(given)
    out = tmp_path / "painted.obj"
    write_obj(out, model, [PAINT, None])
    assert statements(out, "f") == statements(given, "f")
    wood, red = read_mesh(out).parts
    assert np.array_equal(wood.picture, PAINT)
    assert wood.factor == (1, 1, 1, 1)
    assert red.picture is None
    assert np.allclose(red.factor, model.parts[1].factor, atol=1e-6)


def test_an_obj_that_is_unwrapped_keeps_vertices_and_face_order(tmp_path):
    lines = [f"v {x} {y} {z} 1.0" for x, y, z in CUBE]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in TRIANGLES]
    given = tmp_path / "bare.obj"
    given.write_text("\n".join(lines))
    model = unwrap(read_mesh(given))
    out = tmp_path / "painted.obj"
    write_obj(out, model, [PAINT])
    assert statements(out, "v") == statements(given, "v")
    (part,) = read_mesh(out).parts
    assert np.array_equal(part.faces, TRIANGLES)
    assert np.allclose(part.uv, model.parts[0].uv, atol=1e-7)
    assert np.array_equal(part.picture, PAINT)
    assert "Kd 1 1 1" in out.with_suffix(".mtl").read_text()
    assert len(trimesh.load_mesh(out, process=False).faces) == 12


def test_quads_whose_uvs_are_new_become_triangles_in_their_place(tmp_path):
    given = tmp_path / "quads.obj"
    lines = [f"v {x} {y} {z}" for x, y, z in CUBE]
    lines += [f"g {k}\nf " + " ".join(str(v + 1) for v in q) for k, q in enumerate(files.QUADS)]
    given.write_text("\n".join(lines))
    model = unwrap(read_mesh(given))
    out = tmp_path / "painted.obj"
    write_obj(out, model, [PAINT])
    kinds = [line[0] for line in statements(out, "g", "f")]
    assert kinds == ["g", "f", "f"] * 6
    (part,) = read_mesh(out).parts
    assert np.array_equal(part.faces, TRIANGLES)


@pytest.mark.parametrize("make", [files.ply_cube, files.stl_cube, files.off_cube, files.off_sides])
@pytest.mark.parametrize("painted", [False, True])
def test_plain_meshes_go_through_glb_and_obj(make, painted, tmp_path):
    model = read_mesh(make(tmp_path))
    if painted:
        model = unwrap(model)
    part = model.parts[0]
    textures = [PAINT] if painted else [None]
    write_glb(tmp_path / "o.glb", model, textures)
    write_obj(tmp_path / "o.obj", model, textures)
    for name in ("o.glb", "o.obj"):
        (again,) = read_mesh(tmp_path / name).parts
        assert np.array_equal(again.vertices[: len(part.vertices)], part.vertices)
        assert np.array_equal(again.vertices[again.faces], part.vertices[part.faces])
        assert (again.picture is not None) == painted
        if painted:
            assert np.allclose(again.uv, part.uv, atol=1e-7)
        (theirs,) = files.corners_of(tmp_path / name).values()
        assert np.allclose(theirs, part.vertices[part.faces])
    assert np.array_equal(read_mesh(tmp_path / "o.obj").parts[0].faces, part.faces)


@pytest.mark.parametrize("name", ["o.glb", "o.obj"])
def test_every_solid_of_an_stl_is_written(name, tmp_path):
    model = unwrap(read_mesh(files.stl_pair(tmp_path)))
    write = {"o.glb": write_glb, "o.obj": write_obj}[name]
    write(tmp_path / name, model, [PAINT, None])
    left, right = read_mesh(tmp_path / name).parts
    for part, old in zip((left, right), model.parts, strict=True):
        assert np.array_equal(part.vertices[part.faces], old.vertices[old.faces])
    assert np.array_equal(left.picture, PAINT)
    assert right.picture is None
    theirs = files.corners_of(tmp_path / name).values()
    assert sum(len(corners) for corners in theirs) == 24


@pytest.mark.parametrize("write", [write_glb, write_obj])
def test_ply_colours_survive_until_they_are_painted_over(write, tmp_path):
    model = read_mesh(files.ply_cube(tmp_path))
    path = tmp_path / f"o.{write.__name__[-3:]}"
    write(path, model, [None])
    again = read_mesh(path)
    assert np.allclose(again.parts[0].colours, model.parts[0].colours, atol=1e-5)
    write(path, unwrap(again), [PAINT])
    (painted,) = read_mesh(path).parts
    # What is left of them must not tint the texture.
    assert painted.colours is None or (painted.colours == 1).all()
    assert np.array_equal(painted.picture, PAINT)


def test_obj_materials_survive_in_glb(tmp_path):
    model = read_mesh(files.obj_cube(tmp_path))
    write_glb(tmp_path / "o.glb", model, untouched(model))
    for a, b in zip(model.parts, read_mesh(tmp_path / "o.glb").parts, strict=True):
        assert a.name == b.name
        assert np.allclose(a.factor, b.factor)
        assert np.allclose(a.uv, b.uv, atol=1e-6)
        assert np.array_equal(a.vertices[a.faces], b.vertices[b.faces])
        assert a.picture is None or np.array_equal(a.picture, b.picture)


def test_far_away_coordinates_are_exact_in_obj(tmp_path):
    path = tmp_path / "far.off"
    path.write_text("OFF\n3 1 0\n1000000.1 0 0\n1000000.2 0 0\n1000000 0.1 0\n3 0 1 2\n")
    model = unwrap(read_mesh(path))
    write_obj(tmp_path / "o.obj", model, [PAINT])
    assert np.array_equal(read_mesh(tmp_path / "o.obj").parts[0].vertices, model.parts[0].vertices)


@pytest.mark.parametrize("places", [(512345.5, 4512345.25, 120.0), (-4e6, 0.0, 1e5)])
def test_far_away_coordinates_keep_their_shape_in_glb(places, tmp_path):
    source = read_mesh(files.obj_cube(tmp_path))
    far = [replace(part, vertices=part.vertices + places) for part in source.parts]
    model = replace(source, parts=tuple(far), source=None)
    write_glb(tmp_path / "o.glb", model, [PAINT, None])
    again = read_mesh(tmp_path / "o.glb")
    # And once more, with the tree of the first.
    write_glb(tmp_path / "again.glb", again, [None, PAINT])
    for found in (again, read_mesh(tmp_path / "again.glb")):
        for a, b in zip(model.parts, found.parts, strict=True):
            assert np.abs(a.vertices[a.faces] - b.vertices[b.faces]).max() < 1e-6 * 3
    # All parts are moved by one centre, or seams between them would open.
    nodes = files.tree_of(tmp_path / "o.glb")["nodes"]
    assert nodes[0]["translation"] == nodes[1]["translation"]
    # As readers that are not ours see it, too.
    seen = np.concatenate(list(files.corners_of(tmp_path / "o.glb").values()))
    assert np.abs(seen.min(axis=(0, 1)) - places).max() < 1e-6 * 3


def test_what_lies_near_stays_where_it_is_in_glb(tmp_path):
    for shift in (0, 100):
        path = tmp_path / f"{shift}.off"
        path.write_text(f"OFF\n3 1 0\n{shift} 0 0\n{shift + 1} 0 0\n{shift} 1 0\n3 0 1 2\n")
        write_glb(tmp_path / "o.glb", unwrap(read_mesh(path)), [PAINT])
        tree = files.tree_of(tmp_path / "o.glb")
        assert "translation" not in tree["nodes"][0]
        assert tree["accessors"][0]["min"] == [shift, 0, 0]


@pytest.mark.parametrize("name", ["scene.glb", "scene.gltf"])
def test_a_scene_comes_back_as_it_was(name, tmp_path):
    model = read_mesh(files.gltf_scene(tmp_path, name))
    write_glb(tmp_path / "same.glb", model, untouched(model))
    before, after = (m.source.document for m in (model, read_mesh(tmp_path / "same.glb")))
    for key in set(before.tree) | set(after.tree):
        if key not in ("buffers", "bufferViews"):
            assert before.tree[key] == after.tree[key], key
    assert before.views == after.views


def test_painting_a_kept_uv_changes_one_picture_and_one_factor(tmp_path):
    model = read_mesh(files.gltf_scene(tmp_path))
    out = tmp_path / "painted.glb"
    write_glb(out, model, [PAINT, None, None])
    left, right, bare = read_mesh(out).parts
    assert np.array_equal(left.picture[..., :3], PAINT)
    assert left.factor == (1, 1, 1, 0.75)
    assert np.array_equal(left.uv, model.parts[0].uv)
    # Alpha comes from the old picture, at the size of the new one.
    assert left.picture.shape == (16, 16, 4)
    for part, old in ((right, model.parts[1]), (bare, model.parts[2])):
        assert part.factor == old.factor
        assert part.picture is None or np.array_equal(part.picture, old.picture)
        assert np.array_equal(part.vertices, old.vertices)
        assert np.array_equal(part.faces, old.faces)
    after = read_mesh(out).source.document
    mesh = after.tree["meshes"][after.tree["nodes"][1]["mesh"]]
    material = after.tree["materials"][mesh["primitives"][0]["material"]]
    assert material["normalTexture"] == {"index": 1, "scale": 0.5}
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0.25
    assert material["doubleSided"]
    assert image_bytes(after, 1) == (tmp_path / "n.jpg").read_bytes()
    texture = after.tree["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]
    assert texture["sampler"] == 0
    assert after.tree["scenes"] == model.source.document.tree["scenes"]
    assert after.tree["nodes"][0] == model.source.document.tree["nodes"][0]


def test_every_instance_can_be_painted_differently(tmp_path):
    model = read_mesh(files.gltf_scene(tmp_path))
    other = files.picture((16, 16), seed=6)
    write_glb(tmp_path / "p.glb", model, [PAINT, other, None])
    left, right, _ = read_mesh(tmp_path / "p.glb").parts
    assert np.array_equal(left.picture[..., :3], PAINT)
    assert np.array_equal(right.picture[..., :3], other)


def test_a_picture_nobody_shows_any_more_is_not_kept(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["nodes"][0]["children"] = [1]
    tree["nodes"].pop(2)
    tree["scenes"][0]["nodes"] = [0, 2]
    model = read_mesh(files.write_tree(tmp_path / "one.glb", tree, blob))
    write_glb(tmp_path / "p.glb", model, [PAINT, None])
    after = read_mesh(tmp_path / "p.glb").source.document
    assert len(after.tree["images"]) == 2
    assert (tmp_path / "c.png").read_bytes() not in (tmp_path / "p.glb").read_bytes()
    shown = np.asarray(Image.open(io.BytesIO(image_bytes(after, 0))))
    assert np.array_equal(shown[..., :3], PAINT)


TILED = (CORNER_UV * (1, -1) + (0, 1)) * 2
"""UVs as glTF has them, of a picture that repeats: they cannot be painted in."""


def tiled_scene(folder):
    tree, blob = files.tree_and_blob(files.gltf_scene(folder))
    blob = bytearray(blob)
    start, data = tree["bufferViews"][1]["byteOffset"], TILED.astype("<f4").tobytes()
    blob[start : start + len(data)] = data
    return files.write_tree(folder / "tiled.glb", tree, bytes(blob))


@pytest.mark.parametrize("name", ["o.glb", "o.obj"])
def test_a_picture_stays_where_it_was_on_a_part_that_is_unwrapped_but_not_painted(name, tmp_path):
    model = unwrap(read_mesh(tiled_scene(tmp_path)))
    write = {"o.glb": write_glb, "o.obj": write_obj}[name]
    write(tmp_path / name, model, [None, PAINT, None])
    left, right, _ = read_mesh(tmp_path / name).parts
    assert np.allclose(left.old_uv, model.parts[0].old_uv, atol=1e-6)
    assert np.array_equal(left.picture, model.parts[0].picture)
    assert np.allclose(right.uv, model.parts[1].uv, atol=1e-6)
    assert np.array_equal(right.picture[..., :3], PAINT)


def test_new_uvs_leave_the_other_maps_on_the_old_ones(tmp_path):
    model = unwrap(read_mesh(tiled_scene(tmp_path)))
    assert any("repeats" in note for note in model.notes)
    write_glb(tmp_path / "p.glb", model, [PAINT, None, PAINT])
    again = read_mesh(tmp_path / "p.glb")
    for k in (0, 2):
        part, old = again.parts[k], model.parts[k]
        assert part.keeps_uv
        assert np.allclose(part.uv, old.uv, atol=1e-6)
        assert np.array_equal(part.vertices[part.faces], old.vertices[old.faces])
        assert np.array_equal(part.vertices[: len(old.vertices)], old.vertices)
        assert np.array_equal(part.picture[..., :3], PAINT)
    assert again.parts[2].colours is None
    assert again.parts[2].factor == (1, 1, 1, 1)
    document = again.source.document
    mesh = document.tree["meshes"][document.tree["nodes"][1]["mesh"]]
    primitive = mesh["primitives"][0]
    material = document.tree["materials"][primitive["material"]]
    assert material["normalTexture"]["texCoord"] == 1
    clearcoat = material["extensions"]["KHR_materials_clearcoat"]["clearcoatTexture"]
    assert clearcoat["texCoord"] == 1
    assert "texCoord" not in material["pbrMetallicRoughness"]["baseColorTexture"]
    corners = array(document, primitive["indices"])[:, 0]
    kept = array(document, primitive["attributes"]["TEXCOORD_1"])[corners].reshape(-1, 3, 2)
    assert np.allclose(kept, TILED, atol=1e-6)
    assert np.array_equal(again.parts[1].picture, model.parts[1].picture)


def test_vertex_colours_that_are_see_through_leave_their_alpha(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    colour = tree["bufferViews"][4]
    at = colour["byteOffset"] + np.arange(3, colour["byteLength"], 4)
    alpha = np.arange(8) * 30
    values = np.frombuffer(bytearray(blob), np.uint8)
    values[at] = alpha
    model = unwrap(read_mesh(files.write_tree(tmp_path / "t.glb", tree, values.tobytes())))
    write_glb(tmp_path / "p.glb", model, [None, None, PAINT])
    bare = read_mesh(tmp_path / "p.glb")
    document, place = bare.source.document, bare.source.places[2]
    mesh = document.tree["meshes"][document.tree["nodes"][place.node]["mesh"]]
    left = floats(document, mesh["primitives"][0]["attributes"]["COLOR_0"])
    assert (left[:, :3] == 1).all()
    assert np.allclose(left[:8, 3], alpha / 255)
    assert np.array_equal(bare.parts[2].picture[..., :3], PAINT)


def test_a_mirrored_part_is_painted_where_its_faces_are(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["meshes"][0]["primitives"][0]["attributes"].pop("TEXCOORD_0")
    model = unwrap(read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob)))
    write_glb(tmp_path / "p.glb", model, [None, PAINT, None])
    part, old = read_mesh(tmp_path / "p.glb").parts[1], model.parts[1]
    assert np.allclose(part.uv, old.uv, atol=1e-6)
    assert np.array_equal(part.vertices[part.faces], old.vertices[old.faces])


def test_a_painted_scene_loads_in_trimesh(tmp_path):
    model = unwrap(read_mesh(files.gltf_scene(tmp_path)))
    write_glb(tmp_path / "p.glb", model, [PAINT] * 3)
    write_obj(tmp_path / "p.obj", model, [PAINT] * 3)
    assert len(files.corners_of(tmp_path / "p.glb")) == 3
    meshes = trimesh.load_scene(tmp_path / "p.obj", process=False).geometry.values()
    assert sum(len(mesh.faces) for mesh in meshes) == 36
    for mesh in meshes:
        assert mesh.visual.material.image.size == (16, 16)


def test_settings_travel_in_the_glb(tmp_path):
    model = read_mesh(files.gltf_scene(tmp_path))
    settings = {"seed": 3, "style": "red “dotted”"}
    write_glb(tmp_path / "p.glb", model, untouched(model), settings)
    assert read_settings(tmp_path / "p.glb") == settings
    assert read_mesh(tmp_path / "p.glb").source.document.tree["asset"]["copyright"] == "somebody"
    write_glb(tmp_path / "q.glb", model, untouched(model))
    assert read_settings(tmp_path / "q.glb") is None


def test_nothing_is_half_written(tmp_path):
    model = read_mesh(files.gltf_scene(tmp_path))
    with pytest.raises(ValueError, match="argument"):
        write_glb(tmp_path / "p.glb", model, [PAINT])
    with pytest.raises(ValueError, match="JSON"):
        write_glb(tmp_path / "p.glb", model, untouched(model), {"loss": float("nan")})
    assert not list(tmp_path.glob("*p.glb"))
