"""The mesh benchmark's own exam: the true answer scores perfectly, and a tiny run writes files."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from miniature import mesh_evaluate as benchmark
from miniature.mesh_edits import mesh_edits
from miniature.mesh_evaluate import Mesh, evaluate_meshes, measure_mesh
from miniature.mesh_metrics import seen
from miniature.mesh_report import MeshRow, mesh_summary, mesh_table
from miniature.meshes import FAMILIES, surface
from miniature.styles import style_colours
from pipelines.errors import InputError
from pipelines.paint.composites import Query
from pipelines.teachers.painting import Painting

PATTERNED = mesh_edits("test")[1]
"""A mushroom with a pattern."""


class Answer(nn.Module):
    """Fields that know where the part is, at the points the score looks at, and its style."""

    def __init__(self, edit):
        super().__init__()
        self.edit, self.inside = edit, edit.inside(seen(surface(edit.mesh)).face)

    def forward(self, points):
        box = self.edit.mesh.box([self.edit.part])
        style = style_colours(points.position, self.edit.style, box)
        return Query(self.inside.float()[:, None], style, None)


class Region(nn.Module):
    """The same region everywhere, in gray-blue."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, points):
        ones = torch.ones_like(points.position)
        return Query(self.value * ones[:, :1], ones * torch.tensor([0.3, 0.4, 0.9]), None)


def score(fields, edit=PATTERNED):
    return benchmark.score_mesh(edit, "m", fields, surface(edit.mesh), 1.0)


def test_every_family_is_asked_twice_once_with_a_pattern():
    wanted = mesh_edits("test")
    assert [edit.family for edit in wanted] == [name for name in FAMILIES for _ in range(2)]
    assert sum(edit.style.pattern != "plain" for edit in wanted) == 12
    quick = mesh_edits("test", quick=True)
    assert set(quick) < set(wanted) and len({edit.family for edit in quick}) == 6
    assert sum(edit.style.pattern != "plain" for edit in quick) == 3
    assert mesh_edits("tune") != wanted


def test_every_part_asked_for_can_be_seen():
    for edit in mesh_edits("test"):
        share = edit.inside(seen(surface(edit.mesh)).face).float().mean()
        assert 0.01 < share < 0.99, edit.prompts


def test_the_true_answer_scores_perfectly():
    row = score(Answer(PATTERNED))
    assert row.iou == 1 and row.changed_outside == 0
    # Only the rounding to 8 bits is left.
    assert row.colour_error < 0.5
    assert row.pattern_correlation > 0.999 and row.detail_error < 0.02


def test_no_region_and_everything_as_region_are_told_apart():
    inside = PATTERNED.inside(seen(surface(PATTERNED.mesh)).face)
    nothing, everything = score(Region(0.0)), score(Region(1.0))
    assert nothing.iou == nothing.changed_outside == 0
    assert everything.iou == pytest.approx(float(inside.double().mean()), rel=1e-6)
    assert everything.changed_outside == 1
    assert nothing.pattern_correlation == everything.pattern_correlation == 0
    assert nothing.detail_error == everything.detail_error == pytest.approx(1)
    assert score(Region(1.0), mesh_edits("test")[0]).pattern_correlation is None


ROW = MeshRow(0, "mug", "body", "red", "plain", "m", 0.5, 10.0, 8.0, None, None, 0.25, 3.0)
DOTTED = replace(
    ROW, pattern="dotted", iou=1.0, colour_error=30.0, palette_error=20.0, pattern_correlation=0.5
)
ROWS = [ROW, DOTTED, replace(ROW, method="n")]


def test_means_are_over_all_over_plain_styles_and_over_patterns():
    means = mesh_summary(ROWS)
    assert means["m"]["all"]["iou"] == 0.75 and means["m"]["patterns"]["iou"] == 1
    assert means["m"]["all"]["pattern_correlation"] == 0.5
    assert means["n"]["patterns"]["iou"] is None
    lines = mesh_table(ROWS).splitlines()
    assert lines[2] == "| m | 0.750 | 20.0 | 10.0 | 30.0 | 14.0 | 20.0 | 0.50 |  | 0.250 | 3.0 |"
    assert lines[3] == "| n | 0.500 | 10.0 | 10.0 |  | 8.0 |  |  |  | 0.250 | 3.0 |"
    assert {line.count("|") for line in lines} == {12}


def test_unknown_methods_and_useless_settings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"magic.*stage-1"):
        measure_mesh(Mesh(json=tmp_path / "a.json", only=("magic",)))
    with pytest.raises(InputError, match="Give at least 1"):
        measure_mesh(Mesh(json=tmp_path / "a.json", steps=0))
    with pytest.raises(InputError, match=r"b\.png"):
        measure_mesh(Mesh(json=tmp_path / "a.json", sheet=tmp_path / "b.jpg"))


def test_a_result_is_there_before_the_next_method_runs():
    def fails(task):
        raise RuntimeError

    found = evaluate_meshes([PATTERNED], {"a": lambda task: Region(1.0), "b": fails})
    assert next(found).row.method == "a"


def test_a_tiny_run_of_every_method_writes_its_numbers_and_its_sheet(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "mesh_edits", lambda split, quick: [PATTERNED])
    both = Painting(detail_from=0.5)
    out = dict(json=tmp_path / "deep" / "a.json", sheet=tmp_path / "a.png")
    job = Mesh(**out, steps=2, painting=both)
    results = measure_mesh(job)
    text = job.json.read_text()
    found = json.loads(text)
    assert str(tmp_path) not in text
    names = ["stage-1", "stage-2", "csd", "csd-phases", "csd-no-background", "csd-no-contrast"]
    assert [row["method"] for row in found["rows"]] == names == list(found["summary"])
    # In two steps the phases are stage I alone, then stage II on what it left.
    assert len({row["colour_error"] for row in found["rows"]}) == len(names)
    assert found["settings"]["steps"] == 2 and found["versions"]["torch"]
    assert job.sheet.stat().st_size > 10_000
    edit, before, answer = results[0].edit, *results[0].pictures[:2]
    assert edit.words.object == "mushroom" and not torch.equal(before, answer)
