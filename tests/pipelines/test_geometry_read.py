"""Reading: each kind of mesh gives the vertices, faces, UVs and colours that its file says."""

import zipfile
from dataclasses import replace

import geometry_files as files
import numpy as np
import pytest
from geometry_files import CORNER_UV, CUBE, TRIANGLES

from pipelines.errors import InputError
from pipelines.geometry import base_colour, read_mesh, surface, unwrap, write_obj
from pipelines.geometry.files import Folder, open_archive
from pipelines.geometry.gltf_read import triangles
from pipelines.geometry.model import linear, srgb


@pytest.mark.parametrize("make", [files.ply_cube, files.off_cube])
def test_vertices_and_faces_are_those_of_the_file_in_its_order(make, tmp_path):
    (part,) = read_mesh(make(tmp_path)).parts
    assert np.array_equal(part.vertices, CUBE)
    assert np.array_equal(part.faces, TRIANGLES)
    assert part.uv is None


@pytest.mark.parametrize(
    "make", [files.ply_cube, files.ply_sides, files.off_cube, files.stl_pair, files.obj_cube]
)
def test_a_mark_of_the_encoding_in_front_changes_nothing(make, tmp_path):
    path = make(tmp_path)
    plain = read_mesh(path)
    for file in (path, tmp_path / "cube.mtl"):
        if file.is_file():
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    marked = read_mesh(path)
    assert marked.notes == plain.notes
    for a, b in zip(marked.parts, plain.parts, strict=True):
        assert (a.name, a.factor) == (b.name, b.factor)
        assert np.array_equal(a.vertices[a.faces], b.vertices[b.faces])
        assert (a.picture is None) == (b.picture is None)


