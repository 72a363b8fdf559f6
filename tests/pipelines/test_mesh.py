"""The mesh job from a file to files, with the built-in cascade."""

import json
import math
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from geometry_files import corners_of, gltf_scene, obj_cubes, ply_sides, tree_of

from pipelines import geometry, mesh
from pipelines.errors import InputError
from pipelines.events import Begun, Done, Note, Preview, Step
from pipelines.media import read_clip, save_png
from pipelines.mesh import PaintMesh, describe, paint_mesh, recall, settled
from pipelines.paint import layers
from pipelines.paint.checks import check_idle, without_idle
from pipelines.paint.layers import load_layers
from pipelines.paint.task import Mask
from pipelines.region import MoveRegion, move_region
from pipelines.teachers.catalog import MINIATURE, mesh_teacher
from pipelines.teachers.painting import PAPER, Painting

FILES = (
    "painted.glb",
    "painted.obj",
    "texture.png",
    "localization.png",
    "turntable.mp4",
    "comparison.mp4",
    "settings.json",
    "metrics.json",
)


@pytest.fixture
def box(tmp_path):
    """A box without UVs, far from the origin."""
    path = tmp_path / "box.obj"
    made = trimesh.creation.box((2, 3, 1)).subdivide()
    made.apply_translation((100, -20, 3))
    made.export(path)
    return path


def job(path, out, **changes):
    asked = dict(object="house", edit="roof", style="red dotted", steps=2, resolution=64)
    return PaintMesh(mesh=path, out=out, **{**asked, **changes})


def finished(asked):
    events = list(paint_mesh(asked))
    assert isinstance(events[-1], Done)
    return events


def test_a_run_leaves_everything_that_is_promised(box, tmp_path):
    out = tmp_path / "run"
    events = finished(job(box, out))
    assert all((out / name).stat().st_size for name in FILES)
    assert [e.index for e in events if isinstance(e, Step)] == [0, 1]
    previews = [e for e in events if isinstance(e, Preview)]
    assert previews[-1].frames.shape == (4, mesh.PREVIEW_SIDE, mesh.PREVIEW_SIDE, 3)
    assert any("UVs" in e.text for e in events if isinstance(e, Note))
    before, after = trimesh.load(box, process=False), trimesh.load(out / "painted.obj")
    after = after if isinstance(after, trimesh.Trimesh) else after.to_geometry()
    assert len(after.faces) == len(before.faces)
    np.testing.assert_allclose(after.bounds, before.bounds, atol=1e-5)
    again = geometry.read_mesh(out / "painted.glb")
    assert again.parts[0].picture.shape[:2] == (64, 64)
    np.testing.assert_array_equal(again.parts[0].faces.shape, (len(before.faces), 3))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["steps"] == 2 and metrics["changed_outside_share"] == 0
    assert geometry.read_settings(out / "painted.glb")["seed"] == 0


