"""The GPU benchmark runs to its end in its smallest form, and writes what it should."""

import json
from dataclasses import replace

import pytest
import torch

from pipelines.teachers.thrift import LADDER
from sds.priors import compiled
from tests.bench import gpu


def test_the_smallest_configuration_runs_end_to_end(tmp_path, monkeypatch, like_a_card):
    out = tmp_path / "gpu.json"
    words = ["gpu", "--json", str(out), "--rounds", "1", "--small", "--no-compile"]
    monkeypatch.setattr("sys.argv", words)
    gpu.main()
    said = json.loads(out.read_text())
    assert "Tiny networks" in said["says"] and said["matmul_tflop_per_second"] > 0
    assert list(said["cases"]) == list(gpu.CASES) == list(gpu.Bench().only)
    assert [case["job"] for case in said["cases"].values()].count("mesh") == 2
    for case in said["cases"].values():
        assert min(case["parameters"]) > 0 and case["shape"]
        literal, *others = case["steps"]
        assert literal.startswith("literal")
        assert sum("on a small card" in what for what in others) == len(LADDER) - 1
        assert set(case["once"]) == ({"encode", "decode"} if case["job"] == "video" else set())
        assert all(numbers["seconds"] > 0 for numbers in case["once"].values())
        for numbers in case["steps"].values():
            assert numbers["seconds"] > 0 and numbers["teacher_tflop"] <= numbers["tflop"]
            assert numbers["times_faster_than_literal"] > 0
            expected = {"first_seconds", "peak_memory_gb", "tflop", "tflop_per_second"}
            assert set(numbers) >= expected | {"idle_share"}
        for label in (literal, others[0]):
            # What is not the teachers' is little: fields, renders.
            asked = case["steps"][label]["teacher_tflop"]
            assert asked > 0 and case["steps"][label]["teacher_share_of_matmul_rate"] > 0
            if case["job"] == "video":
                assert asked == pytest.approx(case["steps"][label]["tflop"])

    # The literal DDS step and ours ask the same of the teacher: only how it is called differs.
    steps = said["cases"]["wan-1.3b"]["steps"]
    work = {what: numbers["tflop"] for what, numbers in steps.items()}
    assert work["literal DDS, batched as in the notebook"] == work["literal DDS"]
    assert abs(work["DDS"] / work["literal DDS"] - 1) < 0.02
    assert abs(work["DDS, another prompt on the same clip"] / work["DDS"] - 0.5) < 0.02


def test_compiled_blocks_are_measured_and_the_plain_ones_come_back(monkeypatch, like_a_card):
    switched, switch = [], compiled.switch
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    monkeypatch.setattr(compiled, "switch", lambda n, on: switched.append(on) or switch(n, on))
    *_, said = gpu.run(gpu.Bench(rounds=1, only=("wan-1.3b",), small=True, compile=True))
    steps = said["cases"]["wan-1.3b"]["steps"]
    for what in ("DDS", "as shipped"):
        fast = steps[f"{what}, compiled"]
        assert fast["seconds"] > 0 and fast["tflop"] == steps[what]["tflop"]
    fast = steps["DDS, compiled"]
    assert fast["seconds"] < fast["first_seconds"]
    literal, rate = steps["literal DDS"]["seconds"], said["matmul_tflop_per_second"]
    seconds = literal / fast["times_faster_at_the_matmul_rate"]
    assert seconds * rate == pytest.approx(fast["tflop"])
    assert switched[:2] == [True, False] and not any(switched[2:])
    assert sum("on a small card" in what for what in steps) == len(LADDER) - 1
    assert all("seconds" in numbers for numbers in steps.values())


def test_what_was_measured_before_a_step_that_fails_is_kept(monkeypatch, tmp_path):
    def broken(*_):
        raise RuntimeError("the machine was taken away")

    out = tmp_path / "gpu.json"
    words = ["gpu", "--json", str(out), "--rounds", "1", "--small", "--no-compile"]
    monkeypatch.setattr("sys.argv", [*words, "--only", "wan-1.3b"])
    monkeypatch.setattr(gpu, "step_down", broken)
    with pytest.raises(RuntimeError):
        gpu.main()
    kept = json.loads(out.read_text())["cases"]["wan-1.3b"]["steps"]
    assert "as shipped" in kept
    # Without the smaller cards there is nothing to fail at.
    asked = gpu.Bench(rounds=1, only=("wan-1.3b",), small=True, compile=False)
    *_, whole = gpu.run(replace(asked, rungs=False))
    assert list(whole["cases"]["wan-1.3b"]["steps"]) == list(kept)
    failed = {"failed": "RuntimeError: the machine was taken away"}
    assert gpu.measured(broken, [], torch.device("cpu"), 1, 1.0, None) == failed
    assert gpu.taken_once(broken, torch.device("cpu")) == failed