def test_an_obj_whose_first_line_is_a_vertex_may_have_the_mark_too(tmp_path):
    path = tmp_path / "a.obj"
    path.write_bytes(b"\xef\xbb\xbfv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert len(read_mesh(path).parts[0].vertices) == 3


def test_stl_stays_a_soup_in_its_order(tmp_path):
    (part,) = read_mesh(files.stl_cube(tmp_path)).parts
    assert np.array_equal(part.vertices[part.faces], CUBE[TRIANGLES])


def test_every_solid_of_an_stl_is_a_part(tmp_path):
    left, right = read_mesh(files.stl_pair(tmp_path)).parts
    assert (left.name, right.name) == ("left", "right")
    for part, shift in ((left, 0), (right, 5)):
        assert np.array_equal(part.vertices[part.faces], CUBE[TRIANGLES] + (shift, 0, 0))


FORMS = ("ascii", "binary_little_endian", "binary_big_endian")


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_ply_of_polygons_keeps_their_order_colours_and_uvs(form, mixed, tmp_path):
    model = read_mesh(files.ply_sides(tmp_path, form, mixed))
    (part,) = model.parts
    assert model.notes == ()
    assert np.array_equal(part.vertices, CUBE)
    assert np.array_equal(part.faces, TRIANGLES)
    assert part.keeps_uv and np.allclose(part.uv, CORNER_UV, atol=1e-6)
    assert np.array_equal(part.picture, files.picture((64, 64)))
    expect_side_colours(model)


@pytest.mark.parametrize("mixed", [False, True])
def test_an_off_of_polygons_keeps_their_order_and_colours(mixed, tmp_path):
    model = read_mesh(files.off_sides(tmp_path, mixed))
    (part,) = model.parts
    assert np.array_equal(part.vertices, CUBE)
    assert np.array_equal(part.faces, TRIANGLES)
    expect_side_colours(model)


def expect_side_colours(model):
    (part,) = model.parts
    expected = linear(files.SIDE_COLOURS / 255)[:, None].repeat(3, axis=1)
    assert np.allclose(part.colours, expected, atol=1e-6)
    plain = replace(part, uv=CORNER_UV, picture=None)
    # In the middle of the sides' cells, 3 beside each other and 2 above each other.
    cells = base_colour(plain, 60)[::-1][15::30, 10::20]
    assert np.abs(cells.reshape(-1, 3).astype(int) - files.SIDE_COLOURS[::2]).max() <= 1


@pytest.mark.parametrize("kind", ["OFF", "COFF", "STCOFF", "CNOFF"])
def test_what_an_off_says_of_its_vertices(kind, tmp_path):
    points = ["0 0 0", "2 0 0", "0 3 0"]
    for letter, more in (
        ("C", ["1 0 0 1", "0 0.5 0 1", "0 0 1 1"]),
        ("N", ["0 0 1"] * 3),
        ("S", ["0 0", "1 0", "0 1"]),
    ):
        if letter in kind:
            points = [f"{a} {b}" for a, b in zip(points, more, strict=True)]
    path = tmp_path / "a.off"
    path.write_text("\n".join([f"{kind} 3 1 0", *points, "3 0 1 2"]))
    (part,) = read_mesh(path).parts
    assert part.vertices.tolist() == [[0, 0, 0], [2, 0, 0], [0, 3, 0]]
    # Beside normals, colours are left out.
    assert (part.colours is None) == (kind in ("OFF", "CNOFF"))
    if part.colours is not None:
        expected = [[1, 0, 0], [0, linear(np.array(0.5)), 0], [0, 0, 1]]
        assert np.allclose(part.colours[0], expected, atol=1e-6)
    assert (part.uv is None) == ("ST" not in kind)
    assert part.uv is None or part.uv[0].tolist() == [[0, 0], [1, 0], [0, 1]]


def test_ply_vertex_colours_come_out_at_every_corner(tmp_path):
    (part,) = read_mesh(files.ply_cube(tmp_path)).parts
    coded = np.stack([30.0 * np.arange(8), 255 - 30.0 * np.arange(8), np.full(8, 7.0)], axis=1)
    assert np.allclose(part.colours, linear(coded / 255)[TRIANGLES], atol=1e-6)


def test_ply_texture_coordinates_of_faces(tmp_path):
    files.save(tmp_path / "skin.png", files.picture())
    head = "ply\nformat ascii 1.0\ncomment TextureFile skin.png\nelement vertex 8\n"
    head += "".join(f"property double {c}\n" for c in "xyz") + "element face 12\n"
    head += "property list uchar int vertex_indices\nproperty list uchar float texcoord\n"
    rows = [f"{x} {y} {z}" for x, y, z in CUBE]
    for face, uv in zip(TRIANGLES, CORNER_UV, strict=True):
        rows.append("3 " + " ".join(map(str, [*face, 6, *uv.reshape(-1)])))
    path = tmp_path / "t.ply"
    path.write_text(head + "end_header\n" + "\n".join(rows) + "\n")
    (part,) = read_mesh(path).parts
    assert np.array_equal(part.faces, TRIANGLES)
    assert part.keeps_uv
    assert np.allclose(part.uv, CORNER_UV, atol=1e-6)
    assert np.array_equal(part.picture, files.picture())


def test_obj_parts_are_its_materials(tmp_path):
    wood, red = read_mesh(files.obj_cube(tmp_path)).parts
    assert (wood.name, red.name) == ("wood", "red")
    sides = np.arange(12).reshape(6, 2)
    for part, of in ((wood, sides[0::2].reshape(-1)), (red, sides[1::2].reshape(-1))):
        assert np.array_equal(part.vertices, CUBE)
        assert np.array_equal(part.faces, TRIANGLES[of])
        assert np.allclose(part.uv, CORNER_UV[of], atol=1e-6)
        assert part.keeps_uv
    assert np.array_equal(wood.picture, files.picture())
    assert np.allclose(red.factor, (linear(np.array(0.5)), 0, 0, 0.5))


def test_obj_relative_and_mixed_indices_and_polygons(tmp_path):
    path = tmp_path / "m.obj"
    path.write_text(
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nf -4/-3 -3/-2 -2/-1\n"
        "v 0 0 1\nf 1 3 4 # a comment\nf 1/1 2/2 3/3 -1/1\n"
    )
    (part,) = read_mesh(path).parts
    assert part.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 4]]
    assert part.uv is None
    assert part.old_uv is None


def test_scene_coordinates_agree_with_trimesh(tmp_path):
    path = files.gltf_scene(tmp_path)
    parts = read_mesh(path).parts
    assert [part.name for part in parts] == ["left", "right", "bare"]
    theirs = files.corners_of(path)
    for part in parts:
        ours = part.vertices[part.faces]
        if part.name == "right":
            # Its node mirrors; trimesh leaves such faces clockwise.
            ours = ours[:, [0, 2, 1]]
        assert np.allclose(ours, theirs[part.name], atol=1e-6)


