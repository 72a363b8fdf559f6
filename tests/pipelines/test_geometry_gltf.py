"""What a glTF may say in more than one way: read alike, and written so that every viewer sees it.

Right and wrong are those of the glTF 2.0 specification and of its extensions.
"""

import geometry_files as files
import numpy as np
import pytest
import trimesh
from geometry_files import CORNER_UV, CUBE, TRIANGLES

from pipelines.errors import InputError
from pipelines.geometry import read_mesh, unwrap, write_glb
from pipelines.geometry.gltf_file import Document, array

PAINT = files.picture((16, 16), seed=5)
BARE = 2
"""The part of `gltf_scene` that has a mesh of its own, without UVs; its mesh is number 1."""


@pytest.fixture
def scene(tmp_path):
    """The tree and the blob of `gltf_scene`."""
    return files.tree_and_blob(files.gltf_scene(tmp_path))


def painted(folder, tree, blob, part: int):
    """Write the tree, give one part new UVs if it needs them and PAINT, and read it again."""
    model = unwrap(read_mesh(files.write_tree(folder / "given.glb", tree, blob)))
    textures = [PAINT if k == part else None for k in range(len(model.parts))]
    write_glb(folder / "painted.glb", model, textures)
    again = read_mesh(folder / "painted.glb")
    assert np.array_equal(again.parts[part].picture[..., :3], PAINT)
    assert np.allclose(again.parts[part].uv, model.parts[part].uv, atol=1e-6)
    return again


def primitive_of(model, part: int) -> dict:
    tree, place = model.source.document.tree, model.source.places[part]
    return tree["meshes"][tree["nodes"][place.node]["mesh"]]["primitives"][place.primitive]


def material_of(model, part: int) -> dict:
    return model.source.document.tree["materials"][primitive_of(model, part)["material"]]


def image_bytes(document: Document, number: int) -> bytes:
    return document.views[document.tree["images"][number]["bufferView"]]


def shown_by_trimesh(path, node: str) -> np.ndarray:
    """The base colour texture that trimesh reads on a node."""
    mesh = trimesh.load_scene(path, process=False)
    mesh = mesh.geometry[mesh.graph[node][1]]
    return np.asarray(mesh.visual.material.baseColorTexture)[..., :3]


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_points_and_lines_are_left_as_they_are(mode, scene, tmp_path):
    tree, blob = scene
    line = {"attributes": {"POSITION": 3}, "mode": mode, "material": 1}
    tree["meshes"][1]["primitives"].insert(0, line)
    model = painted(tmp_path, tree, blob, BARE)
    assert [part.name for part in model.parts] == ["left", "right", "bare 2"]
    assert "bare holds points or lines, which are left as they are." in model.notes
    assert model.source.document.tree["meshes"][1]["primitives"][0] == line


@pytest.mark.parametrize(("mode", "count"), [(5, 1), (5, 2), (6, 1), (6, 2)])
def test_a_strip_or_a_fan_without_a_triangle_is_no_part(mode, count, scene, tmp_path):
    tree, blob = scene
    tree["accessors"].append(tree["accessors"][3] | {"count": count})
    short = {"attributes": {"POSITION": len(tree["accessors"]) - 1}, "mode": mode}
    tree["meshes"][1]["primitives"].insert(0, short)
    model = painted(tmp_path, tree, blob, BARE)
    assert [part.name for part in model.parts] == ["left", "right", "bare 2"]


@pytest.mark.parametrize("maps", [{}, {"TEXCOORD_0": 1}])
def test_a_face_names_a_vertex_that_is_not_there(maps, scene, tmp_path):
    tree, blob = scene
    tree["meshes"][1]["primitives"][0]["attributes"] = {"POSITION": 3, **maps}
    # The indices of the other mesh: 0 to 35, of 8 vertices.
    tree["meshes"][1]["primitives"][0]["indices"] = 2
    with pytest.raises(InputError, match=r"damaged.*[Ee]xport it again"):
        read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))


def glossy(tree) -> None:
    """The crate's colour in the extension, and another beside it for viewers without it."""
    material = tree["materials"][0]
    about = {"diffuseTexture": {"index": 0}, "diffuseFactor": [0.5, 1, 1, 0.75]}
    about |= {"specularFactor": [0.04] * 3, "glossinessFactor": 0.25}
    material["extensions"]["KHR_materials_pbrSpecularGlossiness"] = about
    material["pbrMetallicRoughness"] = {
        "baseColorTexture": {"index": 1},
        "baseColorFactor": [1, 0, 0, 1],
        "metallicFactor": 0.125,
        "metallicRoughnessTexture": {"index": 1},
    }
    tree["extensionsUsed"].append("KHR_materials_pbrSpecularGlossiness")


