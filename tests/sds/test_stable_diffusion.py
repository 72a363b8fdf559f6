"""The adapters against direct calls of the networks, and silence of ASSD when nothing is asked."""

from dataclasses import replace

import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    DDIMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    MotionAdapter,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

from sds import assd, losses, temporal
from sds.attention import fused
from sds.guidance import Branch, guided
from sds.priors import Prior
from sds.priors import stable_diffusion as sd
from sds.priors.loading import read_schedule
from sds.schedules import add_noise, eps_from_output
from tests import tiny_teachers as tiny

T = torch.tensor([745, 20])


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_image_prior_is_the_network_on_every_frame(image_pipe):
    prior = sd.image_prior(image_pipe, frames_per_call=3)
    assert isinstance(prior, Prior) and prior.schedule.prediction == "v_prediction"
    x_t, cond = randn(2, 4, 5, 8, 8), randn(2, 8, 16, seed=1)
    got = prior.eps(x_t, T, cond)
    for n in range(2):
        for f in range(5):
            frame, t = x_t[n : n + 1, :, f], T[n : n + 1]
            with torch.no_grad():
                out = image_pipe.unet(frame, t, cond[n : n + 1]).sample
            want = eps_from_output(prior.schedule, out, frame, t)
            torch.testing.assert_close(got[n : n + 1, :, f], want, atol=1e-5, rtol=1e-4)


def test_video_prior_is_the_motion_network(video_pipe):
    prior = sd.video_prior(video_pipe)
    assert isinstance(prior, Prior)
    x_t, cond = randn(2, 4, 5, 8, 8), randn(2, 8, 16, seed=1)
    got = prior.eps(x_t, T, cond)
    for n in range(2):
        row, t = x_t[n : n + 1], T[n : n + 1]
        with torch.no_grad():
            out = video_pipe.unet(row, t, cond[n : n + 1].repeat(5, 1, 1)).sample
        want = eps_from_output(prior.schedule, out, row, t)
        torch.testing.assert_close(got[n : n + 1], want, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"9 frames .* 8 .*temporal\.windows"):
        prior.eps(randn(1, 4, 9, 8, 8), T[:1], cond[:1])


def test_bf16_networks_give_fp32_answers_and_exact_timesteps(parts, motion_adapter):
    unet = UNet2DConditionModel.from_config(parts["unet"].config)
    unet.load_state_dict(parts["unet"].state_dict())
    pipe = AnimateDiffPipeline(**(parts | {"unet": unet}), motion_adapter=motion_adapter)
    x_t, cond = randn(1, 4, 3, 8, 8), randn(1, 8, 16, seed=1)
    full = sd.video_prior(pipe).eps(x_t, T[:1], cond)
    seen = []
    prior = sd.video_prior(pipe, dtype=torch.bfloat16)
    hook = prior.network.time_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    half = prior.eps(x_t, T[:1], cond)
    hook.remove()
    assert prior.network.dtype == torch.bfloat16 and half.dtype == torch.float32
    assert seen[0].dtype == torch.long and seen[0].tolist() == [745]
    assert 0 < (half - full).abs().max() < 0.1 * full.abs().max()
    assert not prior.eps(x_t, T[:1], cond.requires_grad_()).requires_grad


def test_a_flow_scheduler_is_read_as_a_flow(image_pipe):
    class Pipe:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)

    schedule = read_schedule(Pipe())
    assert schedule.prediction == "flow_prediction" and len(schedule) == 1000
    assert schedule.sigma[500] == pytest.approx(0.75)
    bar = image_pipe.scheduler.alphas_cumprod
    torch.testing.assert_close(read_schedule(image_pipe).alpha.square(), bar)


def test_a_scheduler_that_keeps_no_noise_levels_is_refused():
    class Pipe:
        scheduler = EDMEulerScheduler()

    with pytest.raises(ValueError, match=r"EDMEulerScheduler keeps no alphas_cumprod.*DDIM"):
        read_schedule(Pipe())


def test_inpainting_networks_are_refused(image_pipe):
    class Pipe:
        scheduler = image_pipe.scheduler
        unet = UNet2DConditionModel(
            in_channels=9,
            block_out_channels=(8,),
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
            norm_num_groups=4,
        )

    with pytest.raises(ValueError, match="not an inpainting one"):
        sd.image_prior(Pipe())


