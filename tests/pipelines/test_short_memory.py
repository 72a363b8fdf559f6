"""Both jobs, on tiny teachers from disk, where a network runs out of memory on the way."""

from dataclasses import replace

import pytest
import torch

from pipelines.errors import RunFailed
from pipelines.events import Done, Note, Step
from pipelines.mesh import paint_mesh
from pipelines.runs import checkpoint, run_folder
from pipelines.teachers.catalog import mesh_teachers
from pipelines.teachers.loading import load_mesh_teacher, load_video_teacher
from pipelines.teachers.thrift import LADDER, Thrift
from pipelines.video import edit_video
from tests.pipelines.test_teachers_run import folder, job, painting, teacher_of

__all__ = ["folder", "job", "painting", "teacher_of"]


def runs_out(network, calls):
    """Let some of the network's calls, counted from 0, find no memory; returns how to end that."""
    count = iter(range(10**6))

    def hook(*_):
        if next(count) in calls:
            raise torch.OutOfMemoryError("CUDA out of memory: 2 GiB")

    return network.register_forward_pre_hook(hook).remove


def told(events):
    return [event.text for event in events if isinstance(event, Note)]


def latents(run):
    """Where a run's clip ended: decoded, it also depends on the tiles it was decoded in."""
    return checkpoint.load(run).state["parameters"]


@pytest.fixture
def edit(job, teacher_of, like_a_card):
    return replace(job, teacher=teacher_of("modelscope+sd"), steps=3, strength=5.0)


def test_an_edit_that_runs_out_of_memory_ends_as_with_plenty(edit):
    ample = list(edit_video(replace(edit, out=edit.out / "ample")))
    loaded = load_video_teacher(edit.teacher)
    assert loaded.thrift == Thrift()
    ends = runs_out(loaded.teachers.video.network, {1})
    short = list(edit_video(replace(edit, out=edit.out / "short")))
    ends()
    assert [e.index for e in short if isinstance(e, Step)] == [0, 1, 2]
    assert "Memory ran out; going on with less of it." in told(short)
    assert loaded.thrift == LADDER[1]
    assert isinstance(short[-1], Done) and isinstance(ample[-1], Done)
    torch.testing.assert_close(latents(edit.out / "short"), latents(edit.out / "ample"))


def test_a_result_that_does_not_fit_is_decoded_in_tiles(edit):
    loaded = load_video_teacher(edit.teacher)
    calls = []
    counting = loaded.codec.vae.decoder.register_forward_pre_hook(lambda *_: calls.append(1))
    list(edit_video(replace(edit, out=edit.out / "ample")))
    counting.remove()
    ends = runs_out(loaded.codec.vae.decoder, {len(calls) - 1})
    events = list(edit_video(replace(edit, out=edit.out / "short")))
    ends()
    assert isinstance(events[-1], Done) and loaded.thrift == LADDER[1]
    assert loaded.codec.vae.use_tiling


def test_a_clip_that_does_not_fit_is_encoded_with_less_until_it_does(edit):
    loaded = load_video_teacher(edit.teacher)
    ends = runs_out(loaded.codec.vae.encoder, {0, 1})
    events = list(edit_video(edit))
    ends()
    assert isinstance(events[-1], Done) and loaded.thrift == LADDER[2]


def test_a_clip_that_is_never_encoded_says_what_to_lower(edit):
    loaded = load_video_teacher(edit.teacher)
    ends = runs_out(loaded.codec.vae.encoder, range(10**6))
    with pytest.raises(RunFailed, match=r"to begin.*lower --side.*2 GiB"):
        list(edit_video(edit))
    ends()
    assert loaded.thrift == LADDER[-1]


def test_an_edit_that_never_fits_says_what_to_lower_and_can_be_resumed(edit):
    ends = runs_out(load_video_teacher(edit.teacher).teachers.video.network, range(1, 10**6))
    with pytest.raises(RunFailed, match=r"lower .*--side"):
        list(edit_video(edit))
    ends()
    assert run_folder.read_status(edit.out).state == "failed"
    events = list(edit_video(edit, resumes=True))
    assert isinstance(events[-1], Done)
    assert [e.index for e in events if isinstance(e, Step)][-1] == 2


def test_a_painting_that_runs_out_of_memory_goes_on(painting, teacher_of, like_a_card):
    teacher = teacher_of("if_1+if_2")
    how = replace(mesh_teachers()["if-xl"].painting, views=1, detail_from=0.5)
    asked = replace(painting, teacher=teacher, steps=4, resolution=32, painting=how)
    loaded = load_mesh_teacher(teacher)
    ends = runs_out(loaded.cascade.stage_2.unet, {1})
    events = list(paint_mesh(asked))
    ends()
    assert [e.index for e in events if isinstance(e, Step)] == [0, 1, 2, 3]
    assert "Memory ran out; going on with less of it." in told(events)
    assert loaded.thrift == LADDER[1]
