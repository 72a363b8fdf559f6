"""Meshes that cannot be used: a sentence with the remedy; and files that try to reach outside."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import geometry_files as files
import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.geometry import gltf_read, read_mesh, read_settings
from pipelines.geometry.files import Folder

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.obj", "hello, this is a letter", "no faces"),
        ("a.obj", "", "no faces"),
        ("a.obj", SQUARE, "point cloud"),
        ("a.obj", "v 0 0\nv 1 0\nv 1 1\nf 1 2 3\n", "damaged"),
        ("a.obj", "v a b c\nf 1 1 1\n", "damaged"),
        ("a.obj", SQUARE + "f 1 2 5\n", "does not have"),
        ("a.obj", SQUARE + "f 1 2 -9\n", "does not have"),
        ("a.obj", SQUARE + "f 1 2 0\n", "does not have"),
        ("a.obj", SQUARE + "f 1/1 2/1 3/1\n", "does not have"),
        ("a.obj", SQUARE + "f 1 1 2\nf 2 2 2\n", "area"),
        ("a.obj", "v 0 0 nan\nv 1 0 0\nv 1 1 0\nf 1 2 3\n", "finite"),
        ("a.obj", "v 0 0 inf\nv 1 0 0\nv 1 1 0\nf 1 2 3\n", "finite"),
        ("a.obj", "v 0 0 0\nv 4e38 0 0\nv 0 1 0\nf 1 2 3\n", "too large or too small"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n0 -4e38 0\n1 1 0\n3 0 1 2\n", "Scale it"),
        ("a.obj", "v 0 0 0\nv 1e200 0 0\nv 0 1e200 0\nf 1 2 3\n", "too large or too small"),
        ("a.obj", "v 0 0 0\nv 1e-38 0 0\nv 0 1e-38 0\nf 1 2 3\n", "too large or too small"),
        ("a.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
         "property float z\nend_header\n0 0 0\n", "point cloud"),
        ("a.ply", "not a ply", "damaged"),
        ("a.stl", "solid nothing\nendsolid nothing\n", ""),
        ("a.stl", "??", ""),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n1 1 0\n3 0 1 7\n", ""),
        ("a.off", "OFF\n0 0 0\n", ""),
        ("a.glb", "glTF and then nothing", "damaged"),
        ("a.gltf", "{}", "damaged"),
        ("a.gltf", '{"asset": {"version": "2.0"}}', "no faces"),
        ("a.gltf", '{"asset": {"version": "1.0"}}', "glTF 1"),
        ("a.gltf", '{"asset": {"version": "2.0"}, "extensionsUsed": ["KHR_draco_mesh_compression"'
         "]}", "without compression"),
        ("a.gltf", '{"asset": {"version": "2.0"}, "buffers": [{"uri": "b.bin"}]}', "missing"),
        ("a.fbx", "Kaydara", "OBJ, GLB"),
        ("a", "no suffix", "OBJ, GLB"),
        ("a.zip", "PK not a zip", "zip"),
    ],
)  # fmt: skip
def test_a_sentence_with_the_remedy(name, content, says, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_mesh(path)
    assert says in str(error.value)
    assert str(error.value).endswith(".")
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("how", [gzip.compress, lambda text: text.decode().encode("utf-16")])
def test_an_obj_that_is_packed_or_in_another_encoding_is_not_called_empty(how, tmp_path):
    path = tmp_path / "a.obj"
    path.write_bytes(how(f"{SQUARE}f 1 2 3\n".encode()))
    with pytest.raises(InputError, match=r"a\.obj is no OBJ that can be read, or it is damaged"):
        read_mesh(path)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_mesh(tmp_path / "gone.obj")
    with pytest.raises(InputError, match="no file"):
        read_settings(tmp_path / "gone.glb")


def test_settings_of_what_is_no_glb(tmp_path):
    with pytest.raises(InputError, match="no GLB"):
        read_settings(files.off_cube(tmp_path))


def test_too_many_faces(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.geometry.model.MAX_FACES", 11)
    with pytest.raises(InputError, match="Simplify"):
        read_mesh(files.off_cube(tmp_path))


@pytest.mark.parametrize("most", [13, 25])
def test_a_mesh_that_many_nodes_show_is_counted_before_its_parts_are_made(
    most, tmp_path, monkeypatch
):
    monkeypatch.setattr("pipelines.geometry.model.MAX_FACES", most)
    made, part = [], gltf_read._part
    monkeypatch.setattr(gltf_read, "_part", lambda *about: made.append(about) or part(*about))
    with pytest.raises(InputError, match="Simplify"):
        read_mesh(files.gltf_scene(tmp_path))
    assert len(made) == most // 12


def test_vertices_that_no_face_uses_are_bounded_too(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["accessors"][3] = {"componentType": 5126, "count": 17_000_000, "type": "VEC3"}
    with pytest.raises(InputError, match="Simplify"):
        read_mesh(files.write_tree(tmp_path / "many.glb", tree, blob))


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.geometry.files.MAX_BYTES", 100)
    with pytest.raises(InputError, match="larger than"):
        read_mesh(files.off_cube(tmp_path))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    path = files.off_cube(tmp_path)
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(InputError, match=r"^cube\.off .*\(Permission denied\)\. Check its perm"):
        read_mesh(path)


def test_a_glb_that_was_cut_short(tmp_path):
    path = files.gltf_scene(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cut short"):
        read_mesh(path)


def test_a_gltf_that_declares_more_than_it_holds(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["accessors"][2] |= {"count": 10**12}
    tree["accessors"][2].pop("bufferView")
    with pytest.raises(InputError, match="Simplify"):
        read_mesh(files.write_tree(tmp_path / "many.glb", tree, blob))
    tree["bufferViews"] += [tree["bufferViews"][0] | {"byteLength": 400 << 20}] * 3
    with pytest.raises(InputError, match="Simplify"):
        read_mesh(files.write_tree(tmp_path / "large.glb", tree, blob))


def test_a_list_without_indices_is_bounded_too(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["accessors"][0] = {"componentType": 5126, "count": 21_000_000, "type": "VEC3"}
    tree["meshes"][0]["primitives"][0].pop("indices")
    with pytest.raises(InputError, match=r"more than 20,000,000 entries\. Simplify"):
        read_mesh(files.write_tree(tmp_path / "many.glb", tree, blob))


def test_a_negative_length_makes_no_room_for_others(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["bufferViews"] += [{"buffer": 0, "byteLength": 400 << 20}] * 3
    tree["bufferViews"] += [{"buffer": 0, "byteLength": -(1 << 40)}]
    with pytest.raises(InputError, match="unpacks to more"):
        read_mesh(files.write_tree(tmp_path / "large.glb", tree, blob))


@pytest.mark.parametrize("name", ["a.glb", "a.gltf"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_gltf_with_what_is_no_number_in_json(value, name, tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["materials"][0]["emissiveFactor"] = [0, 0, 1234567.5]
    path = files.write_tree(tmp_path / name, tree, blob)
    assert read_mesh(path).faces == 36
    path.write_bytes(path.read_bytes().replace(b"1234567.5", value.rjust(9).encode()))
    with pytest.raises(InputError, match="damaged"):
        read_mesh(path)


def test_a_node_that_is_its_own_ancestor(tmp_path):
    tree, blob = files.tree_and_blob(files.gltf_scene(tmp_path))
    tree["nodes"][1]["children"] = [0]
    with pytest.raises(InputError, match="damaged"):
        read_mesh(files.write_tree(tmp_path / "loop.glb", tree, blob))


def test_one_part_without_area_does_not_spoil_the_others(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text(SQUARE + "usemtl a\nf 1 2 3\nusemtl b\nf 1 1 2\n")
    assert read_mesh(path).faces == 2


OUTSIDE = [
    "../secret/x.png",
    "maps/../../secret/x.png",
    "..\\secret\\x.png",
    "file:///secret/x.png",
    "http://example.com/x.png",
    "C:\\secret\\..",
]
ABSOLUTE = ["/secret/x.png", "C:\\secret\\x.png", "C:x.png", "\\\\server\\secret\\x.png"]
ABSOLUTE += ["\\\\server\\x.png", "//maps/x.png"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for a mesh, beside one with a secret; opening anything there fails the test."""
    files.save(tmp_path / "secret" / "x.png", files.picture())
    inner = tmp_path / "mesh"
    inner.mkdir()
    from pipelines.geometry import files as module

    original = module.read_bounded

    def guarded(path):
        assert path.resolve().parent == inner.resolve(), f"{path} was opened"
        return original(path)

    monkeypatch.setattr(module, "read_bounded", guarded)
    return inner


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_obj_names_a_library_outside(name, folder):
    path = folder / "a.obj"
    path.write_text(f"mtllib {name}\n{SQUARE}f 1 2 3\n")
    with pytest.raises(InputError, match="not in its own folder"):
        read_mesh(path)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_material_names_a_picture_outside(name, folder):
    (folder / "a.mtl").write_text(f"newmtl a\nmap_Kd -o 0 0 {name}\n")
    path = folder / "a.obj"
    path.write_text(f"mtllib a.mtl\n{SQUARE}usemtl a\nf 1 2 3\n")
    with pytest.raises(InputError, match="not in its own folder"):
        read_mesh(path)