def test_making_uvs_is_said_before_it_begins(box, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(geometry, "unwrap_by_beats", made.append)
    said = next(paint_mesh(job(box, tmp_path / "run")))
    assert said.text.startswith("Making UVs for 48 faces") and not made


def test_nothing_is_said_of_uvs_that_are_there(tmp_path):
    asked = job(ply_sides(tmp_path), tmp_path / "run")
    with closing(paint_mesh(asked)) as events:
        assert next(events) == Begun(asked.out)


def test_a_mesh_is_simplified_first(tmp_path):
    ball = tmp_path / "ball.ply"
    trimesh.creation.icosphere(subdivisions=3).export(ball)
    events = finished(job(ball, tmp_path / "run", steps=1, max_faces=200))
    (simpler,) = [e for e in events if isinstance(e, Note) and "Simplified" in e.text]
    painted = geometry.read_mesh(tmp_path / "run" / "painted.glb")
    assert simpler.text.startswith(f"Simplified from 1,280 to {painted.faces} faces")
    assert painted.faces == pytest.approx(200, rel=0.05)
    assert events[-1].settings["max_faces"] == 200


def test_a_mesh_with_z_up_is_painted_as_it_would_be_standing(tmp_path):
    runs = []
    for up, path in obj_cubes(tmp_path).items():
        runs.append(tmp_path / up)
        events = finished(job(path, runs[-1], steps=1, up=up))
        assert events[-1].settings["up"] == up
        # It lies in its file as it did.
        own, painted = geometry.read_mesh(path), geometry.read_mesh(runs[-1] / "painted.glb")
        for a, b in zip(own.parts, painted.parts, strict=True):
            np.testing.assert_array_equal(a.vertices[a.faces], b.vertices[b.faces])
    for name in ("localization_0.png", "style_0.png", "texture_1.png"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes()
    for _ in range(2):
        turned = [read_clip(run / "turntable.mp4").frames for run in runs]
        assert turned[0].equal(turned[1])
        for run in runs:
            move_region(MoveRegion(run, 0.05))


def test_what_was_painted_with_z_up_says_so_when_it_is_painted_again(tmp_path):
    path = obj_cubes(tmp_path)["z"]
    finished(job(path, tmp_path / "first", steps=1, up="z"))
    for up in ("y", "z"):
        events = finished(job(tmp_path / "first" / "painted.glb", tmp_path / up, steps=1, up=up))
        said = [e.text for e in events if isinstance(e, Note) and "--up z" in e.text]
        wanted = "painted.glb was painted with --up z. Give that again, or it is seen lying down."
        assert said == ([wanted] if up == "y" else [])


def test_every_part_of_a_scene_is_painted_on_its_own(tmp_path):
    """Two mirrored crates share one textured material, a third part has neither UVs nor texture."""
    scene, out = gltf_scene(tmp_path), tmp_path / "run"
    events = finished(job(scene, out, steps=1))
    before, after = corners_of(scene), corners_of(out / "painted.glb")
    assert before.keys() == after.keys() and len(before) == 3
    for node, corners in before.items():
        np.testing.assert_allclose(after[node], corners, atol=1e-5)
    assert len(load_layers(out)) == 3
    assert {path.name for path in out.glob("texture*.png")} == {
        f"texture_{k}.png" for k in range(3)
    }
    asked, made = tree_of(scene), tree_of(out / "painted.glb")
    assert asked["materials"][0]["name"] == "crate"
    crates = [m for m in made["materials"] if "normalTexture" in m]
    assert len(crates) == 2
    for crate in crates:
        assert crate["normalTexture"]["scale"] == 0.5 and crate["doubleSided"]
        assert crate["pbrMetallicRoughness"]["metallicFactor"] == 0.25
        assert "KHR_materials_clearcoat" in crate["extensions"]
    assert made["scenes"][0]["extras"]["mood"] == "calm"
    assert events[-1].metrics["changed_outside_share"] == 0
    loaded = trimesh.load(out / "painted.obj")
    parts = loaded.geometry.values() if isinstance(loaded, trimesh.Scene) else [loaded]
    assert sum(len(part.faces) for part in parts) == 3 * 12


def test_the_same_seed_gives_the_same_texture(box, tmp_path):
    textures = []
    for k, seed in enumerate((5, 5, 6)):
        finished(job(box, tmp_path / str(k), seed=seed))
        textures.append((tmp_path / str(k) / "style.png").read_bytes())
    assert textures[0] == textures[1] != textures[2]


def test_stopping_keeps_a_result(box, tmp_path):
    events = paint_mesh(job(box, tmp_path / "run", steps=50))
    for event in events:
        if isinstance(event, Step) and event.index == 1:
            (tmp_path / "run" / "stop").touch()
    assert event.metrics["steps"] == 2
    assert (tmp_path / "run" / "painted.glb").exists()


def test_painting_everything_needs_no_part(box, tmp_path):
    events = finished(job(box, tmp_path / "run", edit="", everywhere=True))
    assert events[-1].metrics["painted_share"] == 1


def test_a_mask_bounds_what_is_painted(box, tmp_path):
    picture = torch.zeros(64, 64, dtype=torch.uint8)
    picture[:, :32] = 255
    save_png(tmp_path / "mask.png", picture)
    finished(job(box, tmp_path / "run", edit="", everywhere=True, mask=tmp_path / "mask.png"))
    (layer,) = load_layers(tmp_path / "run")
    texture = layer.texture(0.5)
    assert texture[:, 34:].equal(layer.base[:, 34:])
    assert layer.localization[:, :30].eq(255).all()


def test_a_kept_texture_is_the_file_s_to_the_last_bit_outside_a_mask(tmp_path):
    mesh, out = ply_sides(tmp_path, colours=False), tmp_path / "run"
    allowed = torch.zeros(64, 64, dtype=torch.uint8)
    allowed[:, :32] = 255
    save_png(tmp_path / "mask.png", allowed)
    events = finished(job(mesh, out, edit="", everywhere=True, mask=tmp_path / "mask.png"))
    given = geometry.read_mesh(mesh).parts[0].picture
    for name in ("painted.glb", "painted.obj"):
        made = geometry.read_mesh(out / name).parts[0].picture
        assert made.shape == given.shape == (64, 64, 3)
        np.testing.assert_array_equal(made[:, 34:], given[:, 34:])
        assert (made[:, :30] != given[:, :30]).any(-1).mean() > 0.9
    (layer,) = load_layers(out)
    assert (layer.weight(0.5) == 0).float().mean() > 0.4
    assert events[-1].metrics["changed_outside_share"] == 0


def test_a_mask_is_where_the_run_computes_before_it_is_asked(box, tmp_path, monkeypatch):
    """On a device that only counts: every query would upload it otherwise."""
    honest = mesh.load_mesh_teacher("miniature")
    there = replace(honest, device=torch.device("meta"))
    monkeypatch.setattr(mesh, "load_mesh_teacher", lambda *asked: there)
    monkeypatch.setattr(mesh, "look", lambda *asked: None)
    asked = settled(job(box, tmp_path / "run"))
    model = geometry.unwrap(geometry.read_mesh(box))
    mask = Mask((torch.ones(1, 8, 8),), replaces=False)
    teacher = mesh.mesh_teacher(asked.teacher)
    paint = mesh._prepare(asked, model, geometry.surface(model), [], mask, teacher)
    assert [texture.device.type for texture in paint.task.mask.textures] == ["meta"]


def test_a_mask_drawn_on_a_view_lands_on_what_the_view_sees(box, tmp_path):
    save_png(tmp_path / "mask.png", torch.full((96, 96), 255, dtype=torch.uint8))
    events = finished(
        job(
            box,
            tmp_path / "run",
            edit="",
            everywhere=True,
            mask=tmp_path / "mask.png",
            mask_view=(0.0, 0.0),
        )
    )
    # From straight ahead one sees the front of the box: 2 x 3 of the 22 units of its area.
    assert events[-1].metrics["painted_share"] == pytest.approx(6 / 22, abs=0.02)


def test_both_ways_to_run_the_cascade(box, tmp_path):
    """Two steps, of which stage II takes the second."""
    styles = []
    for cascade in ("joint", "phases"):
        how = Painting(cascade=cascade, detail_from=0.5)
        events = finished(job(box, tmp_path / cascade, painting=how))
        assert events[-1].settings["painting"]["cascade"] == cascade
        styles.append((tmp_path / cascade / "style.png").read_bytes())
    assert styles[0] != styles[1]


def test_a_second_edit_keeps_the_first(box, tmp_path):
    """Edits are layered by painting the painted mesh again."""
    first = torch.zeros(64, 64, dtype=torch.uint8)
    first[:32] = 255
    save_png(tmp_path / "top.png", first)
    save_png(tmp_path / "bottom.png", 255 - first)
    finished(job(box, tmp_path / "a", edit="", everywhere=True, mask=tmp_path / "top.png"))
    (one,) = load_layers(tmp_path / "a")
    second = job(
        tmp_path / "a" / "painted.glb",
        tmp_path / "b",
        edit="",
        everywhere=True,
        mask=tmp_path / "bottom.png",
        seed=1,
    )
    finished(second)
    (two,) = load_layers(tmp_path / "b")
    assert two.base.equal(one.texture(0.5))
    assert two.texture(0.5)[:30].equal(one.texture(0.5)[:30])
    # Nor does the box show through where the two masks meet.
    seen = (1 - one.weight(0.5)) * (1 - two.weight(0.5))
    assert seen.max() == 0
    mixed = (1 - two.weight(0.5)[..., None]) * one.texture(0.5) + two.weight(0.5)[..., None] * (
        two.style.float()
    )
    assert (two.texture(0.5) - mixed).abs().max() <= 0.51


BAD = {
    "unknown words": (dict(style="golden"), '"golden"'),
    "no part": (dict(edit=""), "empty"),
    "part and everything": (dict(everywhere=True), "--global"),
    "no steps": (dict(steps=0), "at least 1"),
    "no mesh": (dict(mesh="gone.obj"), "no file"),
    "threshold": (dict(threshold=1.5), "between 0 and 1"),
    "resolution": (dict(resolution=4), "16 to 8192"),
    "view without mask": (dict(mask_view=(0.0, 0.0)), "--mask"),
    "mask that replaces all": (
        dict(mask="mask.png", mask_replaces=True, edit="", everywhere=True),
        "does nothing with --global",
    ),
    "paper with other settings": (dict(preset="paper", painting=Painting(views=2)), "paper"),
    "noise levels": (dict(painting=Painting(low=900, high=100)), "lowest first"),
    "views": (dict(painting=Painting(views=0)), "at least 1"),
    "no crop": (dict(painting=Painting(crop=0.01)), "--crop is 0.01: give 0.05 to 1"),
    "attached": (dict(painting=Painting(attached=1.5)), "attached is 1.5: give 0 to 1"),
    "detail from": (dict(painting=Painting(detail_from=-1)), "detail-from is -1: give 0 to 1"),
    "endless steps": (dict(steps=10**7), "10000000 steps never end"),
    "contrast": (dict(painting=Painting(contrast=-1.0)), "--contrast is -1.0: give 0 or more"),
    "no guidance": (dict(painting=Painting(guidance_1=math.nan)), "--guidance-1 is nan"),
    "endless guidance": (dict(painting=Painting(guidance_2=math.inf)), "--guidance-2 is inf"),
    "colours' guidance": (dict(painting=Painting(style_guidance=-1)), "--style-guidance is -1"),
    "detail": (dict(painting=Painting(detail=-0.1)), "--detail is -0.1: give 0 or more"),
    "rate": (dict(painting=Painting(rate=0.0)), "The rate 0.0 must be above 0"),
    "phases, all of them the second": (
        dict(painting=Painting(cascade="phases", detail_from=0.0)),
        "give --detail-from so that both",
    ),
    "phases, all of them the first": (
        dict(steps=2, painting=Painting(cascade="phases", detail_from=0.8)),
        "give --detail-from so that both",
    ),
    "phases without the second": (
        dict(painting=Painting(cascade="phases", detail=0.0)),
        "and a --detail above 0",
    ),
    "view from nowhere": (
        dict(mask="mask.png", mask_view=(math.inf, 0.0)),
        "--mask-view is two angles",
    ),
    "plural of everything": (dict(edit="", everywhere=True, plural=True), "--plural is about"),
    "contrast of a plain style": (
        dict(painting=Painting(contrast=2.0)),
        "--contrast of 2 does nothing without a style",
    ),
    "unlike, but no contrast": (
        dict(unlike="blue", painting=Painting(contrast=0.0)),
        "does nothing with a contrast of 0",
    ),
    "unlike in unknown words": (dict(unlike="golden"), 'know "golden" in the unlike prompt'),
    "teacher": (dict(teacher="none"), "Choose one of"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_anything_is_written(box, tmp_path, name):
    changes, sentence = BAD[name]
    changes = {k: tmp_path / v if k in ("mesh", "mask") else v for k, v in changes.items()}
    asked = PaintMesh(
        **{
            **dict(mesh=box, out=tmp_path / "run", object="house", edit="roof", style="red"),
            **changes,
        }
    )
    with pytest.raises(InputError, match=sentence):
        list(paint_mesh(asked))
    assert not (tmp_path / "run").exists()


def test_what_an_older_run_or_the_page_has_that_does_nothing_is_left_out(box, tmp_path):
    own = mesh_teacher(MINIATURE)
    whole = job(box, tmp_path, edit="", style="red", everywhere=True, plural=True)
    whole = replace(whole, painting=Painting(contrast=2))
    kept = without_idle(whole, own)
    check_idle(settled(kept), own.painting)
    assert not kept.plural and kept.painting == own.painting
    without = replace(whole, painting=Painting(contrast=0))
    assert without_idle(without, own).painting.contrast == 0
    # A pattern is told from its plain colour without being asked to.
    dotted = replace(whole, style="red dotted", everywhere=False, edit="roof", plural=False)
    assert without_idle(dotted, own) == dotted
    assert without_idle(dotted, None).painting.contrast == 0
    assert without_idle(replace(dotted, unlike="red"), None).painting.contrast == 2
    said = {k: v for k, v in describe(whole).items() if k not in ("job", "versions")}
    older = recall(said, dict(mesh=box, out=tmp_path))
    assert not older.plural and older.painting == own.painting


def test_textures_that_do_not_fit_into_memory_are_refused(box, tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "MOST_TEXELS", 16 * 16)
    finished(job(box, tmp_path / "one", resolution=16))
    with pytest.raises(InputError, match=r"1 parts.*32 x 32.*--resolution"):
        list(paint_mesh(job(box, tmp_path / "run", resolution=32)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("shape", "level", "sentence"), [((64, 32), 255, "64x64"), ((64, 64), 0, "allows nothing")]
)
def test_masks_that_do_not_fit_are_refused(box, tmp_path, shape, level, sentence):
    save_png(tmp_path / "mask.png", torch.full(shape, level, dtype=torch.uint8))
    with pytest.raises(InputError, match=sentence):
        list(paint_mesh(job(box, tmp_path / "run", mask=tmp_path / "mask.png")))
    assert not (tmp_path / "run").exists()


def test_a_mask_drawn_on_a_view_is_square(box, tmp_path):
    save_png(tmp_path / "mask.png", torch.full((64, 96), 255, dtype=torch.uint8))
    asked = job(box, tmp_path / "run", mask=tmp_path / "mask.png", mask_view=(0.0, 0.0))
    with pytest.raises(InputError, match=r"mask\.png must be square"):
        list(paint_mesh(asked))
    assert not (tmp_path / "run").exists()


def test_the_command_line_prints_metrics_last(box, tmp_path, capsys, monkeypatch):
    line = f"mesh {box} --object house --edit roof --style red --steps 1 --resolution 32"
    monkeypatch.setattr("sys.argv", [*line.split(), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        mesh.main()
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 1


@pytest.mark.parametrize(
    ("given", "more", "sentence"),
    [
        ("box.obj", "--object zeppelin", 'does not know "zeppelin"'),
        ("gone.obj", "--object house", "There is no file"),
        ("letter.obj", "--object house", "letter.obj holds no faces"),
        ("box.obj", "--object house --mask letter.obj", "letter.obj is not an image"),
    ],
)
def test_the_command_line_exits_2_on_bad_input(
    box, tmp_path, capsys, monkeypatch, given, more, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.obj").write_text("Dear all")
    line = f"mesh {given} {more} --edit roof --style red --out run"
    monkeypatch.setattr("sys.argv", line.split())
    with pytest.raises(SystemExit) as end:
        mesh.main()
    assert end.value.code == 2
    said = capsys.readouterr()
    assert "error: " in said.err and sentence in said.err and not said.out
    assert not (tmp_path / "run").exists()


def test_the_job_finds_what_a_pattern_is_to_be_unlike(box, tmp_path):
    dotted = job(box, tmp_path / "run", style="red dotted")
    assert settled(dotted).unlike == "red"
    assert settled(replace(dotted, unlike="blue")).unlike == "blue"
    assert settled(replace(dotted, painting=PAPER)).unlike == ""
    assert settled(replace(dotted, preset="paper")).unlike == ""
    said = describe(dotted)
    assert said["unlike"] == "red"
    known = {name: value for name, value in said.items() if name not in ("job", "versions")}
    files = {"mesh": dotted.mesh, "out": dotted.out}
    assert recall(known, files).unlike == ""
    assert recall(known | {"unlike": "blue"}, files).unlike == "blue"
