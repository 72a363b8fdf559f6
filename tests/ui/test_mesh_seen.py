"""An uploaded mesh in the viewer, before anything is painted on it."""

import zipfile
from dataclasses import fields

import gradio as gr
import pytest

from pipelines.geometry import read_mesh
from pipelines.teachers.catalog import ASSETS
from ui.mesh_result import Shown
from ui.mesh_seen import see
from ui.running import written

MUSHROOM = ASSETS / "examples" / "mushroom.obj"
NAMES = [field.name for field in fields(Shown)]


def told(mesh, run):
    """What changes in turn, by the names of a tab's outputs, and the meshes that are shown."""
    changes, models = [], []
    for values in see(str(mesh), run):
        named = dict(zip(NAMES, values, strict=True))
        changes.append({name: value for name, value in named.items() if value != gr.skip()})
        if "result" in changes[-1]:
            models.append(read_mesh(changes[-1]["result"].value["path"]))
    return changes, models


def test_an_uploaded_mesh_is_shown_and_what_was_painted_before_is_not(tmp_path):
    (waits, shown, last), (model,) = told(MUSHROOM, "an earlier run")
    assert model.faces == read_mesh(MUSHROOM).faces
    assert waits["start_button"].interactive is False and shown["start_button"].interactive is True
    assert shown["run"] is None and shown["status"].value == "" and shown["metrics"] == ""
    for name in ("comparison", "layers", "glb_file", "zip_file", "turntable_file"):
        assert shown[name].visible is False
    # Told twice, a viewer may stay empty.
    assert last == {}


@pytest.mark.parametrize("name", ["off", "zip"])
def test_a_mesh_that_no_browser_reads_is_shown_too(tmp_path, name):
    path = tmp_path / f"mesh.{name}"
    if name == "off":
        path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    else:
        with zipfile.ZipFile(path, "w") as packed:
            packed.write(MUSHROOM, "mushroom.obj")
    assert len(told(path, None)[1]) == 1


def test_a_file_that_is_no_mesh_says_so_at_once_and_leaves_what_is_there(tmp_path):
    path = tmp_path / "empty.obj"
    path.write_text("not a mesh\n")
    (_, said), _ = told(path, "an earlier run")
    assert "empty.obj" in said["status"].value and said["status"].props["kind"] == "failed"
    assert said["start_button"].interactive is True
    assert not {"result", "run", "glb_file"} & set(said)


def test_a_run_that_is_at_work_keeps_its_tab(tmp_path):
    with written(tmp_path):
        assert told(MUSHROOM, str(tmp_path)) == ([{}], [])
