"""No step of an edit, as the job takes it, reads a number off the device and so waits for it.

On the CPU, by the ops that the profiler sees; `tests/sds/test_no_waiting.py` asks a GPU's driver.
"""

from dataclasses import replace

import pytest
from torch.profiler import ProfilerActivity, profile

from pipelines.clip.edit import Edit
from pipelines.events import Done
from pipelines.teachers.loading import load_video_teacher
from pipelines.video import edit_video
from sds import optimize
from sds.assd import Method
from tests.pipelines.test_teachers_run import folder, job, teacher_of

__all__ = ["folder", "job", "teacher_of"]

WAITS = {"aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select"}
OWN_WAY = "aten::std"
"""Looks at its own tensor where that is on the CPU, and not on a GPU."""
STEPS = 5
ALL_PARTS = Method(
    guidance_source=3.0, guidance_target=3.0, joint=0.5, fusion=0.5, smooth_along_flow=True
)


def inside(event):
    """Whether an op is part of what a GPU does otherwise."""
    return event is not None and (event.name == OWN_WAY or inside(event.cpu_parent))


@pytest.fixture
def seen(monkeypatch):
    """The ops of each step that the descent takes between its first and its last."""
    steps, honest = [], Edit.optimise

    def watched(edit, since):
        taken = honest(edit, since)
        while True:
            with profile(activities=[ProfilerActivity.CPU]) as record:
                step = next(taken, None)
            if step is None:
                return
            if 0 < step.index < STEPS - 1:
                steps.append({event.name for event in record.events() if not inside(event)})
            yield step

    monkeypatch.setattr(Edit, "optimise", watched)
    # Whether the step before was finite is read from the host's own memory, on a GPU.
    monkeypatch.setattr(optimize, "_watch", lambda tensors: lambda: True)
    return steps


@pytest.mark.parametrize(
    "names, how",
    [
        ("wan", {}),
        ("wan", dict(method=ALL_PARTS)),
        ("cogvideox", {}),
        ("modelscope+sd", {}),
        ("sd+motion", dict(method=ALL_PARTS, moves=3)),
    ],
)
def test_no_step_reads_a_number_off_the_device(job, teacher_of, seen, names, how):
    asked = replace(job, teacher=teacher_of(names), steps=STEPS, **how)
    load_video_teacher(asked.teacher)
    assert isinstance(list(edit_video(asked))[-1], Done)
    assert len(seen) == STEPS - 2
    for ops in seen:
        assert len(ops) > 20 and not ops & WAITS
