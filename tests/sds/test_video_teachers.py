"""Wan, CogVideoX and ModelScope shapes: adapters beside the networks, schedules and pipelines."""

import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
)

from sds.attention import FusedSelfAttention, fused
from sds.guidance import Branch, guided
from sds.priors import Codec, Prior, VideoPrior, cogvideox, unet3d, wan
from sds.priors import stable_diffusion as sd
from sds.priors.loading import read_schedule
from sds.priors.single_frames import SingleFrames
from sds.priors.video_codec import pad_frames
from sds.schedules import add_noise, at, eps_from_output, model_time, x0_from_eps
from tests import tiny_teachers as tiny

T = torch.tensor([745, 20])
FAMILIES = {
    "wan": (wan, tiny.wan, 16),
    "wan 5b": (wan, tiny.wan_5b, 8),
    "cogvideox": (cogvideox, tiny.cogvideox, 4),
    "cogvideox rotary": (cogvideox, lambda: tiny.cogvideox(rotary=True), 4),
    "modelscope": (unet3d, tiny.modelscope, 4),
}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def words(pipe, n=2):
    return randn(n, cogvideox.TOKENS if "Cog" in type(pipe).__name__ else 9, 16, seed=1)


@pytest.fixture(params=FAMILIES)
def family(request):
    module, make, channels = FAMILIES[request.param]
    return module, make(), channels


def as_its_pipeline_asks(pipe, x_t, t, cond):
    """The network's raw output, called as the family's own pipeline calls it."""
    with torch.no_grad():
        match type(pipe).__name__:
            case "WanPipeline":
                clock = model_time(read_schedule(pipe), t)
                if pipe.config.expand_timesteps:
                    tokens = torch.ones_like(x_t[:, 0])[:, :, ::2, ::2].flatten(1)
                    clock = tokens * clock[:, None]
                return pipe.transformer(x_t, clock, cond, return_dict=False)[0]
            case "CogVideoXPipeline":
                rotary = None
                if pipe.transformer.config.use_rotary_positional_embeddings:
                    h, w = (8 * side for side in x_t.shape[3:])
                    rotary = pipe._prepare_rotary_positional_embeddings(h, w, x_t.shape[2], "cpu")
                rows = x_t.transpose(1, 2)
                said = pipe.transformer(rows, cond, t, image_rotary_emb=rotary, return_dict=False)
                return said[0].transpose(1, 2)
            case _:
                return pipe.unet(x_t, t, cond, return_dict=False)[0]


def test_a_prior_is_its_network(family):
    module, pipe, channels = family
    prior = module.video_prior(pipe)
    assert isinstance(prior, Prior) and isinstance(prior, VideoPrior)
    x_t, cond = randn(2, channels, 3, 6, 4), words(pipe)
    got = prior.eps(x_t, T, cond)
    assert got.shape == x_t.shape and got.dtype == torch.float32
    for n in range(2):
        row = slice(n, n + 1)
        out = as_its_pipeline_asks(pipe, x_t[row], T[row], cond[row])
        want = eps_from_output(prior.schedule, out, x_t[row], T[row])
        torch.testing.assert_close(got[row], want, atol=1e-5, rtol=1e-4)
    assert not prior.eps(x_t, T, cond.requires_grad_()).requires_grad


def test_a_cogvideox_whose_patches_span_frames_is_refused():
    class Newer:
        transformer = CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            text_embed_dim=16,
            num_layers=1,
            patch_size_t=2,
            patch_bias=False,
            use_rotary_positional_embeddings=True,
        )

    with pytest.raises(ValueError, match=r"CogVideoX 1\.5.*use CogVideoX-2b or -5b"):
        cogvideox.video_prior(Newer())


