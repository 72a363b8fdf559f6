"""Teachers beside the pipelines of their families while these draw: nothing is told differently.

A pipeline is run whole on a tiny network, and what it gives the network is kept, call by call.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from sds.guidance import Branch, guided
from sds.priors import cogvideox, unet3d, upscaler, wan
from sds.priors import deepfloyd as df
from sds.priors import stable_diffusion as sd
from sds.schedules import add_noise, x0_from_eps
from sds.super_resolution import Shown
from tests import tiny_teachers as tiny

PROMPT, GUIDANCE = " A red  Ball &amp; a cat", 5.0
CLIP = dict(height=32, width=64, num_frames=9)
SHORT = dict(height=16, width=24, num_frames=3)
STILL = dict(height=16, width=24)


@dataclass(frozen=True)
class Family:
    """A pipeline and its adapter."""

    pipe: Callable[[], DiffusionPipeline]
    prior: Callable[[DiffusionPipeline], Any]
    embed: Callable[..., torch.Tensor]
    size: dict[str, int]
    """What is drawn."""
    times: tuple[int, ...]
    """The timesteps of the run, as many as it has steps."""
    first: int = 0
    """The first step that is a mixture of x0 and eps."""


FLOW, TRAILING, LEADING = (999, 666, 333), (999, 749, 499, 249), (751, 501, 251, 1)
FAMILIES = {
    "wan": Family(tiny.wan, wan.video_prior, wan.embed, CLIP, FLOW),
    "wan 5b": Family(tiny.wan_5b, wan.video_prior, wan.embed, CLIP, FLOW),
    # At 999 there is nothing but noise.
    "cogvideox": Family(tiny.cogvideox, cogvideox.video_prior, cogvideox.embed, CLIP, TRAILING, 1),
    "cogvideox rotary": Family(
        lambda: tiny.cogvideox(rotary=True),
        cogvideox.video_prior,
        cogvideox.embed,
        CLIP,
        TRAILING,
        1,
    ),
    "modelscope": Family(tiny.modelscope, unet3d.video_prior, sd.embed, SHORT, LEADING),
    "animatediff": Family(tiny.animatediff, sd.video_prior, sd.embed, SHORT, LEADING),
    "stable diffusion": Family(
        tiny.stable_diffusion, upscaler.stage_1_prior, sd.embed, STILL, LEADING
    ),
    "deepfloyd": Family(
        tiny.if_stage_1, df.stage_1_prior, df.embed, dict(height=8, width=8), (750, 500, 250, 0)
    ),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


def network_of(pipe):
    return pipe.unet if hasattr(pipe, "unet") else pipe.transformer


def given(network, ask):
    """What `ask` gives the network in each call, by the names of its parameters."""
    calls, names = [], inspect.signature(network.forward)

    def keep(_, args, kwargs):
        call = names.bind(*args, **kwargs)
        call.apply_defaults()
        calls.append({k: v for k, v in call.arguments.items() if k != "return_dict"})

    hook = network.register_forward_pre_hook(keep, with_kwargs=True)
    ask()
    hook.remove()
    return calls


def draw(family, output_type="latent"):
    """What the family's own pipeline draws of the prompt, always the same."""
    pipe = family.pipe()
    pipe.set_progress_bar_config(disable=True)
    how = dict(guidance_scale=GUIDANCE, output_type=output_type, return_dict=False)
    steps, seed = len(family.times), torch.Generator().manual_seed(0)
    return pipe(PROMPT, num_inference_steps=steps, generator=seed, **how, **family.size)[0]