def test_a_mirrored_node_keeps_its_faces_counter_clockwise(tmp_path):
    for part in read_mesh(files.gltf_scene(tmp_path)).parts:
        a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
        volume = np.einsum("fi,fi->", a, np.cross(b, c)) / 6
        assert volume == pytest.approx(6 * (8 if part.name != "bare" else 1), rel=1e-5)


def test_gltf_textures_factors_and_colours(tmp_path):
    left, right, bare = read_mesh(files.gltf_scene(tmp_path)).parts
    assert np.array_equal(left.picture, files.picture(channels=4))
    assert left.factor == (0.5, 1, 1, 0.75)
    assert np.allclose(left.uv, CORNER_UV, atol=1e-6)
    assert np.allclose(right.uv, CORNER_UV[:, [0, 2, 1]], atol=1e-6)
    assert bare.uv is None
    colours = np.arange(24).reshape(8, 3) * 10 / 255
    assert np.allclose(bare.colours, colours[TRIANGLES], atol=1e-6)


def test_gltf_with_its_buffer_in_a_file_reads_as_the_glb_does(tmp_path):
    glb = read_mesh(files.gltf_scene(tmp_path))
    gltf = read_mesh(files.gltf_scene(tmp_path, "scene.gltf"))
    for a, b in zip(glb.parts, gltf.parts, strict=True):
        assert np.array_equal(a.vertices, b.vertices)
        assert np.array_equal(a.faces, b.faces)
        assert (a.old_uv is None) == (b.old_uv is None)


@pytest.mark.parametrize("mode", [5, 6])
def test_strips_and_fans_become_triangles(mode):
    primitive = {"attributes": {"POSITION": 0}, "mode": mode}

    class Stub:
        tree = {"accessors": [{"count": 5, "componentType": 5126, "type": "VEC3"}]}  # noqa: RUF012

    expected = {
        5: [[0, 1, 2], [1, 3, 2], [2, 3, 4]],
        6: [[0, 1, 2], [0, 2, 3], [0, 3, 4]],
    }
    assert triangles(Stub(), primitive).tolist() == expected[mode]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"scale": [0.5, 0.25]}, (0.5, 0.25)),
        ({"offset": [0.1, 0.2]}, (1.1, 1.2)),
        # A quarter turn takes (1, 1) to (1, -1) in glTF's coordinates, whose v points down.
        ({"rotation": np.pi / 2}, (1, -1)),
        ({"rotation": np.pi / 2, "scale": [0.5, 0.25], "offset": [0.1, 0.2]}, (0.35, -0.3)),
    ],
)
def test_texture_transforms(transform, expected, tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    info = tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    info["extensions"] = {"KHR_texture_transform": transform}
    uv = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob)).parts[0].old_uv
    corner = np.argwhere((CORNER_UV == (1, 0)).all(-1))[0]
    assert np.allclose(uv[tuple(corner)], (expected[0], 1 - expected[1]), atol=1e-6)


@pytest.mark.parametrize(
    ("sets", "z"),
    [
        ([([0, 0, 0, 0], [1, 0, 0, 0])], 7),
        # Of eight influences the first four do not sum to 1.
        ([([0, 0, 0, 0], [0.25, 0, 0, 0]), ([1, 1, 1, 1], [0.25, 0.5, 0, 0])], 8.5),
        ([([0, 1, 0, 0], [0.2, 0.2, 0, 0])], 8),
        ([([1, 0, 0, 0], [0, 0, 0, 0])], 9),
    ],
)
def test_a_skinned_mesh_is_where_its_joints_are(sets, z, tmp_path):
    part = read_mesh(files.skinned(tmp_path, *sets)).parts[0]
    assert np.allclose(part.vertices[part.faces], CUBE[TRIANGLES] + (0, 0, z), atol=1e-6)


def test_a_zip_reads_as_the_folder_does(tmp_path):
    files.obj_cube(tmp_path)
    packed = tmp_path / "cube.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("cube.obj", "cube.mtl", "maps/wood.png", "maps/rough.png"):
            archive.write(tmp_path / name, f"deep/{name}")
        archive.writestr("__MACOSX/deep/._cube.obj", "not a mesh")
        archive.writestr("readme.txt", "hello")
    for a, b in zip(read_mesh(packed).parts, read_mesh(tmp_path / "cube.obj").parts, strict=True):
        assert np.array_equal(a.faces, b.faces)
        assert (a.picture is None) == (b.picture is None)
    assert read_mesh(packed).notes == ()


