"""Compiled blocks answer as plain ones, on tiny networks of the real classes."""

import gc
import os
import shutil
import weakref

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from sds.attention import fused
from sds.priors import cogvideox, compiled, deepfloyd, unet3d, wan
from sds.priors import stable_diffusion as sd
from tests import tiny_teachers as tiny

TEACHERS = {
    "wan": (lambda: wan.video_prior(tiny.wan.__wrapped__()), (16, 3, 4, 4)),
    "cogvideox": (lambda: cogvideox.video_prior(tiny.cogvideox.__wrapped__(True)), (4, 3, 4, 4)),
    "unet3d": (lambda: unet3d.video_prior(tiny.modelscope.__wrapped__()), (4, 3, 8, 8)),
    "motion": (lambda: sd.video_prior(tiny.animatediff.__wrapped__()), (4, 3, 8, 8)),
    "image": (lambda: sd.image_prior(tiny.stable_diffusion.__wrapped__()), (4, 3, 8, 8)),
    "stage I": (lambda: deepfloyd.stage_1_prior(tiny.if_stage_1.__wrapped__()), (3, 8, 8)),
}
"""Each family, and one row of what it is asked about."""
FUSES = ("wan", "motion")
"""One with each kind of block that can be."""
COMPILERS = (os.environ.get("CXX"), "g++", "clang++", "cl")


@pytest.fixture(params=TEACHERS)
def case(request):
    make, shape = TEACHERS[request.param]
    prior = make()
    network = getattr(prior, "network", None) or prior.unet
    yield request.param, prior, network, shape
    torch._dynamo.reset()


@pytest.fixture
def counted(monkeypatch):
    """What counts the pieces that are compiled, in place of the compiler."""
    counter = CompileCounter()
    monkeypatch.setattr(compiled, "_BACKEND", counter)
    return counter


def ask(prior, shape, rows):
    generator = torch.Generator().manual_seed(rows)
    x_t = torch.randn(rows, *shape, generator=generator)
    cond = torch.randn(rows, 5, tiny.TEXT_WIDTH, generator=generator)
    return prior.eps(x_t, torch.full((rows,), 400), cond)


def answers(prior, network, shape, weight):
    """To two rows and to four, a step each."""
    found = []
    for rows in (2, 4):
        with fused(network, weight):
            found.append(ask(prior, shape, rows))
    return found


def test_compiled_blocks_answer_as_plain_ones_and_are_plain_again(case, counted):
    name, prior, network, shape = case
    weights = (1.0, 0.7) if name in FUSES else (1.0,)
    plain = [answers(prior, network, shape, weight) for weight in weights]
    compiled.switch([network], True)
    for _ in range(2):
        for weight, expected in zip(weights, plain, strict=True):
            got = answers(prior, network, shape, weight)
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    count = counted.frame_count
    assert count > 0
    # Fusion installs new processors in every step: none of them is compiled again.
    for weight in weights:
        answers(prior, network, shape, weight)
    assert counted.frame_count == count
    compiled.switch([network], False)
    for weight, expected in zip(weights, plain, strict=True):
        again = answers(prior, network, shape, weight)
        assert all(a.equal(b) for a, b in zip(again, expected, strict=True))
    assert counted.frame_count == count


def test_the_blocks_are_those_that_repeat(case):
    name, _, network, _ = case
    found = {type(block).__name__ for block in compiled.blocks(network)}
    own = {
        "wan": {"WanTransformerBlock"},
        "cogvideox": {"CogVideoXBlock"},
        "stage I": {"ResnetBlock2D"},
        "unet3d": {"BasicTransformerBlock", "ResnetBlock2D", "TemporalConvLayer"},
    }
    assert found == own.get(name, {"BasicTransformerBlock", "ResnetBlock2D"})
    there = {type(module).__name__ for module in network.modules()}
    assert set(network._repeated_blocks) & there <= found
    assert len(compiled.blocks(network)) > 1


def test_blocks_have_code_for_each_shape_beyond_the_compilers_own_limit(counted):
    prior = TEACHERS["wan"][0]()
    compiled.switch([prior.network], True)
    for rows in range(1, 10):
        ask(prior, (16, 1, 4, 4), rows)
    assert counted.frame_count == 9
    torch._dynamo.reset()


def test_convolutions_are_timed_where_blocks_are_compiled_and_not_otherwise(counted):
    network = TEACHERS["image"][0]().network
    for on in (True, False):
        compiled.switch([network], on)
        assert torch.backends.cudnn.benchmark is on


def test_a_compiled_network_can_be_let_go(counted):
    prior, shape = TEACHERS["wan"][0](), TEACHERS["wan"][1]
    compiled.switch([prior.network], True)
    ask(prior, shape, 2)
    gone = weakref.ref(prior.network.blocks[0].ffn)
    del prior
    gc.collect()
    assert gone() is None
    torch._dynamo.reset()


def test_no_compiler_is_said_with_its_reason(monkeypatch):
    def without(*_):
        raise RuntimeError("No working C++ compiler found\nand more")

    monkeypatch.setattr(compiled, "_BACKEND", without)
    with pytest.raises(ValueError, match=r"No working C\+\+ compiler found$"):
        compiled.expect_compiler("cpu")
    assert compiled.failure(ValueError("another")) is None


@pytest.mark.skipif(
    not any(name and shutil.which(name) for name in COMPILERS), reason="there is no C++ compiler"
)
def test_the_real_compiler_makes_a_block_that_answers_within_rounding(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled.expect_compiler("cpu")
    prior, shape = TEACHERS["wan"][0](), TEACHERS["wan"][1]
    plain = ask(prior, shape, 2)
    compiled.switch([prior.network], True)
    torch.testing.assert_close(ask(prior, shape, 2), plain, rtol=1e-3, atol=1e-4)
    torch._dynamo.reset()
