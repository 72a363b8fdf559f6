"""What a teacher does without on a small card, and what happens where memory runs out."""

from dataclasses import replace

import pytest
import torch

from pipelines.errors import RunFailed
from pipelines.events import Done, Note, Step
from pipelines.runs import record, run_folder
from pipelines.runs.record import Order
from pipelines.teachers import loading, thrift
from pipelines.teachers.loaded import (
    COMPILES,
    COMPILES_NOT,
    LoadedMeshTeacher,
    LoadedVideoTeacher,
    notes,
)
from pipelines.teachers.loading import step_down
from pipelines.teachers.thrift import LADDER, Thrift, following, plan, said
from pipelines.teachers.turns import Visiting
from sds.assd import Method, Prompts, Teachers
from sds.csd import Cascade
from sds.priors import compiled, wan
from sds.priors.few_rows import FewRows
from sds.priors.single_frames import SingleFrames
from sds.priors.stages import StageOnePrior, StageTwoPrior
from sds.schedules import ddpm
from tests import tiny_teachers
from tests.assd_steps import assd_gradient
from tests.pipelines import shared_run

GB = 10**9
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "free, weights, needs, expected",
    [
        (24, 3, 16, Thrift()),
        (16, 3, 16, Thrift()),
        (15, 3, 16, LADDER[1]),
        (9, 3, 16, LADDER[3]),
        (7, 3, 16, LADDER[4]),
        (2, 3, 16, LADDER[4]),
        (22, 11, None, Thrift()),
        (20, 11, None, LADDER[1]),
        (12, 11, None, LADDER[3]),
        (7, 11, None, LADDER[4]),
        (5, 1, None, Thrift()),
    ],
)
def test_the_plan_by_numbers(free, weights, needs, expected):
    needs = None if needs is None else needs * GB
    assert plan(free * GB, [weights * GB], needs) == expected


@pytest.mark.parametrize(
    "free, expected", [(24, 0), (18, 1), (16, 2), (15, 3), (12, 3), (11, 4), (1, 4)]
)
def test_of_several_networks_the_plan_counts_the_one_whose_turn_it_is(free, expected):
    """IF's two stages, 9 and 2 GB, in 24."""
    assert plan(free * GB, [9 * GB, 2 * GB], 24 * GB) == LADDER[expected]


def test_the_ladder_is_climbed_rung_by_rung_and_said():
    rung, seen = Thrift(), []
    while rung is not None:
        seen.append(rung)
        rung = following(rung, torch.device("cuda"))
    assert tuple(seen) == LADDER
    assert said(LADDER[0]) == []
    assert "few rows" in said(LADDER[1])[0] and "one network" not in said(LADDER[1])[0]
    assert "one network" in said(LADDER[2])[0] and "fp8" not in said(LADDER[2])[0]
    assert "fp8" in said(LADDER[4])[0] and "block by block" in said(LADDER[4])[0]


def test_on_a_cpu_there_is_nowhere_else_for_weights_to_wait(monkeypatch):
    monkeypatch.setattr(loading, "_last", {})
    loaded = video_teacher()
    assert step_down(loaded) == said(LADDER[1])
    assert step_down(loaded) == [] and loaded.thrift == LADDER[1]
    assert "GPU" not in said(LADDER[1])[0]


def video_teacher():
    pipe = tiny_teachers.wan.__wrapped__()
    prior = wan.video_prior(pipe)
    teachers = Teachers(prior, SingleFrames(prior, 8), 8)
    return LoadedVideoTeacher(teachers, wan.video_codec(pipe), CPU, 16)


