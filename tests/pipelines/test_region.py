"""Moving the region after a run: what changes, what stays, and what is refused."""

import errno
import json
import shutil

import numpy as np
import pytest
import torch
import trimesh

from pipelines import geometry
from pipelines.errors import InputError, RunFailed
from pipelines.media import read_clip, read_image, save_png
from pipelines.paint import painted
from pipelines.paint.layers import Layers, load_layers
from pipelines.paint.painted import render_textured, shares, write_painted, write_turntable
from pipelines.region import MoveRegion, move_region
from pipelines.render import orbit
from pipelines.runs import run_folder
from pipelines.runs.hold import hold

SIZE = 32


@pytest.fixture
def run(tmp_path):
    """A finished run on a box: white base, red style, and a localization of 0.2, 0.6 or 1."""
    path = tmp_path / "box.obj"
    trimesh.creation.box((2, 3, 1)).export(path)
    model = geometry.unwrap(geometry.read_mesh(path))
    base = torch.full((SIZE, SIZE, 3), 255, dtype=torch.uint8)
    style = torch.zeros_like(base)
    style[..., 0] = 200
    localization = torch.full((SIZE, SIZE), 51, dtype=torch.uint8)
    localization[:, SIZE // 2 :] = 153
    localization[0] = 255
    folder = tmp_path / "run"
    folder.mkdir()
    settings = {"threshold": 0.5, "seed": 4}
    layers = (Layers(base, style, localization),)
    measured = write_painted(folder, model, geometry.surface(model), layers, 0.5, settings)
    run_folder.write_json(folder / "settings.json", settings)
    run_folder.write_json(folder / "metrics.json", {"steps": 7, **measured})
    return folder


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name[0] != "."}


