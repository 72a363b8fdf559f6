"""The benchmark's own exam: the true answer scores perfectly, and no edit gains nothing."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from miniature import evaluate as benchmark
from miniature.baselines import no_edit
from miniature.draw import draw
from miniature.edits import edits
from miniature.evaluate import QUICK_METHODS, Video, evaluate, measure
from miniature.measuring import choose, recorded
from miniature.report import Row, sheet, summary, table
from pipelines.errors import InputError
from pipelines.video import STEPS

LOADED = SimpleNamespace(
    codec=SimpleNamespace(encode=lambda frames: frames.transpose(0, 1).unsqueeze(0)),
    device=torch.device("cpu"),
)
QUICK = edits("test", quick=True)


def answers():
    """A method that knows every true answer by its prompts."""
    by_prompt = {edit.prompts: torch.from_numpy(draw(edit.target).frames) for edit in QUICK}
    return lambda task: by_prompt[task.prompts]


@pytest.fixture(scope="module", autouse=True)
def prompts_as_they_are():
    """No teacher reads them: a method is given the words themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "video_prompts", lambda teacher, *said: said)
        yield


@pytest.fixture(scope="module")
def results():
    functions = {"no-edit": no_edit, "oracle": answers()}
    return list(evaluate(LOADED, QUICK, functions))


def test_the_true_answer_scores_perfectly_inside(results):
    oracle = [r.row for r in results if r.row.method == "oracle"]
    assert len(oracle) == len(QUICK)
    for row in oracle:
        assert row.psnr_inside == row.gain == math.inf
        assert row.temporal_object == row.temporal_background == 0
        # An object's antialiased outline lies in the edited region, so what is kept is exact.
        assert row.psnr_outside > 100


def test_no_edit_gains_nothing_and_keeps_everything(results):
    for row in (r.row for r in results if r.row.method == "no-edit"):
        assert row.gain == 0
        assert row.psnr_outside == math.inf
        assert row.temporal_background == 0
        assert 3 < row.psnr_inside < 40


def test_damage_is_found_where_it_is_done():
    colour = QUICK[0]
    source, truth = draw(colour.source), draw(colour.target)
    flicker = torch.tensor([0.01, -0.01]).repeat(8).view(16, 1, 1, 1)
    away = torch.from_numpy(truth.frames) + flicker * (torch.from_numpy(truth.mask) == 0)
    row = benchmark.score(colour, "damaged", away, source, truth, 1.0)
    assert row.psnr_outside == pytest.approx(40, abs=1e-3)
    assert row.temporal_background == pytest.approx(5.1, rel=1e-4)
    assert row.temporal_object == 0
    with pytest.raises(FloatingPointError, match="damaged made NaN"):
        benchmark.score(colour, "damaged", away * math.nan, source, truth, 1.0)


ROW = Row("colour", 0, "a", "b", "m", 20.0, 5.0, math.inf, 1.0, 2.0, 3.0)
ROWS = [ROW, replace(ROW, kind="object", psnr_inside=10.0, gain=1.0, psnr_outside=30.0)]


def test_means_are_over_all_and_by_kind():
    means = summary(ROWS)["m"]
    assert means["all"]["gain"] == 3 and means["object"]["gain"] == 1
    assert means["all"]["psnr_inside"] == 15 and means["all"]["psnr_outside"] == math.inf
    lines = table([*ROWS, replace(ROW, method="n", psnr_outside=31.5)]).splitlines()
    assert lines[2] == "| m | 15.00 | +3.00 | +5.00 | +1.00 | exact | +1.00 | +2.00 | 3.0 |"
    assert lines[3] == "| n | 20.00 | +5.00 | +5.00 |  | 31.50 | +1.00 | +2.00 | 3.0 |"
    assert {line.count("|") for line in lines} == {10}


def test_the_json_is_strict_and_an_infinite_psnr_is_null(tmp_path):
    out = Video(json=tmp_path / "a.json")
    recorded(out, {}, [SimpleNamespace(row=row) for row in ROWS], 2, summary)
    assert "Infinity" not in out.json.read_text()
    back = json.loads(out.json.read_text())
    assert back["rows"][0]["psnr_outside"] is None and back["rows"][1]["psnr_outside"] == 30
    assert back["summary"]["m"]["all"]["psnr_outside"] is None


def test_methods_are_chosen_by_name(tmp_path):
    functions = dict.fromkeys(["no-edit", "sdedit-0.6", "sds", "dds", "assd"], no_edit)
    job = Video(json=tmp_path / "a.json")
    assert list(choose(functions, job, QUICK_METHODS)) == list(functions)
    assert list(choose(functions, replace(job, quick=True), QUICK_METHODS)) == [
        "no-edit",
        "sdedit-0.6",
        "dds",
        "assd",
    ]
    assert list(choose(functions, replace(job, quick=True, only=("sds",)), ())) == ["sds"]
    with pytest.raises(InputError, match=r"magic.*no-edit, sdedit-0\.6"):
        choose(functions, replace(job, only=("magic",)), ())


def test_a_run_writes_its_numbers_and_its_sheet(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "load_video_teacher", lambda name: LOADED)
    monkeypatch.setattr(benchmark, "methods", lambda *_: {"no-edit": no_edit, "oracle": answers()})
    job = Video(
        json=tmp_path / "deep" / "a.json",
        sheet=tmp_path / "a.png",
        quick=True,
        only=("no-edit", "oracle"),
    )
    results = measure(job)
    found = json.loads(job.json.read_text())
    assert str(tmp_path) not in job.json.read_text()
    assert len(found["rows"]) == len(results) == 12
    assert found["settings"]["steps"] == STEPS["quick"]
    assert found["machine"]["cores"] >= 1 and set(found["versions"]["weights"]) == {
        "video",
        "image",
    }
    assert found["summary"]["no-edit"]["all"]["gain"] == 0
    assert job.sheet.stat().st_size > 10_000
    with pytest.raises(InputError, match=r"b\.png"):
        measure(replace(job, sheet=tmp_path / "b.jpg"))


def test_the_sheet_shows_source_truth_and_results_in_their_places(results):
    picture = sheet(results, gap=4, head=30)
    assert picture.shape == (30 + 6 * 147, 4 * 132, 3)
    for line, edit in enumerate(QUICK):
        top = 30 + line * 147 + 15
        cells = [picture[top : top + 128, c * 132 : c * 132 + 128] for c in range(4)]
        source, truth = (
            (torch.from_numpy(draw(s).frames[8]) * 255).round().byte().movedim(0, -1)
            for s in (edit.source, edit.target)
        )
        for cell, expected in zip(cells, (source, truth, source, truth), strict=True):
            assert torch.equal(cell, expected)