def asked(loaded, method):
    x_src = torch.randn(1, 16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    said = torch.randn(3, 5, tiny_teachers.TEXT_WIDTH, generator=torch.Generator().manual_seed(1))
    x = x_src + 0.1 * x_src.flip(3)
    rest = (500, torch.Generator().manual_seed(2))
    return assd_gradient(loaded.teachers, Prompts(*said.split(1)), method, x, x_src, *rest)


def bytes_of(network):
    return sum(p.numel() * p.element_size() for p in network.parameters())


def test_a_video_teacher_steps_down_and_answers_as_before(like_a_card):
    """On real networks: fewer rows and offloading change nothing, fp8 rounds and halves."""
    loaded, method = video_teacher(), Method(fusion=0.7)
    codec = loaded.codec
    network, before = loaded.teachers.video.network, asked(video_teacher(), method)
    size = bytes_of(network)
    scale = before.abs().max()
    assert step_down(loaded) == said(Thrift(True))
    assert isinstance(loaded.teachers.video, FewRows) and loaded.teachers.image.frames_per_call == 2
    assert loaded.codec.vae.use_tiling
    torch.testing.assert_close(asked(loaded, method), before, rtol=1e-4, atol=1e-5)
    assert step_down(loaded) == said(LADDER[2])
    torch.testing.assert_close(asked(loaded, method), before, rtol=1e-4, atol=1e-5)
    assert loaded.codec.vae.use_tiling and loaded.codec.factor == 8
    # The autoencoder takes turns too, from here to the last rung.
    visiting = loaded.codec
    assert isinstance(visiting, Visiting) and visiting.codec is codec
    step_down(loaded)
    rounded = asked(loaded, method)
    assert bytes_of(network) < 0.7 * size
    assert 0 < (rounded - before).abs().max() < 0.3 * scale
    assert step_down(loaded) == said(LADDER[-1])
    torch.testing.assert_close(asked(loaded, method), rounded, rtol=1e-4, atol=1e-5)
    assert step_down(loaded) == [] and loaded.thrift == LADDER[-1]
    assert loaded.codec is visiting


def test_compiled_blocks_answer_fewer_rows_and_end_where_weights_are_cast(monkeypatch, like_a_card):
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    loaded, method = video_teacher(), Method(fusion=0.7)
    before, (network,) = asked(loaded, method), thrift.networks_of(loaded.teachers)
    loaded.settle(Thrift(), compile=True)
    assert notes(loaded) == [COMPILES]
    torch.testing.assert_close(asked(loaded, method), before, rtol=1e-4, atol=1e-5)
    step_down(loaded)
    assert isinstance(loaded.teachers.video, FewRows) and are_compiled(network)
    torch.testing.assert_close(asked(loaded, method), before, rtol=1e-4, atol=1e-5)
    assert step_down(loaded) == [*said(LADDER[2]), COMPILES]
    torch.testing.assert_close(asked(loaded, method), before, rtol=1e-4, atol=1e-5)
    assert step_down(loaded) == [*said(LADDER[3]), COMPILES_NOT]
    assert loaded.compile and not are_compiled(network)
    plain = video_teacher()
    plain.settle(LADDER[3], compile=False)
    assert asked(loaded, method).equal(asked(plain, method))


def test_what_was_answered_before_is_kept_only_by_blocks_that_run_alike(monkeypatch):
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    loaded = video_teacher()
    before = loaded.references("a clip")
    loaded.settle(Thrift(), compile=False)
    assert loaded.references("a clip") is before
    loaded.settle(Thrift(), compile=True)
    assert loaded.references("a clip") is not before


def are_compiled(network):
    (said,) = {block._compiled_call_impl is not None for block in compiled.blocks(network)}
    return said


def mesh_teacher():
    kind = dict(in_channels=6, out_channels=3, class_embed_type="timestep", sample_size=16)
    one, two = tiny_teachers.unet2d(in_channels=3, out_channels=3), tiny_teachers.unet2d(**kind)
    schedule = ddpm(torch.linspace(0.9999, 0.005, 1000))
    cascade = Cascade(
        StageOnePrior(one, schedule, 64), StageTwoPrior(two, schedule, schedule, 16), 8, 16
    )
    return LoadedMeshTeacher(cascade, CPU)


def test_both_stages_are_compiled_until_their_weights_are_cast(like_a_card):
    loaded = mesh_teacher()
    networks = thrift.networks_of(loaded.cascade)
    assert len(networks) == 2
    for rung in LADDER:
        loaded.settle(rung, compile=True)
        assert [are_compiled(network) for network in networks] == [not rung.fp8] * 2
    loaded = mesh_teacher()
    loaded.settle(Thrift(), compile=True)
    loaded.settle(Thrift(), compile=False)
    assert not any(map(are_compiled, thrift.networks_of(loaded.cascade)))


def test_a_cascade_steps_down(like_a_card):
    loaded = mesh_teacher()
    cascade = loaded.cascade
    x = torch.randn(5, 3, 8, 8)
    t, cond = torch.full((5,), 300), torch.randn(5, 7, tiny_teachers.TEXT_WIDTH)
    before = cascade.stage_1.eps(x, t, cond)
    step_down(loaded)
    stages = loaded.cascade.stage_1, loaded.cascade.stage_2
    assert [stage.rows_per_call for stage in stages] == [16, 4]
    loaded.cascade = replace(loaded.cascade, stage_1=replace(stages[0], rows_per_call=2))
    torch.testing.assert_close(loaded.cascade.stage_1.eps(x, t, cond), before)
    while step_down(loaded):
        pass
    after = loaded.cascade.stage_1.eps(x, t, cond)
    assert 0 < (after - before).abs().max() < 0.5 * before.abs().max()
    assert loaded.cascade.stage_2.eps(x, t, cond, x, t).shape == x.shape


class Short(shared_run.Video):
    """A card whose memory runs out at some steps' first, or every, try."""

    remedy = "lower --side"
    error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory: 2 GiB")
    at: tuple[int, ...] = ()
    forever = False
    rungs = 1

    def optimise(self, since):
        start = 0 if since is None else since["step"]
        for index, step in enumerate(super().optimise(since), start):
            yield step
            if index + 1 in self.at:
                if not self.forever:
                    self.at = tuple(k for k in self.at if k != index + 1)
                raise self.error

    def step_down(self):
        self.rungs -= 1
        return ["Less."] if self.rungs >= 0 else []


def short_run(folder, **how):
    settings = {"job": "numbers", "steps": shared_run.STEPS, "versions": run_folder.versions()}

    def prepare():
        yield Note("ready")
        work = Short(folder, shared_run.STEPS)
        for name, value in how.items():
            setattr(work, name, value)
        return work

    yield from record.run(Order(folder, settings, {}, (), False), prepare)


def test_a_run_goes_on_from_the_step_where_memory_ran_out(tmp_path):
    events = list(short_run(tmp_path / "short", at=(2,)))
    assert isinstance(events[-1], Done)
    assert [e.index for e in events if isinstance(e, Step)] == [0, 1, 2, 3]
    notes = [e.text for e in events if isinstance(e, Note)]
    assert notes[-2:] == ["Memory ran out; going on with less of it.", "Less."]
    list(short_run(tmp_path / "ample"))
    short, ample = (
        torch.load(tmp_path / name / shared_run.RESULT, weights_only=True)
        for name in ("short", "ample")
    )
    assert short.equal(ample)


def test_a_run_steps_down_as_long_as_there_is_a_step(tmp_path):
    events = list(short_run(tmp_path, at=(1, 2, 3), rungs=3))
    assert isinstance(events[-1], Done)
    assert [e.text for e in events if isinstance(e, Note)].count("Less.") == 3


@pytest.mark.parametrize("how", [dict(at=(2, 3), rungs=1), dict(at=(2,), rungs=0)])
def test_a_run_that_never_fits_says_what_to_lower(tmp_path, how):
    with pytest.raises(RunFailed, match=r"lower --side\. It said: CUDA out of memory: 2 GiB"):
        list(short_run(tmp_path / "run", forever=True, **how))
    status = run_folder.read_status(tmp_path / "run")
    assert status.state == "failed" and "lower --side" in status.said
