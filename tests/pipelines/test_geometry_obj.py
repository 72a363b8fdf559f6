"""OBJ and MTL: what a material says, and its pictures when they are written elsewhere."""

import geometry_files as files
import numpy as np
import pytest
import trimesh

from pipelines.geometry import base_colour, read_mesh, write_glb, write_obj
from pipelines.geometry.model import linear

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
PAINT = files.picture((16, 16), seed=5)


def square(folder, materials: str):
    """Two triangles, the first of material `a`, the second of `b`."""
    (folder / "a.mtl").write_text(materials)
    path = folder / "a.obj"
    faces = "usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 1/1 3/3 4/4\n"
    path.write_text(f"mtllib a.mtl\n{SQUARE}{faces}")
    return path


@pytest.mark.parametrize(
    ("line", "opacity"),
    [("d 0.25", 0.25), ("Tr 0.25", 0.75), ("d -halo 0.25", 0.25), ("Tr 1.5", 0), ("Tr 0", 1)],
)
def test_a_material_is_as_clear_as_it_says(line, opacity, tmp_path):
    path = square(tmp_path, f"newmtl a\nKd 0 1 0\n{line}\nnewmtl b\n")
    model = read_mesh(path)
    assert [part.factor for part in model.parts] == [(0, 1, 0, opacity), (1, 1, 1, 1)]
    # The paint takes the place of the colour and of nothing else.
    for write, name in ((write_obj, "o.obj"), (write_glb, "o.glb")):
        write(tmp_path / name, model, [PAINT, None])
        part = read_mesh(tmp_path / name).parts[0]
        assert part.factor == (1, 1, 1, opacity)
        assert np.array_equal(part.picture[..., :3], PAINT)
    assert line in (tmp_path / "o.mtl").read_text().splitlines()
    (scene,) = [m for m in files.tree_of(tmp_path / "o.glb")["materials"] if m["name"] == "a"]
    assert scene.get("alphaMode") == (None if opacity == 1 else "BLEND")


def test_a_black_colour_under_a_picture_is_meant_white(tmp_path):
    files.save(tmp_path / "skin.png", files.picture((8, 8)))
    library = "newmtl a\nKd 0 0 0\nmap_Kd skin.png\nnewmtl b\nKd 0 0 0\n"
    shown, black = read_mesh(square(tmp_path, library)).parts
    assert shown.factor == (1, 1, 1, 1)
    assert np.array_equal(base_colour(shown, 8), files.picture((8, 8)))
    # Without one it is black, and a dark one darkens the picture.
    assert black.factor == (0, 0, 0, 1)
    dark = read_mesh(square(tmp_path, library.replace("Kd 0 0 0", "Kd 0 0 0.5"))).parts[0]
    assert dark.factor == (0, 0, linear(np.array(0.5)), 1)


SEVERAL = ["a.mtl b.mtl", "b.mtl gone.mtl a.mtl", '"a.mtl" "b.mtl"', '"gone.mtl" b.mtl "a.mtl"']


@pytest.mark.parametrize("named", [*SEVERAL, "a b.mtl", '"a b.mtl"', '"a b.mtl" gone.mtl'])
def test_a_line_may_name_several_libraries_or_one_with_a_space(named, tmp_path):
    path = square(tmp_path, "newmtl a\nd 0.5\n")
    (tmp_path / "b.mtl").write_text("newmtl b\nd 0.25\n")
    (tmp_path / "a b.mtl").write_text("newmtl a\nd 0.75\nnewmtl b\nd 1\n")
    path.write_text(path.read_text().replace("mtllib a.mtl", f"mtllib {named}"))
    model = read_mesh(path)
    clear = (0.5, 0.25) if named in SEVERAL else (0.75, 1)
    assert tuple(part.factor[3] for part in model.parts) == clear
    missing = [note for note in model.notes if "missing" in note]
    assert len(missing) == named.count("gone") and all("file gone.mtl is" in n for n in missing)


@pytest.mark.parametrize("line", ["mtllib", "map_Kd", "map_Bump"])
def test_a_name_longer_than_a_file_s_can_be_is_of_none(line, tmp_path):
    name = "n" * 300 + ".png"
    path = square(tmp_path, "newmtl a\nKd 1 0 0\n")
    where = path if line == "mtllib" else tmp_path / "a.mtl"
    where.write_text(f"{where.read_text()}\n{line} {name}\n")
    model = read_mesh(path)
    assert model.parts[0].factor == (1, 0, 0, 1)
    assert any(f"{name} " in note and "missing" in note for note in model.notes)