@pytest.mark.parametrize("name", [*OUTSIDE, "..%2Fsecret%2Fx.png", "%2e%2e/secret/x.png"])
@pytest.mark.parametrize("key", ["buffers", "images"])
def test_a_gltf_names_a_file_outside(key, name, folder):
    path = folder / "a.gltf"
    path.write_text(json.dumps({"asset": {"version": "2.0"}, key: [{"uri": name}]}))
    with pytest.raises(InputError, match="not in its own folder"):
        read_mesh(path)


@pytest.mark.parametrize("name", ABSOLUTE)
def test_an_absolute_path_is_looked_for_beside_the_mesh_and_nowhere_else(name, folder):
    (folder / "a.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
    path = folder / "a.obj"
    path.write_text(f"mtllib C:\\work\\a.mtl\n{SQUARE}usemtl a\nf 1 2 3\n")
    model = read_mesh(path)
    assert model.parts[0].picture is None
    assert any("x.png of a is missing. Put it beside" in note for note in model.notes)
    files.save(folder / "x.png", files.picture())
    model = read_mesh(path)
    assert model.beside == ("a.mtl", "x.png")
    assert np.array_equal(model.parts[0].picture, files.picture())
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for file in ("a.obj", "a.mtl", "x.png"):
            archive.write(folder / file, f"deep/{file}")
    assert np.array_equal(read_mesh(folder / "a.zip").parts[0].picture, files.picture())


def test_a_ply_names_a_picture_outside(folder):
    path = files.ply_cube(folder)
    text = path.read_text().replace(
        "element vertex", "comment TextureFile ../secret/x.png\nelement vertex"
    )
    text = text.replace("property double z\n", "property double z\nproperty float u\n"
                        "property float v\n")  # fmt: skip
    rows = text.split("end_header\n")[1].splitlines()
    for k in range(8):
        words = rows[k].split()
        rows[k] = " ".join([*words[:3], "0", "0", *words[3:]])
    path.write_text(text.split("end_header\n")[0] + "end_header\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match="not in its own folder"):
        read_mesh(path)


def test_a_link_that_leads_out_is_not_followed(folder):
    os.symlink(folder.parent / "secret" / "x.png", folder / "x.png")
    os.symlink(folder.parent / "secret", folder / "maps")
    for name in ("x.png", "maps/x.png", "X.PNG"):
        (folder / "a.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
        path = folder / "a.obj"
        path.write_text(f"mtllib a.mtl\n{SQUARE}usemtl a\nf 1 2 3\n")
        with pytest.raises(InputError, match="link"):
            read_mesh(path)


def test_a_link_that_leads_out_is_not_looked_into_for_other_capitals(folder):
    os.symlink(folder.parent / "secret", folder / "maps")
    read = Folder(folder).read
    assert read("Maps/x.png") is read("Maps/none.png") is None


def packed(folder, **entries: str):
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/a.obj", entries.pop("obj", SQUARE + "f 1 2 3\n"))
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "C:/x.png", "deep/../../x.png"])
def test_a_zip_whose_entries_lead_out(name, folder):
    with pytest.raises(InputError, match="not in its own folder"):
        read_mesh(packed(folder, **{name: "x"}))


@pytest.mark.parametrize("name", ["../../secret/x.mtl", "file:///x.mtl"])
def test_a_mesh_in_a_zip_that_names_a_file_outside(name, folder):
    with pytest.raises(InputError, match="not in its own folder"):
        read_mesh(packed(folder, obj=f"mtllib {name}\n{SQUARE}f 1 2 3\n"))


def test_a_mesh_in_a_zip_may_name_a_folder_beside_its_own(folder):
    obj = f"mtllib ../materials/x.mtl\n{SQUARE}usemtl a\nf 1 2 3\n"
    path = packed(folder, obj=obj, **{"materials/x.mtl": "newmtl a\nKd 0 0 1\n"})
    assert read_mesh(path).parts[0].factor == (0, 0, 1, 1)


def test_a_zip_with_a_link(folder):
    path = packed(folder)
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("x.png")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "../secret/x.png")
    with pytest.raises(InputError, match="link"):
        read_mesh(path)