@pytest.mark.parametrize("beside", [True, False])
def test_a_diffuse_texture_is_the_base_colour_and_is_painted_for_every_viewer(
    beside, scene, tmp_path
):
    tree, blob = scene
    glossy(tree)
    if not beside:
        tree["materials"][0].pop("pbrMetallicRoughness")
    given = read_mesh(files.write_tree(tmp_path / "given.glb", tree, blob)).parts[0]
    assert np.array_equal(given.picture, files.picture(channels=4))
    assert given.factor == (0.5, 1, 1, 0.75)
    model = painted(tmp_path, tree, blob, 0)
    assert model.parts[0].factor == (1, 1, 1, 0.75)
    material = material_of(model, 0)
    about = material["extensions"]["KHR_materials_pbrSpecularGlossiness"]
    assert (about["specularFactor"], about["glossinessFactor"]) == ([0.04] * 3, 0.25)
    plain = material["pbrMetallicRoughness"]
    assert plain["baseColorTexture"] == about["diffuseTexture"]
    assert plain["baseColorFactor"] == about["diffuseFactor"] == [1, 1, 1, 0.75]
    assert plain["metallicFactor"] == (0.125 if beside else 0)
    # trimesh knows the extension, and comes near; without it, it is a viewer that does not.
    shown = shown_by_trimesh(tmp_path / "painted.glb", "left").astype(int)
    assert np.abs(shown - PAINT).mean() < 2
    tree, blob = files.tree_and_blob(tmp_path / "painted.glb")
    for each in tree["materials"]:
        each.pop("extensions", None)
    bare = files.write_tree(tmp_path / "bare.glb", tree, blob)
    assert np.array_equal(shown_by_trimesh(bare, "left"), PAINT)
    # The other node shows the same material, which was not painted.
    given = read_mesh(tmp_path / "given.glb")
    assert material_of(model, 1) == material_of(given, 1)
    # Painted again, no picture is left that nothing shows.
    write_glb(tmp_path / "again.glb", model, [PAINT[::-1], None, None])
    again = read_mesh(tmp_path / "again.glb")
    assert np.array_equal(again.parts[0].picture[..., :3], PAINT[::-1])
    for key in ("images", "textures"):
        assert len(again.source.document.tree[key]) == len(model.source.document.tree[key]) == 3


def test_a_texture_in_a_format_that_is_not_read(scene, tmp_path):
    tree, blob = scene
    tree["textures"][0] = {"sampler": 0, "extensions": {"KHR_texture_basisu": {"source": 0}}}
    tree["extensionsUsed"].append("KHR_texture_basisu")
    model = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))
    assert model.parts[0].picture is None
    assert "A texture is in a format that is not read; what it covered starts white." in model.notes
    again = painted(tmp_path, tree, blob, 0)
    number = material_of(again, 0)["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    # The other node still shows the old one.
    texture = again.source.document.tree["textures"]
    assert texture[0] == tree["textures"][0]
    assert texture[number] == {"sampler": 0, "source": 2}
    # One that has another picture for viewers without the extension shows that.
    tree["textures"][0]["source"] = 0
    shown = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob)).parts[0].picture
    assert np.array_equal(shown, files.picture(channels=4))


@pytest.mark.parametrize(("named", "says"), [({}, "number 1"), ({"name": "bark"}, "bark")])
def test_a_texture_that_is_no_picture(named, says, scene, tmp_path):
    tree, blob = scene
    tree["images"][0] = {"bufferView": 0, "mimeType": "image/png", **named}
    model = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))
    assert model.parts[0].picture is None
    assert f"The texture {says} is no picture that is read; it starts white." in model.notes
    painted(tmp_path, tree, blob, 0)


@pytest.mark.parametrize("mirror", [1, -1])
def test_a_node_with_a_matrix_is_where_trimesh_has_it(mirror, scene, tmp_path):
    tree, blob = scene
    # Turned, sheared and moved: nothing of it is the same transposed. The file has its columns.
    world = np.array([[0, -2, 0.5, 1], [mirror, 0, 0, 2], [0, 0.25, 3, 4], [0, 0, 0, 1]])
    tree["nodes"][3] = {"name": "bare", "mesh": 1, "matrix": world.T.reshape(-1).tolist()}
    path = files.write_tree(tmp_path / "t.glb", tree, blob)
    part = read_mesh(path).parts[BARE]
    assert np.allclose(part.vertices, CUBE @ world[:3, :3].T + world[:3, 3])
    theirs = files.corners_of(path)["bare"]
    # trimesh leaves the faces of a node that mirrors clockwise.
    order = [0, 1, 2] if mirror == 1 else [0, 2, 1]
    assert np.allclose(part.vertices[part.faces], theirs[:, order])