def test_names_that_leave_no_room_for_another_s_are_shortened(tmp_path):
    names = [f"{k}{'ü' * 120}.png" for k in range(2)]
    for k, name in enumerate(names):
        files.save(tmp_path / name, files.picture((8, 8), seed=k))
    library = f"newmtl a\nmap_Kd {names[0]}\nmap_Bump {names[1]}\nnewmtl b\n"
    (tmp_path / "out").mkdir()
    write_obj(tmp_path / "out" / "painted.obj", read_mesh(square(tmp_path, library)), [None, PAINT])
    again = read_mesh(tmp_path / "out" / "painted.obj")
    assert np.array_equal(again.parts[0].picture, files.picture((8, 8)))
    assert not any("missing" in note for note in again.notes)
    assert len(again.beside) == 4


def test_a_picture_may_be_named_in_quotes(tmp_path):
    for name, seed in (("wood one.png", 0), ("bumps one.png", 1)):
        files.save(tmp_path / "tex" / name, files.picture((8, 8), seed=seed))
    library = 'newmtl a\nmap_Kd "tex/wood one.png"\nmap_Bump -bm 2 "tex/bumps one.png"\nnewmtl b\n'
    model = read_mesh(square(tmp_path, library))
    assert np.array_equal(model.parts[0].picture, files.picture((8, 8)))
    (tmp_path / "out").mkdir()
    write_obj(tmp_path / "out" / "o.obj", model, [None, PAINT])
    lines = (tmp_path / "out" / "o.mtl").read_text().splitlines()
    assert "map_Bump -bm 2 o_bumps one.png" in lines
    again = read_mesh(tmp_path / "out" / "o.obj")
    assert np.array_equal(again.parts[0].picture, files.picture((8, 8)))
    assert not any("missing" in note for note in again.notes)


def test_pictures_of_one_name_stay_apart_and_keep_their_names(tmp_path):
    pictures = [files.picture((8, 8), seed=k) for k in (1, 2)]
    for folder, picture in zip(("a", "b"), pictures, strict=True):
        files.save(tmp_path / folder / "skin.png", picture)
    library = "newmtl a\nmap_Kd a/skin.png\nnewmtl b\nmap_Kd b/skin.png\nmap_Ks a/skin.png\n"
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "o.obj"
    given = square(tmp_path, library)
    # Written again, by what was read from what was written, there are no more files.
    for source in (given, out, out):
        model = read_mesh(source)
        write_obj(out, model, [None, None])
        for part, picture in zip(read_mesh(out).parts, pictures, strict=True):
            assert np.array_equal(part.picture, picture)
        assert out.with_suffix(".mtl").read_text().split() == [
            *("newmtl", "a", "map_Kd", "o_skin.png"),
            *("newmtl", "b", "map_Kd", "o_skin_2.png", "map_Ks", "o_skin.png"),
        ]
        found = sorted(path.name for path in out.parent.iterdir())
        assert found == ["o.mtl", "o.obj", "o_skin.png", "o_skin_2.png"]
    theirs = trimesh.load_scene(out, process=False).geometry.values()
    shown = {m.visual.material.name: np.asarray(m.visual.material.image) for m in theirs}
    assert np.array_equal(shown["a"], pictures[0])
    assert np.array_equal(shown["b"], pictures[1])


def test_a_material_that_no_library_has_is_not_made_up(tmp_path):
    model = read_mesh(square(tmp_path, "newmtl a\nKd 1 0 0\n"))
    missing = "The material 'b' is in no material file; that part starts white."
    assert model.notes == (missing,)
    out = tmp_path / "o.obj"
    write_obj(out, model, [PAINT, None])
    assert out.with_suffix(".mtl").read_text().split() == [
        *("newmtl", "a", "Kd", "1", "1", "1", "map_Kd", "o_0.png")
    ]
    painted = read_mesh(out)
    assert painted.notes == (missing,)
    assert np.array_equal(painted.parts[0].picture, PAINT)
    # Painted, it is one.
    write_obj(out, model, [None, PAINT])
    assert read_mesh(out).notes == ()
    assert np.array_equal(read_mesh(out).parts[1].picture, PAINT)