def test_a_zip_that_unpacks_to_too_much(folder, monkeypatch):
    monkeypatch.setattr("pipelines.geometry.files.MAX_BYTES", 10_000)
    path = packed(folder, bomb="0" * 20_000)
    assert path.stat().st_size < 10_000
    with pytest.raises(InputError, match="unpacks to more"):
        read_mesh(path)


def test_a_zip_with_too_many_files(folder, monkeypatch):
    monkeypatch.setattr("pipelines.geometry.files.MAX_ENTRIES", 2)
    with pytest.raises(InputError, match="files"):
        read_mesh(packed(folder, a="1", b="2"))


@pytest.mark.parametrize("how", ["bytes", "password", "method"])
@pytest.mark.parametrize("entry", ["deep/a.obj", "deep/x.mtl"])
def test_a_damaged_zip_or_one_with_a_password(entry, how, folder):
    obj = f"mtllib x.mtl\n{SQUARE}usemtl a\nf 1 2 3\n"
    path = packed(folder, obj=obj, **{"deep/x.mtl": "newmtl a\n" + 20 * "Kd 0 0 1\n"})
    with pytest.raises(InputError, match=r"a\.zip.* is damaged or has a password\. Zip"):
        read_mesh(files.damage(path, entry, how))


def test_a_zip_whose_names_are_not_in_the_encoding_it_says(folder):
    path = packed(folder, **{"\u00e9.png": "x"})
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with pytest.raises(InputError, match=r"a\.zip is not a zip that can be opened"):
        read_mesh(path)


@pytest.mark.parametrize("entries", [{"b.obj": SQUARE}, {"b.glb": "x"}])
def test_a_zip_holds_one_mesh(entries, folder):
    with pytest.raises(InputError, match="must hold one"):
        read_mesh(packed(folder, **entries))


def test_pictures_that_are_too_large_together(tmp_path, monkeypatch):
    path = files.obj_cube(tmp_path)
    library = (tmp_path / "cube.mtl").read_text()
    (tmp_path / "cube.mtl").write_text(library + "map_Kd maps/wood.png\n")
    monkeypatch.setattr("pipelines.geometry.pictures.MOST_PIXELS", 96)
    read_mesh(path)
    (tmp_path / "cube.mtl").write_text(library + "map_Kd maps/rough.png\n")
    with pytest.raises(InputError, match=r"pixels together .* Shrink them"):
        read_mesh(path)


def test_a_picture_that_is_too_large(tmp_path, monkeypatch):
    path = files.obj_cube(tmp_path)
    monkeypatch.setattr("pipelines.media.stills.MAX_PIXELS", 95)
    with pytest.raises(InputError, match="Shrink"):
        read_mesh(path)
