"""The examples that ship: whole, small, and what the page needs to open them at once."""

import json

import pytest

from miniature.examples import FOLDER, KEPT
from pipelines.geometry import read_mesh
from pipelines.media import facts, read_clip
from pipelines.media.comparison import COMPARISON, panel_size
from pipelines.runs.run_folder import METRICS

CLIPS = json.loads((FOLDER / "examples.json").read_text())
MESHES = json.loads((FOLDER / "meshes.json").read_text())


@pytest.mark.parametrize("example", CLIPS, ids=lambda one: one["result"])
def test_a_clip_comes_with_its_edit(example):
    clip, folder = read_clip(FOLDER / example["clip"]), FOLDER / example["result"]
    assert {file.name for file in folder.iterdir()} == set(KEPT["video"])
    result = read_clip(folder / "result.mp4")
    assert (result.frames.shape, result.times) == (clip.frames.shape, clip.times)
    panels = json.loads((folder / METRICS).read_text())["panels"]
    assert panels[:2] == ["before", "after"]
    height, width = panel_size(clip.size)
    assert facts(folder / COMPARISON).size == (height, width * len(panels))


@pytest.mark.parametrize("example", MESHES, ids=lambda one: one["result"])
def test_a_mesh_comes_with_its_painting(example):
    mesh, folder = read_mesh(FOLDER / example["mesh"]), FOLDER / example["result"]
    assert {file.name for file in folder.iterdir()} == set(KEPT["mesh"])
    assert read_mesh(folder / "painted.glb").faces == mesh.faces
    panels = json.loads((folder / METRICS).read_text())["panels"]
    assert panels == ["before", "after", "region"]
    height, width = facts(folder / COMPARISON).size
    assert width == len(panels) * height


def test_examples_stay_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 8e6
