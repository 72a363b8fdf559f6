"""Both jobs by name, as a program on another machine would ask for them."""

import json
import zipfile
from types import SimpleNamespace

import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from pipelines.errors import RunFailed
from pipelines.events import Done, Note
from pipelines.media import read_clip
from pipelines.teachers.catalog import ASSETS
from tests.ui.visitors import PATIENCE
from ui import api
from ui.api import edit_video, paint_mesh

CLIP = ASSETS / "examples" / "ball.mp4"
MESH = ASSETS / "examples" / "mushroom.obj"
SOURCE, TARGET = "a red ball rolling left on the grass", "a blue ball rolling left on the grass"
EDIT = dict(source=SOURCE, target=TARGET, api_name="/edit_video")
PAINT = dict(object="mushroom", style="red dotted", api_name="/paint_mesh")


@pytest.fixture(scope="module")
def client(studio, tmp_path_factory):
    return Client(
        studio,
        download_files=tmp_path_factory.mktemp("downloads"),
        verbose=False,
        httpx_kwargs={"timeout": PATIENCE},
    )


def test_edit_comes_back_as_a_file_with_its_settings_and_metrics(client):
    clip, report = client.predict(clip=handle_file(CLIP), steps=2, seed=7, **EDIT)
    before, after = read_clip(CLIP), read_clip(clip)
    assert (len(after), after.size, after.rate) == (len(before), before.size, before.rate)
    assert report["status"] == "Done"
    asked = {name: report["settings"][name] for name in ("source", "target", "seed", "steps")}
    assert asked == {"source": SOURCE, "target": TARGET, "seed": 7, "steps": 2}
    assert report["metrics"]["steps"] == 2
    assert any("worked at" in note for note in report["notes"])


def test_run_can_be_watched_and_given_up(client, runs_folder):
    before = set(runs_folder.iterdir())
    job = client.submit(clip=handle_file(CLIP), steps=500, **EDIT)
    for clip, report in job:
        assert clip is None
        if report["status"].startswith("Step 2 of 500"):
            break
    assert job.cancel()
    (folder,) = set(runs_folder.iterdir()) - before
    # Who asks next waits for the end of the one that was given up, if it has not come yet.
    client.predict(clip=handle_file(CLIP), steps=1, **EDIT)
    assert json.loads((folder / "metrics.json").read_text())["steps"] < 50


def test_painting_comes_back_as_a_mesh_and_a_zip_of_everything(client):
    painted, everything, report = client.predict(
        mesh=handle_file(MESH), edit="cap", steps=2, resolution=64, **PAINT
    )
    assert len(trimesh.load_scene(painted).to_geometry().faces) == len(trimesh.load(MESH).faces)
    names = {"painted.glb", "painted.obj", "localization.png", "settings.json"}
    assert names <= set(zipfile.ZipFile(everything).namelist())
    assert report["settings"]["edit"] == "cap"
    assert 0 <= report["metrics"]["painted_share"] <= 1


def test_a_disk_that_has_no_room_for_the_zip_keeps_the_painting(tmp_path, monkeypatch):
    def done(job, owner):
        yield Note("read")
        yield Done(tmp_path / "painted.glb", {}, {})

    def full(folder):
        raise RunFailed("The disk is full.")

    monkeypatch.setattr(api, "in_turn", done)
    monkeypatch.setattr(api, "archive", full)
    here = SimpleNamespace(
        headers={"host": "127.0.0.1"}, client=SimpleNamespace(host="::1"), session_hash=None
    )
    *_, (painted, everything, report) = paint_mesh(here, "a.obj", "cow", "gold", "horns")
    assert painted == str(tmp_path / "painted.glb") and everything is None
    assert report["status"] == "Done" and report["notes"] == ["read", "The disk is full."]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": "a zebra on the grass"}, 'does not know "zebra"'),
        ({"seed": None}, "There is no seed"),
        ({"teacher": "nobody"}, "nobody"),
        ({"teacher": "somebody/a-large-model"}, "Choose one of: miniature"),
        ({"steps": 0}, "0 steps make no edit"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(client, changes, sentence):
    with pytest.raises(AppError, match=sentence):
        client.predict(clip=handle_file(CLIP), **{**EDIT, **changes})


def test_wrong_files_are_named(client, tmp_path):
    bad = tmp_path / "clip.mp4"
    bad.write_text("This is no clip.")
    with pytest.raises(AppError, match=r"clip\.mp4"):
        client.predict(clip=handle_file(bad), **EDIT)
    bad = tmp_path / "mesh.obj"
    bad.write_text("This is no mesh.")
    with pytest.raises(AppError, match=r"mesh\.obj"):
        client.predict(mesh=handle_file(bad), edit="cap", **PAINT)


def test_every_parameter_is_described_with_its_type_and_default(client):
    told = client.view_api(return_format="dict")["named_endpoints"]
    assert set(told) == {"/edit_video", "/paint_mesh"}
    for name, function in {"/edit_video": edit_video, "/paint_mesh": paint_mesh}.items():
        assert told[name]["description"] == " ".join(
            line.strip() for line in function.__doc__.split("Args:")[0].splitlines() if line.strip()
        )
        for parameter in told[name]["parameters"]:
            assert f"{parameter['parameter_name']}: " in function.__doc__
    preset = told["/edit_video"]["parameters"][3]
    assert preset["parameter_default"] == "standard"
    assert preset["type"]["enum"] == ["quick", "standard", "fine"]