@pytest.mark.parametrize("spelt", ["./{}", ".\\{}", "deep\\{}", "deep/./{}"])
def test_a_zip_of_any_program_reads_as_the_folder_does(spelt, tmp_path):
    files.obj_cube(tmp_path)
    packed = tmp_path / "cube.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("cube.obj", "cube.mtl", "maps/wood.png", "maps/rough.png"):
            entry = name.replace("/", "\\") if "\\" in spelt else name
            archive.writestr(spelt.format(entry), (tmp_path / name).read_bytes())
    model = read_mesh(packed)
    assert np.array_equal(model.parts[0].picture, files.picture())
    assert not any("missing" in note for note in model.notes)


def test_capitals_do_not_matter_in_a_zip_unless_they_tell_files_apart(tmp_path):
    files.obj_cube(tmp_path)
    packed = tmp_path / "cube.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(tmp_path / "cube.obj", "cube.obj")
        archive.write(tmp_path / "cube.mtl", "Cube.MTL")
        archive.write(tmp_path / "maps" / "wood.png", "Maps/Wood.PNG")
    assert np.array_equal(read_mesh(packed).parts[0].picture, files.picture())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.write(tmp_path / "maps" / "rough.png", "maps/wood.png")
    assert np.array_equal(read_mesh(packed).parts[0].picture, files.picture((4, 4), seed=1))


def test_capitals_do_not_matter_in_a_folder_unless_they_tell_files_apart(tmp_path):
    path = files.obj_cube(tmp_path)
    (tmp_path / "cube.mtl").rename(tmp_path / "Cube.MTL")
    (tmp_path / "maps").rename(tmp_path / "Maps")
    (tmp_path / "Maps" / "wood.png").rename(tmp_path / "Maps" / "Wood.PNG")
    # A folder of that name without the file is not where the search ends.
    (tmp_path / "MAPS").mkdir()
    model = read_mesh(path)
    assert np.array_equal(model.parts[0].picture, files.picture())
    assert not any("missing" in note for note in model.notes)
    # What a run copies are files that are there.
    assert sorted(model.beside) == ["Cube.MTL", "Maps/Wood.PNG", "Maps/rough.png"]
    files.save(tmp_path / "maps" / "wood.png", files.picture((4, 4), seed=1))
    assert np.array_equal(read_mesh(path).parts[0].picture, files.picture((4, 4), seed=1))


def test_a_file_that_is_named_again_is_the_same_in_memory(tmp_path):
    path = files.obj_cube(tmp_path)
    packed = tmp_path / "cube.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, "deep/cube.obj")
        archive.write(tmp_path / "cube.mtl", "deep/cube.mtl")
    _, content, archive = open_archive(packed, (".obj",))
    assert archive.read("CUBE.OBJ") is archive.read("../deep/cube.obj") is content
    assert archive.read("cube.mtl") is archive.read("./cube.MTL")
    folder = Folder(tmp_path)
    assert folder.read("maps/wood.png") is folder.read("maps\\..\\maps\\wood.png")
    assert list(folder.found) == ["maps/wood.png"]


def test_materials_that_show_one_picture_share_it(tmp_path):
    path = files.obj_cube(tmp_path)
    with (tmp_path / "cube.mtl").open("a") as file:
        file.write("map_Kd ./maps/wood.png\n")
    wood, red = read_mesh(path).parts
    assert red.picture is wood.picture


def test_images_that_are_one_file_are_embedded_once(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["images"] = [{"uri": "c.png"}, {"uri": "./c.png"}]
    path = files.write_tree(tmp_path / "t.glb", tree, blob)
    model = read_mesh(path)
    assert model.parts[0].picture is model.parts[1].picture
    assert len(model.source.document.views) == len(tree["bufferViews"]) + 1


def test_a_missing_texture_is_noted_and_the_part_starts_white(tmp_path):
    path = files.obj_cube(tmp_path)
    (tmp_path / "maps" / "wood.png").unlink()
    model = read_mesh(path)
    assert model.parts[0].picture is None
    (note,) = model.notes
    assert "wood.png" in note and "missing" in note and note.endswith("or give both as a zip.")


def test_a_missing_gltf_texture_is_noted(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["images"][0] = {"uri": "gone.png"}
    model = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))
    assert (model.parts[0].picture == 255).all()
    assert any("gone.png" in note and "as a zip." in note for note in model.notes)