def test_eps_and_noising_are_those_of_the_diffusion_schedulers():
    for pipe in (tiny.cogvideox(), tiny.modelscope()):
        scheduler, schedule = pipe.scheduler, read_schedule(pipe)
        scheduler.set_timesteps(10)
        x, eps, v = (randn(2, 4, 3, 4, 4, seed=k) for k in range(3))
        x_t = add_noise(schedule, x, eps, T)
        torch.testing.assert_close(x_t, scheduler.add_noise(x, eps, T))
        for n, t in enumerate(T):
            row, now = slice(n, n + 1), T[n : n + 1]
            given = scheduler.step(v[row], t, x_t[row], return_dict=True).pred_original_sample
            seen = eps_from_output(schedule, v[row], x_t[row], now)
            got = x0_from_eps(schedule, seen, x_t[row], now)
            torch.testing.assert_close(got, given, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_eps_and_noising_are_those_of_the_flow_schedulers(shift):
    """Wan's two schedulers, at the noise levels that they and our table both hold."""
    euler = FlowMatchEulerDiscreteScheduler(shift=shift)
    unipc = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    levels = [k / 1000 for k in range(1000, 0, -50)]  # before the shift
    unipc.set_timesteps(sigmas=np.array(levels))
    euler.set_timesteps(sigmas=levels)
    x, eps, v = (randn(1, 4, 3, 4, 4, seed=k) for k in range(3))
    for scheduler in (unipc, euler):
        schedule = read_schedule(WanLike(scheduler))
        for t in (950, 500, 50):
            now, index = torch.tensor([t]), 20 - t // 50
            sigma = scheduler.sigmas[index]
            torch.testing.assert_close(schedule.sigma[t], sigma, atol=1e-6, rtol=1e-5)
            clock = scheduler.timesteps[index]
            assert abs(float(model_time(schedule, now)) - float(clock)) < 1  # UniPC truncates
            x_t = add_noise(schedule, x, eps, now)
            noised = getattr(scheduler, "scale_noise", None)
            if noised is None:
                torch.testing.assert_close(x_t, scheduler.add_noise(x, eps, clock[None]))
            else:
                torch.testing.assert_close(x_t, noised(x, clock[None], eps))
            seen = eps_from_output(schedule, v, x_t, now)
            clean = x0_from_eps(schedule, seen, x_t, now)
            torch.testing.assert_close(clean, x_t - sigma * v, atol=1e-4, rtol=1e-4)
    unipc._step_index = 10
    x_t = add_noise(schedule, x, eps, torch.tensor([500]))
    clean = unipc.convert_model_output(v, sample=x_t)
    seen = eps_from_output(schedule, v, x_t, torch.tensor([500]))
    torch.testing.assert_close(x0_from_eps(schedule, seen, x_t, torch.tensor([500])), clean)


class WanLike:
    def __init__(self, scheduler):
        self.scheduler = scheduler


def test_an_euler_step_of_a_flow_is_the_same_in_eps_and_x0():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    schedule = read_schedule(WanLike(scheduler))
    scheduler.set_timesteps(sigmas=[k / 1000 for k in range(700, 0, -20)])
    x_t, v = randn(1, 4, 2, 4, 4), randn(1, 4, 2, 4, 4, seed=1)
    given = scheduler.step(v, scheduler.timesteps[0], x_t, return_dict=False)[0]
    now, after = torch.tensor([700]), torch.tensor([680])
    eps = eps_from_output(schedule, v, x_t, now)
    got = add_noise(schedule, x0_from_eps(schedule, eps, x_t, now), eps, after)
    torch.testing.assert_close(got, given, atol=1e-5, rtol=1e-5)


CODECS = {
    "wan": (tiny.wan, wan, 4, 8),
    "wan 5b": (tiny.wan_5b, wan, 4, 16),
    "cogvideox": (tiny.cogvideox, cogvideox, 8, 8),
}


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_pads_scales_and_gives_its_frames_back(name):
    make, module, every, factor = CODECS[name]
    pipe = make()
    codec = module.video_codec(pipe)
    assert isinstance(codec, Codec)
    assert (codec.every, codec.factor, codec.stride) == (every, factor, 4)
    frames = torch.rand(6, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    latents = codec.encode(frames)
    length = every * -(-5 // every) + 1
    assert latents.shape[2:] == (1 + length // 4, 32 // factor, 48 // factor)
    padded = torch.cat([frames, frames[-1:].expand(length - 6, -1, -1, -1)])
    with torch.no_grad():
        z = pipe.vae.encode(padded.transpose(0, 1)[None] * 2 - 1).latent_dist.mean
        want = pipe.vae.decode(z).sample[0].transpose(0, 1) / 2 + 0.5
    torch.testing.assert_close(latents, normalised(pipe, z), atol=1e-5, rtol=1e-4)
    decoded = codec.decode(latents)
    torch.testing.assert_close(decoded, want.clamp(0, 1), atol=1e-5, rtol=1e-4)
    assert codec.frames(latents, [0, 5]).shape == (2, 3, 32, 48)
    torch.testing.assert_close(codec.frames(latents, [0, 1]), decoded[:2], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=f"multiple of {factor}"):
        codec.encode(frames[..., :31, :])


def normalised(pipe, z):
    """As the pipelines that start from pictures do it."""
    config = pipe.vae.config
    if isinstance(pipe, WanPipeline):
        mean, std = (
            torch.tensor(v).view(1, -1, 1, 1, 1) for v in (config.latents_mean, config.latents_std)
        )
        return (z - mean) / std
    return z * config.scaling_factor


def test_padding_repeats_the_last_frame():
    frames = torch.arange(6.0).view(6, 1)
    assert pad_frames(frames, 4).flatten().tolist() == [0, 1, 2, 3, 4, 5, 5, 5, 5]
    assert torch.equal(pad_frames(frames[:5], 4), frames[:5])
    assert torch.equal(pad_frames(frames[:1], 8), frames[:1])


def test_a_temporal_autoencoder_sees_pictures_singly_as_first_frames():
    prior = wan.video_prior(tiny.wan())
    singly = SingleFrames(prior, frames_per_call=2)
    assert isinstance(singly, Prior)
    x_t, cond = randn(2, 16, 3, 4, 4), randn(2, 9, 16, seed=1)
    got = singly.eps(x_t, T, cond)
    for f in range(3):
        want = prior.eps(x_t[:, :, f : f + 1], T, cond)
        torch.testing.assert_close(got[:, :, f : f + 1], want, atol=1e-5, rtol=1e-4)


def test_a_text_encoder_says_what_its_pipeline_gives_the_network(monkeypatch):
    texts = ["a red ball", ""]
    for module, pipe in ((wan, tiny.wan()), (cogvideox, tiny.cogvideox())):
        got = module.embed(pipe, texts)
        assert got.shape == (2, module.TOKENS, 16)
        tokens = pipe.tokenizer(texts, padding="max_length", max_length=module.TOKENS)
        ids, mask = (torch.tensor(tokens[k]) for k in ("input_ids", "attention_mask"))
        with torch.no_grad():
            if module is wan:
                want = pipe.text_encoder(ids, mask)[0] * mask[..., None]
            else:
                want = pipe.text_encoder(ids)[0]
        torch.testing.assert_close(got, want)
        with pytest.raises(ValueError, match=f"reads {module.TOKENS}; shorten"):
            module.embed(pipe, ["a " * 600])
    said = sd.embed(tiny.modelscope(), texts)
    assert torch.equal(said, sd.embed(tiny.stable_diffusion(), texts))


def test_shapes_that_are_not_text_to_video_are_refused():
    two = WanPipeline(**{**tiny.wan().components, "transformer_2": tiny.wan().transformer})
    with pytest.raises(ValueError, match=r"two transformers.*single transformer"):
        wan.video_prior(two)
    from_picture = WanPipeline(
        **{**tiny.wan().components, "transformer": tiny.wan_transformer(16, out_channels=8)}
    )
    with pytest.raises(ValueError, match=r"takes 16 channels and gives 8.*text-to-video"):
        wan.video_prior(from_picture)


def test_bf16_networks_give_fp32_answers_and_keep_what_must_stay_fp32(tmp_path):
    folder = tiny.save(tiny.wan(), tmp_path / "wan")
    pipe = wan.load(folder, torch.bfloat16)
    assert pipe.text_encoder is None and pipe.vae.dtype == torch.float32
    prior = wan.video_prior(pipe, dtype=torch.bfloat16)
    network = prior.network
    assert network.dtype == torch.bfloat16
    assert network.condition_embedder.time_embedder.linear_1.weight.dtype == torch.float32
    x_t, cond = randn(2, 16, 3, 6, 4), randn(2, 9, 16, seed=1)
    full = wan.video_prior(tiny.wan()).eps(x_t, T, cond)
    half = prior.eps(x_t, T, cond)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.1 * full.abs().max()
    texts = wan.load_text(folder, torch.float32)
    assert texts.transformer is None and texts.vae is None
    assert torch.equal(wan.embed(texts, ["a cat"]), wan.embed(tiny.wan(), ["a cat"]))


# Attention fusion on Wan: one self-attention over all places and frames.


def pair(seed=0):
    return randn(2, 16, 3, 6, 4, seed=seed), randn(2, 9, 16, seed=1)


def test_fusion_works_on_wans_self_attention_only():
    prior = wan.video_prior(tiny.wan())
    network, (x_t, cond) = prior.network, pair()
    before, t = dict(network.attn_processors), torch.tensor([400, 400])
    plain = prior.eps(x_t, t, cond)
    with fused(network, 0.3):
        changed = {n for n, p in network.attn_processors.items() if p is not before[n]}
        got = prior.eps(x_t, t, cond)
    assert changed == {f"blocks.{k}.attn1.processor" for k in range(2)}
    assert network.attn_processors == before
    torch.testing.assert_close(got[0], plain[0], atol=1e-5, rtol=1e-5)
    assert (got[1] - plain[1]).abs().max() > 1e-4
    same, said = x_t[:1].repeat(2, 1, 1, 1, 1), cond[:1].repeat(2, 1, 1)
    with fused(network, 0.3):
        equal = prior.eps(same, t, said)
    torch.testing.assert_close(equal, prior.eps(same, t, said), atol=1e-5, rtol=1e-5)


def test_fusions_formula_on_a_layer_of_wan_with_its_norms_and_rotations():
    network = tiny.wan().transformer
    attn, x_t = network.blocks[0].attn1, randn(4, 16, 2, 4, 4)
    cos, sin = network.rope(x_t)
    x = randn(4, 8, 24, seed=2)
    ref, edit = x[:2], x[2:]

    def turned(q):  # pairs of numbers are rotated by their place
        a, b = q[..., 0::2], q[..., 1::2]
        c, s = cos[..., 0::2], sin[..., 1::2]
        return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)

    def heads(v):
        return v.unflatten(2, (attn.heads, -1))

    def attend(queries, source):
        q = turned(heads(attn.norm_q(attn.to_q(queries)))).transpose(1, 2)
        k = turned(heads(attn.norm_k(attn.to_k(source)))).transpose(1, 2)
        v = heads(attn.to_v(source)).transpose(1, 2)
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2)

    want = attn.to_out[0](0.3 * attend(edit, edit) + 0.7 * attend(edit, ref))
    with torch.no_grad():
        got = FusedSelfAttention(0.3, attn.processor)(attn, x, None, None, (cos, sin))
    torch.testing.assert_close(got[2:], want, atol=1e-5, rtol=1e-5)


def test_fusion_is_refused_where_words_and_picture_share_attention():
    prior = cogvideox.video_prior(tiny.cogvideox())
    x_t, cond = randn(2, 4, 3, 4, 4), randn(2, cogvideox.TOKENS, 16, seed=1)
    with (
        pytest.raises(ValueError, match=r"share the attention.*weight 1"),
        fused(prior.network, 0.5),
    ):
        prior.eps(x_t, T, cond)
    assert prior.eps(x_t, T, cond).isfinite().all()  # and the processors are back


def test_equal_branches_are_exactly_equal_with_fusion():
    prior, cond = wan.video_prior(tiny.wan()), randn(1, 9, 16, seed=1)
    branch = Branch(randn(1, 16, 3, 6, 4), cond, torch.zeros_like(cond), 5.0)
    with fused(prior.network, 0.4):
        reference, edit = guided(prior, [branch, branch], torch.tensor([500]))
    assert torch.equal(reference, edit) and at(prior.schedule.sigma, T, 1).gt(0).all()