def calls_of(family):
    """All that the family's own pipeline gives its network, and the timestep of each call."""
    calls = given(network_of(family.pipe()), lambda: draw(family))
    # Wan is asked with the prompt and then without; all others about both in one call.
    times = [t for t in family.times for _ in range(len(calls) // len(family.times))]
    return list(zip(calls, times, strict=True))


def noised(call):
    """What is denoised, in our order: (N, C, F, H, W), or (N, C, H, W) for stills."""
    x_t = call["hidden_states" if "hidden_states" in call else "sample"]
    return x_t.transpose(1, 2) if "image_rotary_emb" in call else x_t


def said_by_ours(family, theirs, t, texts):
    """What our adapter gives the network when asked about the same rows."""
    pipe = family.pipe()
    prior, said = family.prior(pipe), family.embed(pipe, texts)
    (ours,) = given(network_of(pipe), lambda: prior.eps(noised(theirs), t, said))
    return ours


def test_a_network_is_given_what_its_own_pipeline_gives_it(family):
    for k, (theirs, time) in enumerate(calls_of(family)):
        rows = len(noised(theirs))
        texts = ["", PROMPT] if rows == 2 else [(PROMPT, "")[k % 2]]
        ours = said_by_ours(family, theirs, torch.full((rows,), time), texts)
        assert ours.keys() == theirs.keys()
        # One for all, one for each row, or one for each token; UniPC cuts them to whole numbers.
        clock, t = ours.pop("timestep"), theirs.pop("timestep")
        assert clock.shape == (rows,) and (clock[0] - t).abs().max() < (1 if rows == 1 else 1e-6)
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], msg=f"{name} differs")


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "deepfloyd"])
def test_a_step_of_its_own_pipeline_is_one_of_our_eps(name):
    """What is seen as x0 and as eps is mixed anew for the next noise level."""
    family = FAMILIES[name]
    pipe, calls = family.pipe(), calls_of(family)
    prior, k = family.prior(pipe), family.first
    cond, empty = family.embed(pipe, [PROMPT, ""]).split(1)
    before, after = (next(c for c, t in calls if t == family.times[n]) for n in (k, k + 1))
    x_t, t, then = noised(before)[:1], *torch.tensor(family.times[k : k + 2]).split(1)

    def cut(_, args, kwargs):
        return args, kwargs | {"timestep": kwargs["timestep"].floor()}

    network = network_of(pipe)
    if family.times is FLOW:
        hook = network.register_forward_pre_hook(cut, with_kwargs=True)
    eps = guided(prior, [Branch(x_t, cond, empty, GUIDANCE)], t)[0]
    if family.times is FLOW:
        hook.remove()
    got = add_noise(prior.schedule, x0_from_eps(prior.schedule, eps, x_t, t), eps, then)
    # Of x_t so near pure noise, fp32 holds x0 to three digits.
    near = 1e-3 if family.times is FLOW else 1e-5
    torch.testing.assert_close(got, noised(after)[:1], atol=near, rtol=1e-4)


SECOND = {
    "upscaler": (tiny.upscaler, upscaler.stage_2_prior, sd.embed, 16),
    "deepfloyd": (tiny.if_stage_2, df.stage_2_prior, df.embed, 8),
}


def asked_of_second(pipe, said, side):
    """What a second stage gives its network, and the same as our adapter is asked it."""
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    how = dict(image=picture, noise_level=250, num_inference_steps=4, guidance_scale=GUIDANCE)
    pipe.set_progress_bar_config(disable=True)
    seed = torch.Generator().manual_seed(0)
    for theirs in given(pipe.unet, lambda: pipe(PROMPT, generator=seed, output_type="pt", **how)):
        x_t, low_s = theirs["sample"].tensor_split([-3], dim=1)
        yield theirs, (x_t, theirs["timestep"].expand(2), said, low_s, torch.tensor([250, 250]))


@pytest.mark.parametrize("name", SECOND)
def test_a_second_stage_is_given_what_its_own_pipeline_gives_it(name):
    make, adapter, embed, side = SECOND[name]
    pipe = make()
    prior = adapter(pipe)
    for theirs, asked in asked_of_second(pipe, embed(pipe, ["", PROMPT]), side):
        (ours,) = given(pipe.unet, partial(prior.eps, *asked))
        assert ours.keys() == theirs.keys()
        theirs["timestep"] = theirs["timestep"].expand(2)
        for key, value in ours.items():
            torch.testing.assert_close(value, theirs[key], msg=f"{key} differs")


def test_a_step_of_the_upscaler_is_one_of_our_eps():
    pipe = tiny.upscaler()
    prior, said = upscaler.stage_2_prior(pipe), sd.embed(pipe, ["", PROMPT])
    before, after, *_ = [asked for _, asked in asked_of_second(pipe, said, 16)]
    x_t, t, _, low_s, s = (v[:1] for v in before)
    branch = Branch(x_t, said[1:], said[:1], GUIDANCE)
    eps = guided(Shown(prior, low_s, s), [branch], t)[0]
    got = add_noise(prior.schedule, x0_from_eps(prior.schedule, eps, x_t, t), eps, after[1][:1])
    torch.testing.assert_close(got, after[0][:1], atol=1e-5, rtol=1e-4)


CODECS = {
    "wan": wan.video_codec,
    "wan 5b": wan.video_codec,
    "cogvideox": cogvideox.video_codec,
    "modelscope": sd.latent_codec,
    "animatediff": sd.latent_codec,
}


@pytest.mark.parametrize("name", CODECS)
def test_latents_are_decoded_as_its_own_pipeline_decodes_them(name):
    family = FAMILIES[name]
    drawn = draw(family)
    latents = drawn.transpose(1, 2) if "cog" in name else drawn
    got = CODECS[name](family.pipe()).decode(latents)
    torch.testing.assert_close(got, draw(family, "pt")[0], atol=1e-5, rtol=1e-4)