def test_a_missing_material_file_and_a_missing_ply_texture_are_noted(tmp_path):
    path = files.obj_cube(tmp_path)
    (tmp_path / "cube.mtl").unlink()
    assert any("cube.mtl is missing" in n and "as a zip." in n for n in read_mesh(path).notes)
    path = files.ply_sides(tmp_path)
    (tmp_path / "skin.png").write_bytes(b"no picture")
    (note,) = read_mesh(path).notes
    assert "skin.png is no picture" in note
    (tmp_path / "skin.png").unlink()
    (note,) = read_mesh(path).notes
    assert "skin.png is missing" in note and note.endswith("as a zip.")


def test_a_ply_of_several_textures_says_that_it_shows_one(tmp_path):
    path = files.ply_sides(tmp_path)
    line = "comment TextureFile skin.png\n"
    path.write_text(path.read_text().replace(line, f"{line}comment TextureFile hat.png\n"))
    model = read_mesh(path)
    assert np.array_equal(model.parts[0].picture, files.picture((64, 64)))
    (note,) = model.notes
    assert "2 textures" in note and "skin.png" in note and note.endswith("keep them all.")


@pytest.mark.parametrize("line", ["Kd nan 0 0", "Kd 1e999 0 0", "d nan", "Tr inf"])
def test_a_material_is_white_where_it_says_no_number(line, tmp_path):
    (tmp_path / "a.mtl").write_text(f"newmtl a\n{line}\n")
    path = tmp_path / "a.obj"
    path.write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n")
    assert read_mesh(path).parts[0].factor == (1, 1, 1, 1)


@pytest.mark.parametrize(("line", "grey"), [("Kd 0.5", 0.5), ("Kd 2", 1), ("Kd", 1), ("Kd x", 1)])
def test_green_and_blue_are_as_red_where_a_material_leaves_them_out(line, grey, tmp_path):
    (tmp_path / "a.mtl").write_text(f"newmtl a\n{line}\n")
    path = tmp_path / "a.obj"
    path.write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n")
    assert read_mesh(path).parts[0].factor == (*3 * [linear(np.array(grey))], 1)


def test_a_picture_that_is_none_is_noted(tmp_path):
    path = files.obj_cube(tmp_path)
    (tmp_path / "maps" / "wood.png").write_bytes(b"no picture")
    assert any("no picture" in note for note in read_mesh(path).notes)


def test_a_single_triangle_works(tmp_path):
    path = tmp_path / "one.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    seen = surface(unwrap(read_mesh(path)))
    assert seen.faces.tolist() == [[0, 1, 2]]
    assert seen.uv.isfinite().all()
    assert (seen.normals == seen.normals.new_tensor([0, 0, 1])).all()


def test_transfer_curves_are_inverse_and_hit_the_known_point():
    x = np.linspace(0, 1, 257)
    assert np.allclose(srgb(linear(x)), x, atol=1e-12)
    assert linear(np.array(0.5)) == pytest.approx(0.21404114, abs=1e-8)


def test_names_in_other_encodings_are_shown_as_text_and_written_as_they_are(tmp_path, monkeypatch):
    path = tmp_path / "latin.obj"
    path.write_bytes(
        b"mtllib a.mtl\no caf\xe9\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl caf\xe9\nf 1 2 3\n"
    )
    (tmp_path / "a.mtl").write_bytes(b"newmtl caf\xe9\nmap_Kd caf\xe9.png\n")
    model = read_mesh(path)
    assert model.parts[0].name == "caf\ufffd"
    assert "caf\ufffd.png of caf\ufffd is missing" in model.notes[0]
    assert all(note.encode() for note in model.notes)
    out, library = write_obj(tmp_path / "out.obj", model, [None])
    assert b"o caf\xe9\n" in out.read_bytes()
    assert library.read_bytes() == b"newmtl caf\xe9\nmap_Kd caf\xe9.png\n"
    files.save(tmp_path / "caf\udce9.png", files.picture())
    monkeypatch.setattr("pipelines.media.stills.MAX_PIXELS", 95)
    with pytest.raises(InputError, match="The picture caf\ufffd"):
        read_mesh(path)


def test_half_a_character_in_a_name_is_shown_as_text(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["nodes"][1]["name"] = "left \ud83d"
    model = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))
    assert model.parts[0].name == "left \ufffd"
