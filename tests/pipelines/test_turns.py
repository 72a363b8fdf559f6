"""One network at a time on the card. Here the card is other memory of the same machine."""

import pytest
import torch
from torch import nn

from pipelines.teachers.loaded import LoadedMeshTeacher
from pipelines.teachers.loading import step_down
from pipelines.teachers.thrift import LADDER, Thrift
from pipelines.teachers.turns import Turns, Visiting
from sds.csd import Cascade
from sds.priors import deepfloyd
from sds.priors import stable_diffusion as sd
from tests import tiny_teachers as tiny

CPU = torch.device("cpu")


def memory(network):
    """Where the network's tensors are."""
    return [t.data_ptr() for t in (*network.parameters(), *network.buffers())]


@pytest.fixture
def turns():
    return Turns(CPU)


@pytest.fixture
def pair(turns):
    """Two networks that take turns, and where they are at home."""
    made = nn.Linear(3, 3), nn.BatchNorm1d(3).eval()
    for network in made:
        turns.take(network)
    return *made, *map(memory, made)


def test_the_one_that_is_asked_is_there_and_the_other_is_at_home(pair):
    one, two, home_1, home_2 = pair
    for asked, there in ((one, (True, False)), (one, (True, False)), (two, (False, True))) * 2:
        asked(torch.zeros(2, 3))
        assert (memory(one) != home_1, memory(two) != home_2) == there


def test_what_comes_home_is_what_went(pair):
    one, two, home, _ = pair
    before = {name: value.clone() for name, value in one.state_dict().items()}
    x = torch.ones(2, 3)
    answer = one(x)
    two(x)
    # Nothing was copied back.
    assert memory(one) == home
    assert all(value.equal(before[name]) for name, value in one.state_dict().items())
    assert one(x).equal(answer)


def test_whoever_takes_turns_leaves_the_card_at_once(turns):
    class Recorded(nn.Linear):
        def to(self, device):
            went.append(device)

    went = []
    network = Recorded(3, 3)
    for _ in range(2):
        turns.take(network)
    assert went == ["cpu"]


def test_whoever_is_dismissed_stays_where_it_is(turns, pair):
    one, _, home, _ = pair
    turns.take(one)
    for _ in range(2):
        turns.dismiss(one)
    one(torch.zeros(2, 3))
    assert memory(one) == home


def test_a_turn_that_runs_out_of_memory_leaves_everything_at_home(turns, pair, monkeypatch):
    one, two, *homes = pair
    honest, count = torch.Tensor.to, iter(range(9))

    def short(*given, **how):
        if next(count) == 1:
            raise torch.OutOfMemoryError
        return honest(*given, **how)

    monkeypatch.setattr(torch.Tensor, "to", short)
    with pytest.raises(torch.OutOfMemoryError):
        one(torch.zeros(2, 3))
    monkeypatch.undo()
    turns.end()
    assert [memory(one), memory(two)] == homes


def test_a_codec_is_there_while_it_works_only(turns, pair):
    """Also where what it works on is no use to it."""
    codec = sd.latent_codec(tiny.stable_diffusion.__wrapped__())
    visiting, home, seen = Visiting(codec, turns), memory(codec.vae), []
    for part in (codec.vae.encoder, codec.vae.decoder):
        part.register_forward_pre_hook(lambda *_: seen.append(memory(codec.vae) != home))
    frames = torch.rand(2, 3, 16, 16)
    pair[0](torch.zeros(2, 3))
    latents = visiting.encode(frames)
    assert memory(codec.vae) == home and memory(pair[0]) == pair[2]
    assert visiting.decode(latents)[1:].allclose(visiting.frames(latents, [1]), atol=1e-5)
    with pytest.raises(ValueError, match="do not fit"):
        visiting.encode(frames[..., 1:])
    assert seen == [True] * 3 and memory(codec.vae) == home
    assert latents.equal(codec.encode(frames)) and visiting.vae is codec.vae
    assert (visiting.factor, visiting.stride) == (codec.factor, codec.stride)


def cascade_teacher():
    one, two = tiny.if_stage_1.__wrapped__(), tiny.if_stage_2.__wrapped__()
    stages = deepfloyd.stage_1_prior(one), deepfloyd.stage_2_prior(two)
    return LoadedMeshTeacher(Cascade(*stages, 8, 16), CPU)


def ask(loaded, stage):
    g = torch.Generator().manual_seed(stage)
    side, cascade = (8, 16)[stage - 1], loaded.cascade
    x, low = (torch.randn(3, 3, side, side, generator=g) for _ in range(2))
    t, cond = torch.full((3,), 300), torch.randn(3, 77, tiny.TEXT_WIDTH, generator=g)
    if stage == 1:
        return cascade.stage_1.eps(x, t, cond)
    return cascade.stage_2.eps(x, t, cond, low, t)


def test_only_one_stage_of_a_cascade_is_on_the_card():
    loaded = cascade_teacher()
    loaded.settle(LADDER[2], compile=False)
    unets = loaded.cascade.stage_1.unet, loaded.cascade.stage_2.unet
    homes = [memory(unet) for unet in unets]
    for stage in (1, 2, 2, 1):
        ask(loaded, stage)
        there = [memory(unet) != home for unet, home in zip(unets, homes, strict=True)]
        assert there == [stage == 1, stage == 2]
    # The next run begins with none of them there.
    loaded.settle(LADDER[2], compile=False)
    assert [memory(unet) for unet in unets] == homes


def test_stages_in_turn_answer_exactly_as_together_and_more_thrift_can_follow(like_a_card):
    loaded, plain = cascade_teacher(), cascade_teacher()
    plain.settle(Thrift(few_rows=True), compile=False)
    for _ in range(2):
        step_down(loaded)
    assert loaded.thrift == LADDER[2]
    for stage in (1, 2, 1):
        assert ask(loaded, stage).equal(ask(plain, stage))
    step_down(loaded)
    rounded = {stage: ask(loaded, stage) for stage in (1, 2)}
    for stage, answer in rounded.items():
        assert 0 < (answer - ask(plain, stage)).abs().max() < answer.abs().max()
        # Weights that went and came again are the rounded ones.
        assert ask(loaded, stage).equal(answer)
    step_down(loaded)
    for stage, answer in rounded.items():
        torch.testing.assert_close(ask(loaded, stage), answer, rtol=1e-4, atol=1e-5)
    assert step_down(loaded) == []