def test_embed_agrees_with_the_text_encoder(image_pipe, video_pipe):
    got = sd.embed(image_pipe, ["a cat", ""])
    assert got.shape == (2, 77, 16) and got.dtype == torch.float32
    ids = image_pipe.tokenizer(["a cat", ""], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(got, image_pipe.text_encoder(ids)[0])
    assert torch.equal(got, sd.embed(video_pipe, ["a cat", ""]))
    assert not torch.equal(got[0], got[1])
    with pytest.raises(ValueError, match="shorten"):
        sd.embed(image_pipe, ["a", "a cat on a mat" * 8])


def test_codec_scales_shifts_and_chunks(image_pipe):
    frames = torch.rand(5, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    codec = sd.latent_codec(image_pipe, chunk=2)
    latents = codec.encode(frames)
    assert codec.factor == 2 and latents.shape == (1, 4, 5, 4, 6)
    vae = image_pipe.vae
    with torch.no_grad():
        mean = vae.encode(frames[3:4] * 2 - 1).latent_dist.mean
        want = vae.decode(mean).sample / 2 + 0.5
    torch.testing.assert_close(latents[0, :, 3], (mean[0] - 0.1) * 0.5, atol=1e-5, rtol=1e-4)
    decoded = codec.decode(latents)
    assert decoded.shape == frames.shape and decoded.min() >= 0 and decoded.max() <= 1
    torch.testing.assert_close(decoded[3:4], want.clamp(0, 1), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="multiple of 2"):
        codec.encode(frames[..., :7])


def test_in_tiles_frames_go_through_the_autoencoder_one_by_one():
    codec, sizes = sd.latent_codec(tiny.stable_diffusion.__wrapped__(), chunk=4), []
    frames = torch.rand(3, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    for part in (codec.vae.encoder, codec.vae.decoder):
        part.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    whole = codec.decode(codec.encode(frames))
    codec.vae.enable_tiling()
    singly = codec.decode(codec.encode(frames))
    assert sizes == [3, 3, *[1] * 6]
    torch.testing.assert_close(singly, whole, atol=1e-5, rtol=1e-4)


def test_saved_pipelines_load_again_in_two_parts(image_pipe, video_pipe, motion_adapter, tmp_path):
    x_t, cond = randn(1, 4, 3, 8, 8), randn(1, 8, 16, seed=1)
    image, motion, video = (str(tmp_path / name) for name in ("image", "motion", "video"))
    image_pipe.save_pretrained(image)
    motion_adapter.save_pretrained(motion)
    video_pipe.save_pretrained(video)
    loaded = sd.load(image)
    assert loaded.text_encoder is None and sd.load_text(image).unet is None
    want = sd.image_prior(image_pipe).eps(x_t, T[:1], cond)
    assert torch.equal(sd.image_prior(loaded).eps(x_t, T[:1], cond), want)
    said = sd.embed(sd.load_text(image), ["a cat"])
    assert torch.equal(said, sd.embed(image_pipe, ["a cat"]))
    want = sd.video_prior(video_pipe).eps(x_t, T[:1], cond)
    for pipe in (sd.with_motion(loaded, motion), sd.load_motion(video)):
        assert torch.equal(sd.video_prior(pipe).eps(x_t, T[:1], cond), want)


def test_what_a_motion_unet_has_of_its_image_model_is_held_once(
    image_pipe, motion_adapter, tmp_path
):
    motion_adapter.save_pretrained(tmp_path)
    motion = sd.with_motion(image_pipe, str(tmp_path)).unet
    shared = {p.data_ptr() for p in image_pipe.unet.parameters()}
    assert len(shared) == len(list(image_pipe.unet.parameters()))
    assert shared < {p.data_ptr() for p in motion.parameters()}
    alone = {n: p.clone() for n, p in motion.named_parameters()}
    motion.half()
    assert all(p.dtype == torch.float32 for p in image_pipe.unet.parameters())
    assert all(p.equal(alone[name]) for name, p in image_pipe.unet.named_parameters())


def test_a_motion_adapter_can_bring_its_own_noise_schedule(image_pipe, motion_adapter, tmp_path):
    motion_adapter.save_pretrained(tmp_path)
    own = read_schedule(sd.with_motion(image_pipe, str(tmp_path), betas="linear"))
    want = DDIMScheduler(**tiny.BETAS | {"beta_schedule": "linear"}).alphas_cumprod
    torch.testing.assert_close(own.alpha.square(), want)
    assert own.prediction == "v_prediction"
    assert not torch.allclose(own.alpha, read_schedule(image_pipe).alpha)


def test_a_motion_adapter_for_other_image_models_is_refused(image_pipe, tmp_path):
    shape = dict(motion_layers_per_block=1, motion_num_attention_heads=2, motion_norm_num_groups=4)
    MotionAdapter(block_out_channels=(8, 8), **shape).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"channels \(8, 8\) and the image model \(8, 16\)"):
        sd.with_motion(image_pipe, str(tmp_path))


def test_the_schedules_of_stable_diffusion_1_5_and_of_animatediff(parts, motion_adapter, tmp_path):
    """Its scheduler is a PNDM one; AnimateDiff's own betas are linear between the same ends."""
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    )
    pipe = StableDiffusionPipeline(
        **parts | {"scheduler": scheduler},
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    motion_adapter.save_pretrained(tmp_path)
    ends = torch.tensor([0.00085, 0.012], dtype=torch.float64)
    evenly = torch.linspace(0, 1, 1000, dtype=torch.float64)
    scaled = (ends[0].sqrt() + (ends[1].sqrt() - ends[0].sqrt()) * evenly).square()
    linear = ends[0] + (ends[1] - ends[0]) * evenly
    for made, betas in (
        (pipe, scaled),
        (sd.with_motion(pipe, str(tmp_path), betas="linear"), linear),
    ):
        schedule = read_schedule(made)
        bar = (1 - betas).cumprod(0).float()
        torch.testing.assert_close(schedule.alpha.square(), bar, atol=1e-6, rtol=1e-3)
        assert schedule.prediction == "epsilon"


def test_each_teacher_s_part_is_in_units_of_x0_by_its_own_schedule(
    image_pipe, motion_adapter, tmp_path
):
    motion_adapter.save_pretrained(tmp_path)
    video = sd.video_prior(sd.with_motion(image_pipe, str(tmp_path), betas="linear"))
    image = sd.image_prior(image_pipe)
    cond = sd.embed(image_pipe, ["a cat", "a dog", ""])
    prompts, x, t = assd.Prompts(*cond.split(1)), randn(1, 4, 3, 8, 8), torch.tensor([600])

    def said(joint):
        generator = torch.Generator().manual_seed(9)
        asked = assd.Teachers(video, image, 8), prompts, replace(assd.DDS, joint=joint), x, x
        return assd.assd_score(*asked, 600, generator).said

    drawn = torch.Generator().manual_seed(9)
    # The video teacher's, then the image teacher's.
    _, noise = (torch.randn(x.shape, generator=drawn) for _ in range(2))
    x_t = add_noise(image.schedule, x, noise, t)
    change = image.eps(x_t, t, prompts.target) - image.eps(x_t, t, prompts.source)
    ratio = [(p.schedule.sigma / p.schedule.alpha)[600] for p in (image, video)]
    assert ratio[1] > 1.3 * ratio[0]
    torch.testing.assert_close(said(0.5) - said(0.0), 0.5 * ratio[0] * change, atol=1e-5, rtol=1e-4)


def assd_gradient(image, video, x, x_src, cond_edit, cond_ref, uncond, fusion):
    """One whole step with joint guidance, as a pipeline takes it."""
    t, eps = torch.tensor([600]), randn(*x.shape, seed=9)
    parts = []
    for prior in (video, image):
        reference = Branch(add_noise(prior.schedule, x_src, eps, t), cond_ref, uncond, 7.5)
        edit = Branch(add_noise(prior.schedule, x, eps, t), cond_edit, uncond, 7.5)
        with fused(prior.network, fusion):
            parts.append(guided(prior, [reference, edit], t))
    (ref, edit), (image_ref, image_edit) = parts
    mask = temporal.adaptive_mask(edit - ref, k=0)
    smooth = temporal.smooth_reference(ref, eps)
    return losses.assd(edit, ref, smooth, mask) + 0.5 * losses.dds(image_edit, image_ref)


@pytest.mark.parametrize("fusion", [1.0, 0.6])
def test_assd_is_exactly_silent_when_nothing_is_asked(image_pipe, video_pipe, fusion):
    image, video = sd.image_prior(image_pipe), sd.video_prior(video_pipe)
    cat, dog, empty = sd.embed(image_pipe, ["a cat", "a dog", ""]).split(1)
    x = randn(1, 4, 5, 8, 8)
    assert assd_gradient(image, video, x, x.clone(), cat, cat, empty, fusion).eq(0).all()
    asked = assd_gradient(image, video, x, x, dog, cat, empty, fusion)
    assert asked.abs().max() > 1e-3
