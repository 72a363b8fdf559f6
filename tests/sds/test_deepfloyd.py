"""The cascade's adapters against direct calls of the networks and against their own pipelines."""

from dataclasses import replace

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    IFPipeline,
    IFSuperResolutionPipeline,
    UNet2DConditionModel,
)

from sds.csd import PAPER, Cascade, Prompts, distill_cascade
from sds.priors import Prior
from sds.priors import deepfloyd as df
from sds.schedules import eps_from_output
from sds.super_resolution import show
from tests import tiny_teachers as tiny

T, S = torch.tensor([745, 20, 981]), torch.tensor([5, 980, 250])


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tiny_unet(size, channels_in, channels_out=6, class_embed_type=None):
    torch.manual_seed(channels_in + channels_out)
    return tiny.lively(
        UNet2DConditionModel(
            sample_size=size,
            in_channels=channels_in,
            out_channels=channels_out,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=tiny.TEXT_WIDTH,
            class_embed_type=class_embed_type,
        )
    )


def scheduler(prediction="epsilon", variance="learned_range"):
    return DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", variance_type=variance, prediction_type=prediction
    )


def stage_1(unet=None, **kind):
    return IFPipeline(
        **tiny.t5_parts(),
        unet=tiny_unet(8, 3) if unet is None else unet,
        scheduler=scheduler(**kind),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def stage_2(unet=None, **kind):
    unet = tiny_unet(16, 6, class_embed_type="timestep") if unet is None else unet
    return IFSuperResolutionPipeline(
        None,
        None,
        unet,
        scheduler(**kind),
        DDPMScheduler(beta_schedule="linear"),
        None,
        None,
        None,
        requires_safety_checker=False,
    )


COND = randn(3, 77, tiny.TEXT_WIDTH, seed=1)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("channels_out", [3, 6])
def test_stage_1_is_the_network_without_its_variance(prediction, channels_out):
    pipe = stage_1(tiny_unet(8, 3, channels_out), prediction=prediction)
    prior = df.stage_1_prior(pipe, rows_per_call=2)
    assert isinstance(prior, Prior) and prior.size == 8
    assert prior.schedule.prediction == prediction
    torch.testing.assert_close(prior.schedule.alpha.square(), pipe.scheduler.alphas_cumprod)
    x_t = randn(3, 3, 8, 8)
    got = prior.eps(x_t, T, COND)
    for n in range(3):
        row = slice(n, n + 1)
        with torch.no_grad():
            out = pipe.unet(x_t[row], T[row], COND[row]).sample
        want = eps_from_output(prior.schedule, out[:, :3], x_t[row], T[row])
        torch.testing.assert_close(got[row], want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("channels_out", [3, 6])
def test_stage_2_sees_the_low_image_and_its_level(channels_out):
    pipe = stage_2(tiny_unet(16, 6, channels_out, "timestep"), prediction="v_prediction")
    prior = df.stage_2_prior(pipe, rows_per_call=2)
    assert prior.size == 16
    bar = pipe.image_noising_scheduler.alphas_cumprod
    torch.testing.assert_close(prior.low_schedule.alpha.square(), bar)
    assert not torch.allclose(prior.schedule.alpha, prior.low_schedule.alpha)
    x_t, low_s = randn(3, 3, 16, 16), randn(3, 3, 16, 16, seed=2)
    got = prior.eps(x_t, T, COND, low_s, S)
    for n in range(3):
        row = slice(n, n + 1)
        seen = torch.cat([x_t[row], low_s[row]], dim=1)
        with torch.no_grad():
            out = pipe.unet(seen, T[row], COND[row], class_labels=S[row]).sample
        want = eps_from_output(prior.schedule, out[:, :3], x_t[row], T[row])
        torch.testing.assert_close(got[row], want, atol=1e-5, rtol=1e-4)
    assert (prior.eps(x_t, T, COND, low_s, S.flip(0)) - got).abs().max() > 1e-3
    assert (prior.eps(x_t, T, COND, low_s.flip(0), S) - got).abs().max() > 1e-3


def test_the_class_embedding_of_stage_1_is_off():
    unet = tiny_unet(8, 3, class_embed_type="timestep")
    x_t = randn(3, 3, 8, 8)
    embedding = unet.class_embedding
    with pytest.raises(ValueError, match="class_labels"):
        unet(x_t, T, COND)
    got = df.stage_1_prior(stage_1(unet)).eps(x_t, T, COND)
    # Off is what an embedding of zeros would give.
    unet.class_embedding = embedding
    torch.nn.init.zeros_(embedding.linear_2.weight)
    torch.nn.init.zeros_(embedding.linear_2.bias)
    with torch.no_grad():
        want = unet(x_t, T, COND, class_labels=S).sample[:, :3]
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rows_per_call", [1, 2, 100])
def test_chunks_change_nothing(rows_per_call):
    x_t, low_s = randn(3, 3, 16, 16), randn(3, 3, 16, 16, seed=2)
    one, two = stage_1(), stage_2()
    torch.testing.assert_close(
        df.stage_1_prior(one, rows_per_call=rows_per_call).eps(x_t, T, COND),
        df.stage_1_prior(one, rows_per_call=3).eps(x_t, T, COND),
    )
    torch.testing.assert_close(
        df.stage_2_prior(two, rows_per_call=rows_per_call).eps(x_t, T, COND, low_s, S),
        df.stage_2_prior(two, rows_per_call=3).eps(x_t, T, COND, low_s, S),
    )


@pytest.mark.parametrize("rows, limit, sizes", [(24, 16, [12, 12]), (7, 3, [3, 2, 2]), (4, 4, [4])])
def test_rows_are_split_evenly_and_answered_alike(rows, limit, sizes):
    x_t, low_s, cond = randn(rows, 3, 16, 16), randn(rows, 3, 16, 16, seed=2), COND[:1]
    t, cond = torch.full((rows,), 300), cond.expand(rows, -1, -1)
    priors = (
        df.stage_1_prior(stage_1(), rows_per_call=limit),
        df.stage_2_prior(stage_2(), rows_per_call=limit),
    )
    for prior, more in zip(priors, [(), (low_s, t)], strict=True):
        seen = []
        hook = prior.unet.register_forward_pre_hook(lambda _, args, s=seen: s.append(len(args[0])))
        got = prior.eps(x_t, t, cond, *more)
        hook.remove()
        assert seen == sizes
        want = replace(prior, rows_per_call=rows).eps(x_t, t, cond, *more)
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_bf16_networks_give_fp32_answers_and_exact_timesteps():
    x_t, low_s = randn(3, 3, 16, 16), randn(3, 3, 16, 16, seed=2)
    full = df.stage_2_prior(stage_2()).eps(x_t, T, COND, low_s, S)
    prior = df.stage_2_prior(stage_2(), dtype=torch.bfloat16)
    seen = []
    hook = prior.unet.time_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    half = prior.eps(x_t, T, COND.clone().requires_grad_(), low_s, S)
    hook.remove()
    assert prior.unet.dtype == torch.bfloat16 and half.dtype == torch.float32
    assert seen[0].tolist() == T.tolist() and seen[1].tolist() == S.tolist()
    assert 0 < (half - full).abs().max() < 0.1 * full.abs().max()
    assert not half.requires_grad


def test_the_wrong_stage_is_refused():
    with pytest.raises(ValueError, match=r"takes 6 channels.*stage I takes 3"):
        df.stage_1_prior(stage_1(tiny_unet(8, 6)))
    with pytest.raises(ValueError, match=r"takes 3 channels.*stage II takes 6"):
        df.stage_2_prior(stage_2(tiny_unet(8, 3)))
    with pytest.raises(ValueError, match=r'class_embed_type="timestep"'):
        df.stage_2_prior(stage_2(tiny_unet(8, 6)))


def test_embed_agrees_with_the_text_encoder():
    pipe = stage_1()
    texts = ["a gray mushroom with a yellow cap", ""]
    got = df.embed(pipe, texts)
    assert got.shape == (2, 77, tiny.TEXT_WIDTH) and got.dtype == torch.float32
    tokens = pipe.tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt")
    with torch.no_grad():
        want = pipe.text_encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
    assert torch.equal(got, want)
    assert tokens.input_ids[0, :8].tolist() == [3, 12, 8, 9, 3, 10, 11, 1]
    assert len(df.embed(pipe, [" ".join(["a"] * 76)])) == 1
    with pytest.raises(ValueError, match="78 tokens and the text encoder reads 77; shorten"):
        df.embed(pipe, [" ".join(["a"] * 77)])


def test_saved_folders_load_again_and_distil(tmp_path):
    one, two = stage_1(), stage_2()
    one.save_pretrained(tmp_path / "stage_1")
    two.save_pretrained(tmp_path / "stage_2")
    pipe = df.load_text(str(tmp_path / "stage_1"))
    prior_1 = df.stage_1_prior(df.load_stage_1(str(tmp_path / "stage_1")))
    prior_2 = df.stage_2_prior(df.load_stage_2(str(tmp_path / "stage_2")))
    texts = ["a gray mushroom with a yellow cap", ""]
    said = df.embed(pipe, texts)
    torch.testing.assert_close(said, df.embed(one, texts))
    x_t, low_s = randn(3, 3, 16, 16), randn(3, 3, 16, 16, seed=2)
    want = df.stage_2_prior(two).eps(x_t, T, COND, low_s, S)
    assert torch.equal(prior_2.eps(x_t, T, COND, low_s, S), want)
    cascade = Cascade(prior_1, prior_2, prior_1.size, prior_2.size)
    x = torch.full((2, 3, 32, 32), 0.5, requires_grad=True)
    prompts = Prompts(said[:1].expand(2, -1, -1), said[1:])
    generator = torch.Generator().manual_seed(0)
    got = distill_cascade(cascade, PAPER, prompts, x, 4, 5, generator)
    got.loss.backward()
    assert x.grad.isfinite().all() and x.grad.ne(0).all()
    assert got.rms_1 > 0 and got.rms_2 > 0


def test_stage_2_is_asked_exactly_as_its_own_pipeline_asks_it():
    pipe, asked = stage_2(), []
    prior = df.stage_2_prior(pipe)
    level, low = 250, torch.rand(1, 3, 8, 8) * 2 - 1
    embedding = COND[:1]

    def keep(_, args, kwargs):
        asked.append((args[0], args[1], kwargs["class_labels"]))

    hook = pipe.unet.register_forward_pre_hook(keep, with_kwargs=True)
    pipe.set_progress_bar_config(disable=True)
    pipe(
        image=low,
        prompt_embeds=embedding,
        negative_prompt_embeds=torch.zeros_like(embedding),
        num_inference_steps=2,
        noise_level=level,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
    )
    hook.remove()
    g = torch.Generator().manual_seed(3)
    torch.randn(1, 3, 16, 16, generator=g)  # what the pipeline starts from
    shown = show(prior, low, 16, torch.tensor([level]), torch.randn(1, 3, 16, 16, generator=g))
    seen, _, labels = asked[0]
    torch.testing.assert_close(seen[:1, 3:], shown.low_s)
    assert torch.equal(labels[:1], shown.s)