def test_the_textures_are_those_of_the_new_threshold(run):
    # Everything reaches it, and has the new colour.
    move_region(MoveRegion(run, 0.05))
    texture = read_image(run / "texture.png")
    assert texture.eq(torch.tensor([200, 0, 0], dtype=torch.uint8)).all()
    # At 0.7 the middle of the edge lies on the right half, and 0.2 is outside.
    metrics = move_region(MoveRegion(run, 0.7))
    texture = read_image(run / "texture.png")[1:]
    assert texture[:, : SIZE // 2].eq(255).all()
    mean = torch.tensor([228, 128, 128], dtype=torch.uint8)
    assert texture[:, SIZE // 2 :].eq(mean).all()
    assert metrics["changed_outside_share"] == 0


def test_both_meshes_wear_the_texture(run):
    move_region(MoveRegion(run, 0.3))
    texture = read_image(run / "texture.png").numpy()
    for name in ("painted.glb", "painted.obj"):
        (part,) = geometry.read_mesh(run / name).parts
        np.testing.assert_array_equal(part.picture, texture)


def test_back_to_the_first_threshold_is_the_first_result_to_the_last_bit(run):
    before, turntable = contents(run), read_clip(run / "turntable.mp4")
    move_region(MoveRegion(run, 0.7))
    moved = contents(run)
    names = {name for name in before if before[name] != moved[name]}
    assert names == {
        "texture.png",
        "painted.glb",
        "painted_0.png",
        "turntable.mp4",
        "comparison.mp4",
        "settings.json",
        "metrics.json",
    }
    move_region(MoveRegion(run, 0.5))
    after = contents(run)
    assert set(after) == set(before)
    for name in set(before) - {"turntable.mp4", "comparison.mp4", "metrics.json"}:
        assert after[name] == before[name], name
    assert read_clip(run / "turntable.mp4").size == turntable.size
    assert json.loads(after["metrics.json"]) == json.loads(before["metrics.json"])


def test_what_changed_outside_is_measured_on_the_files(run):
    surface = geometry.surface(geometry.read_mesh(run / "painted.glb"))
    layers = load_layers(run)
    # At 0.6 the left half is outside, but for its first row.
    move_region(MoveRegion(run, 0.6))
    outside = (SIZE - 1) * SIZE // 2
    assert (layers[0].weight(0.6) == 0).sum() == outside
    texture = read_image(run / "texture.png")
    for texel, share in (((5, SIZE - 1), 0), ((5, 0), 1 / outside)):
        texture[texel] -= 1
        save_png(run / "texture.png", texture)
        found = shares(run, surface, layers, 0.6)["changed_outside_share"]
        assert found == pytest.approx(share, abs=1e-8)


def test_the_turntable_goes_around_once_and_beside_it_is_what_was_and_the_region(run, monkeypatch):
    """Twenty views: the even ones do not fit into one part."""
    monkeypatch.setattr(painted, "TURNTABLE_FRAMES", 20)
    surface, layers = geometry.surface(geometry.read_mesh(run / "painted.glb")), load_layers(run)
    assert write_turntable(run, surface, layers, 0.5, {}) == ["before", "after", "region"]
    side = painted.TURNTABLE_SIDE
    turning, beside = (read_clip(run / f"{name}.mp4") for name in ("turntable", "comparison"))
    assert (turning.rate, beside.rate) == (24, 12)
    wanted = render_textured(surface, [layers[0].texture(0.5)], orbit(20, 20.0), side).float()
    far = (turning.frames.float()[:, None] - wanted).abs().mean((2, 3, 4))
    assert far.argmin(1).tolist() == list(range(20)) and far.diagonal().max() < 2
    before, after, region = beside.frames.float().split(side, dim=2)
    assert (after - wanted[::2]).abs().mean() < 2
    was = render_textured(surface, [layers[0].base], orbit(10, 20.0), side).float()
    assert (before - was).abs().mean() < 2
    # What turned from white to red is white, all else black.
    red = (was - wanted[::2])[..., 1] > 90
    assert region[red].mean() > 230 and region[~red].mean() < 5


def test_a_higher_threshold_paints_less(run):
    painted = [move_region(MoveRegion(run, t))["painted_share"] for t in (0.1, 0.4, 0.9)]
    assert painted[0] == 1 and painted[0] > painted[1] > painted[2]
    assert json.loads((run / "metrics.json").read_text())["painted_share"] == painted[2]
    assert json.loads((run / "settings.json").read_text()) == {"threshold": 0.9, "seed": 4}
    assert geometry.read_settings(run / "painted.glb")["threshold"] == 0.9


def test_what_is_no_run_is_refused_and_left_alone(run, tmp_path):
    with pytest.raises(InputError, match="no painted mesh"):
        move_region(MoveRegion(tmp_path, 0.5))
    with pytest.raises(InputError, match="between 0 and 1"):
        move_region(MoveRegion(run, 1.0))
    (run / "settings.json").unlink()
    before = contents(run)
    with pytest.raises(InputError, match=r"settings\.json in run cannot be read"):
        move_region(MoveRegion(run, 0.6))
    assert contents(run) == before


def test_what_is_refused_does_not_say_where_the_server_s_folders_are(run):
    for name in ("base", "style", "localization"):
        (run / f"{name}.png").rename(run / f"{name}_0.png")
        shutil.copy(run / f"{name}_0.png", run / f"{name}_1.png")
    with pytest.raises(InputError, match=r"^painted\.glb in run has 1 parts and 2 textures"):
        move_region(MoveRegion(run, 0.6))
    (run / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"^metrics\.json in run cannot be read"):
        move_region(MoveRegion(run, 0.6))


def test_a_run_that_is_worked_on_and_a_full_disk_are_said(run, monkeypatch):
    before = contents(run)
    with hold(run), pytest.raises(InputError, match="being worked on"):
        move_region(MoveRegion(run, 0.6))
    assert contents(run) == before

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(RunFailed, match="disk is full"):
        move_region(MoveRegion(run, 0.6))
    assert contents(run)["painted.glb"] == before["painted.glb"]