def test_inverse_bind_matrices_come_before_the_joints(tmp_path):
    turn = [[0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]]
    other = np.diag([1, 1, 2, 1]).tolist()
    # A file may have more of them than joints.
    inverse = [turn, other, np.full((4, 4), 100).tolist()]
    path = files.skinned(tmp_path, ([0, 1, 0, 0], [0.75, 0.25, 0, 0]), inverse=inverse)
    part = read_mesh(path).parts[0]
    x, y, z = np.moveaxis(CUBE[TRIANGLES], -1, 0)
    first, second = (-y + 10, x + 20, z + 30 + 7), (x, y, 2 * z + 9)
    expected = 0.75 * np.stack(first, axis=-1) + 0.25 * np.stack(second, axis=-1)
    assert np.allclose(part.vertices[part.faces], expected, atol=1e-5)
    again = painted(tmp_path, *files.tree_and_blob(path), 0).parts[0]
    assert np.allclose(again.vertices[again.faces], expected, atol=1e-5)


def test_a_part_without_a_material_gets_one_of_its_own(scene, tmp_path):
    tree, blob = scene
    attributes = {"POSITION": 3}
    tree["meshes"][1]["primitives"] = [{"attributes": attributes, "indices": 5} for _ in range(2)]
    model = painted(tmp_path, tree, blob, BARE)
    plain = material_of(model, BARE)["pbrMetallicRoughness"]
    # glTF's own default is a metal, which would darken the paint.
    assert (plain["metallicFactor"], plain["roughnessFactor"]) == (0, 1)
    assert plain["baseColorFactor"] == [1, 1, 1, 1]
    assert "material" not in primitive_of(model, BARE + 1)
    assert model.parts[BARE + 1].picture is None
    given = read_mesh(tmp_path / "given.glb")
    for k in range(2):
        assert material_of(model, k) == material_of(given, k)


def test_morph_targets_follow_the_vertices_that_new_uvs_split(scene, tmp_path):
    tree, blob = scene
    right = np.flatnonzero(CUBE[:, 0] == 1)
    target, blob = files.sparse(tree, blob, None, right.astype("<u1"), CUBE[right] + (0, 1, 2))
    tree["meshes"][1]["primitives"][0]["targets"] = [{"POSITION": target}, {"NORMAL": 3}]
    tree["meshes"][1]["weights"] = [0, 0]
    model = painted(tmp_path, tree, blob, BARE)
    document, primitive = model.source.document, primitive_of(model, BARE)
    points = array(document, primitive["attributes"]["POSITION"])
    assert len(points) > 8
    moves, normals = primitive["targets"]
    expected = np.where(points[:, :1] == 1, points + np.array([0, 1, 2]), 0)
    assert np.array_equal(array(document, moves["POSITION"]), expected)
    assert np.array_equal(array(document, normals["NORMAL"]), points)


@pytest.mark.parametrize("of_node", [True, False])
def test_a_mesh_is_seen_with_the_weights_it_has_of_its_morph_targets(of_node, scene, tmp_path):
    tree, blob = scene
    right = np.flatnonzero(CUBE[:, 0] == 1)
    target, blob = files.sparse(tree, blob, None, right.astype("<u1"), np.full((4, 3), (0, 4, 8)))
    tree["meshes"][1]["primitives"][0]["targets"] = [
        {"NORMAL": 3},
        {"POSITION": target},
        {"POSITION": 3},
    ]
    # A node's own weights stand for those of its mesh.
    tree["meshes"][1]["weights"] = [1, 9, 9] if of_node else [1, 0.25, 0]
    if of_node:
        tree["nodes"][3]["weights"] = [1, 0.25, 0]
    expected = CUBE + (0, 5, 0) + (CUBE[:, :1] == 1) * (0, 1, 2)
    part = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob)).parts[BARE]
    assert np.allclose(part.vertices, expected)
    again = painted(tmp_path, tree, blob, BARE).parts[BARE]
    assert np.allclose(again.vertices[again.faces], expected[TRIANGLES])


def test_a_transform_that_names_a_set_of_uvs_goes_on_naming_it(scene, tmp_path):
    tree, blob = scene
    tree["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_1"] = 1
    transform = {"scale": [2, 2]}
    material = tree["materials"][0]
    base = material["pbrMetallicRoughness"]["baseColorTexture"]
    base["extensions"] = {"KHR_texture_transform": {**transform, "texCoord": 1}}
    bumps = {"extensions": {"KHR_texture_transform": {**transform, "texCoord": 1}}}
    material["normalTexture"] |= bumps
    clearcoat = material["extensions"]["KHR_materials_clearcoat"]["clearcoatTexture"]
    clearcoat["extensions"] = {"KHR_texture_transform": dict(transform)}
    model = painted(tmp_path, tree, blob, 0)
    material, primitive = material_of(model, 0), primitive_of(model, 0)
    # The paint lies in the new UVs as they are.
    assert set(material["pbrMetallicRoughness"]["baseColorTexture"]) == {"index"}
    bumps = material["normalTexture"]["extensions"]["KHR_texture_transform"]
    assert bumps == {**transform, "texCoord": 2}
    clearcoat = material["extensions"]["KHR_materials_clearcoat"]["clearcoatTexture"]
    assert clearcoat["texCoord"] == 1
    assert clearcoat["extensions"]["KHR_texture_transform"] == transform
    document = model.source.document
    corners = array(document, primitive["indices"])[:, 0]
    for key in ("TEXCOORD_1", "TEXCOORD_2"):
        kept = array(document, primitive["attributes"][key])[corners].reshape(-1, 3, 2)
        assert np.allclose(kept, CORNER_UV * (1, -1) + (0, 1), atol=1e-6)


def test_of_two_images_in_one_view_the_other_stays(scene, tmp_path):
    tree, blob = scene
    tree["images"][1] = dict(tree["images"][0])
    # One node only, so that the texture is painted in its place.
    tree["nodes"][0]["children"] = [1]
    tree["nodes"][2].pop("mesh")
    model = painted(tmp_path, tree, blob, 0)
    document = model.source.document
    assert len(document.tree["textures"]) == 2
    assert image_bytes(document, 1) == (tmp_path / "c.png").read_bytes()
    assert material_of(model, 0)["normalTexture"]["index"] == 1
    assert np.array_equal(shown_by_trimesh(tmp_path / "painted.glb", "left"), PAINT)


def with_variants(tree, part_mesh: int) -> None:
    """A mesh that wears one material of two, and says so of both."""
    primitive = tree["meshes"][part_mesh]["primitives"][0]
    worn = primitive.setdefault("material", 0)
    tree["materials"].append({"name": "other", "pbrMetallicRoughness": {"roughnessFactor": 0.3}})
    mappings = [
        {"variants": [0], "material": worn},
        {"variants": [1], "material": len(tree["materials"]) - 1},
    ]
    primitive["extensions"] = {"KHR_materials_variants": {"mappings": mappings}}
    tree["extensionsUsed"] = ["KHR_materials_variants"]
    tree["extensions"] = {"KHR_materials_variants": {"variants": [{"name": "a"}, {"name": "b"}]}}


def test_variants_that_are_not_shown_stay_as_they_are(scene, tmp_path):
    tree, blob = scene
    with_variants(tree, 0)
    before = [str(material) for material in tree["materials"]]
    again = painted(tmp_path, tree, blob, 0)
    mappings = primitive_of(again, 0)["extensions"]["KHR_materials_variants"]["mappings"]
    materials = again.source.document.tree["materials"]
    assert [str(materials[m["material"]]) for m in mappings] == [before[0], before[-1]]
    assert primitive_of(again, 0)["material"] not in [m["material"] for m in mappings]
    assert any("has variants" in note for note in again.notes)


def test_variants_go_with_the_uvs_that_they_were_made_for(scene, tmp_path):
    tree, blob = scene
    with_variants(tree, 1)
    again = painted(tmp_path, tree, blob, BARE)
    assert "extensions" not in primitive_of(again, BARE)


def test_matrices_of_vertices_go_with_them_to_new_uvs(scene, tmp_path):
    tree, blob = scene
    primitive = tree["meshes"][1]["primitives"][0]
    count = tree["accessors"][primitive["attributes"]["POSITION"]]["count"]
    kinds = {"MAT2": 4, "MAT3": 9, "MAT4": 16}
    for kind, width in kinds.items():
        rows = np.arange(count, dtype=np.float32)[:, None] + np.arange(width, dtype=np.float32)
        view, blob = files.added(tree, blob, rows)
        about = {"componentType": 5126, "count": count, "type": kind}
        tree["accessors"].append({"bufferView": view, **about})
        primitive["attributes"][f"_{kind}"] = len(tree["accessors"]) - 1
    again = painted(tmp_path, tree, blob, BARE)
    document, found = again.source.document, primitive_of(again, BARE)["attributes"]
    for kind, width in kinds.items():
        assert document.tree["accessors"][found[f"_{kind}"]]["type"] == kind
        rows = array(document, found[f"_{kind}"])
        assert np.array_equal(rows - rows[:, :1], np.broadcast_to(np.arange(width), rows.shape))
        assert set(rows[:, 0]) == set(range(count))
