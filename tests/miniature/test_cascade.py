"""The built-in cascade: what it learns from, how it is saved, and that stock pipelines load it."""

import copy
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline
from safetensors.torch import load_file
from transformers import T5Tokenizer

from miniature import cascade_training as training
from miniature import train as command
from miniature.cascade import (
    STAGE_1,
    STAGE_2,
    TOKENS,
    WIDTH,
    Stage,
    embed,
    scheduler,
    stage_1_pipeline,
    stage_2_pipeline,
    text_encoder,
    tokenizer,
    tokens,
    unet,
)
from miniature.cascade_training import Pictures, Plan
from miniature.cuts import random_squares
from miniature.denoising import Captions
from miniature.shipping import ship
from miniature.styles import words
from miniature.training import Recipe, checkpoint
from pipelines.errors import InputError
from pipelines.teachers import catalog
from pipelines.teachers.loading import load_mesh_teacher
from pipelines.teachers.prompts import mesh_prompts
from pipelines.teachers.teacher import MeshTeacher, check_prompt
from sds.csd import Method, distill_cascade
from sds.schedules import ddpm, target

WORDS = ["3d", "a", "cap", "gray", "mushroom", "of", "render", "with", "yellow"]
CAPTION = "a 3d render of a gray mushroom with a yellow cap"
SMALL = Plan(Stage(8, (8, 16), groups=4, embedding=32), Recipe(4, 2, 1e-2, warmup=1, save_every=2))
LARGE = Plan(Stage(16, (8, 16), groups=4, embedding=32), Recipe(2, 2, 1e-2, warmup=1, save_every=2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write_pictures(work):
    work.mkdir()
    rng = np.random.default_rng(0)
    np.save(work / "views.npy", rng.integers(0, 256, (12, 3, 16, 16), dtype=np.uint8))
    (work / "views.txt").write_text(f"{CAPTION}\n" * 12)
    return work


def train_small(work, assets):
    return training.train_stage_1(work, assets / "stage_1", WORDS, 0, "cpu", SMALL)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of shipped stages, and the text encoder's weights before stage II was trained."""
    root = tmp_path_factory.mktemp("cascade")
    work = write_pictures(root / "work")
    pipe = train_small(work, root / "assets")
    before = copy.deepcopy(pipe.text_encoder.state_dict())
    training.train_stage_2(work, root / "assets" / "stage_2", pipe, 0, "cpu", LARGE)
    torch.testing.assert_close(pipe.text_encoder.state_dict(), before, rtol=0, atol=0)
    return root / "assets"


# The words.


def test_every_word_of_the_mesh_world_is_one_token(tmp_path):
    tokenizer(words()).save_pretrained(tmp_path)
    t5 = T5Tokenizer.from_pretrained(tmp_path)
    for word in words():
        ids = t5(word).input_ids
        assert len(ids) == 2 and ids[-1] == t5.eos_token_id and ids[0] > t5.unk_token_id
        assert t5.decode(ids, skip_special_tokens=True) == word
    assert t5("").input_ids == [t5.eos_token_id]


def test_a_word_nobody_taught_is_unknown():
    t5 = tokenizer(WORDS)
    assert t5.unk_token_id in t5("cow").input_ids
    assert t5.unk_token_id in t5("capful").input_ids
    assert t5.unk_token_id not in t5(CAPTION).input_ids


def test_captions_are_embedded_as_the_stock_pipeline_embeds_prompts():
    t5, stage = tokenizer(WORDS), SMALL.stage
    pipe = stage_1_pipeline(t5, text_encoder(len(t5)).eval(), unet(stage, low_resolution=False))
    with torch.no_grad():
        ours = embed(pipe.text_encoder, tokens(t5, [CAPTION, ""]))
        with torch.autocast("cpu", torch.bfloat16):
            theirs, empty = pipe.encode_prompt(CAPTION)
    assert ours.shape == (2, TOKENS, WIDTH)
    torch.testing.assert_close(ours.float(), torch.cat([theirs, empty]).float())


# The pictures.


def test_a_batch_keeps_pictures_and_captions_together():
    levels = torch.tensor([0, 51, 102, 153, 255])
    store = levels.byte()[:, None, None, None].expand(5, 3, 4, 4)
    captions = Captions(levels[:, None, None].expand(5, 1, 7), torch.full((7,), -1))
    x, ids = Pictures(store, captions).batch(3000, generator())
    assert x.shape == (3000, 3, 4, 4) and x.min() == -1 and x.max() == 1
    assert ids.shape == (3000, 7)
    spoken = ids[:, 0] >= 0
    torch.testing.assert_close(x[spoken, 0, 0, 0], ids[spoken, 0] / 127.5 - 1)


def test_crops_are_whole_squares_at_random_places():
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    cut = random_squares(torch.stack([rows, columns]).expand(200, 2, 9, 9), 4, generator())
    corner = cut[:, :, :1, :1]
    expected = torch.stack([rows[:4, :4], columns[:4, :4]])
    torch.testing.assert_close(cut - corner, expected.expand(200, 2, 4, 4), rtol=0, atol=0)
    assert {tuple(c) for c in corner.flatten(1).tolist()} == {
        (i, j) for i in range(6) for j in range(6)
    }


def test_stage_2_is_trained_on_what_its_pipeline_shows_it():
    larger = stage_2_pipeline(unet(Stage(16, (8, 16), groups=4, embedding=32), low_resolution=True))
    seen = []
    larger.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(1, 3, 16, 16, generator=generator()) * 2 - 1
    small = x.unflatten(3, (4, 4)).unflatten(2, (4, 4)).mean((3, 5))
    said = torch.zeros(1, TOKENS, WIDTH)
    asked = {"prompt_embeds": said, "negative_prompt_embeds": said, "output_type": "pt"}
    # The lowest level has noise of std 0.006.
    larger(image=small, num_inference_steps=1, noise_level=0, generator=generator(), **asked)
    up = training.upsampled(x, 4)
    torch.testing.assert_close(seen[0][:1, 3:], up, rtol=0, atol=0.04)
    torch.testing.assert_close(up[..., [0, 0, -1, -1], [0, -1, 0, -1]].flatten(),
                               small[..., [0, 0, -1, -1], [0, -1, 0, -1]].flatten())  # fmt: skip


# The loss.


def test_the_loss_is_that_of_v_up_to_the_largest_weight():
    schedule, x = ddpm(scheduler().alphas_cumprod), torch.rand(64, 3, 4, 4, generator=generator())
    asked = []

    def network(x_t, t):
        asked.append((x_t, t))
        return torch.cat([0.5 * x_t, torch.full_like(x_t, 1e6)], dim=1)

    loss = training.eps_loss(schedule, network, x, generator(1))
    ((x_t, t),) = asked
    alpha, sigma = schedule.alpha[t], schedule.sigma[t]
    wide = (-1, 1, 1, 1)
    eps = (x_t - alpha.view(wide) * x) / sigma.view(wide)
    v = target(ddpm(scheduler().alphas_cumprod, "v_prediction"), x, eps, t)
    v_hat = (0.5 * x_t - sigma.view(wide) * x_t) / alpha.view(wide)
    of_v = (v_hat - v).square().mean((1, 2, 3))
    # Above t = 898 the error of v, eps's over alpha^2, is cut down to forty times that of eps.
    expected = torch.where(t >= 899, of_v * alpha.square() * 40, of_v)
    assert (t >= 899).any() and (t < 899).any()
    torch.testing.assert_close(loss, expected.mean(), rtol=1e-4, atol=0)


def test_who_knows_the_noise_has_no_loss():
    schedule, x = ddpm(scheduler().alphas_cumprod), torch.zeros(8, 3, 4, 4)
    loss = training.eps_loss(
        schedule, lambda x_t, t: x_t / schedule.sigma[t].view(-1, 1, 1, 1), x, generator()
    )
    assert float(loss) < 1e-10


def test_the_schedule_is_the_cosine_of_deepfloyd():
    # Nichol and Dhariwal, eq. 17, s = 0.008; beta is cut at 0.999 in the last steps only.
    u = (torch.arange(990) + 1) / 1000
    bar = (
        torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    )
    torch.testing.assert_close(scheduler().alphas_cumprod[:990], bar, rtol=1e-3, atol=1e-6)


# What ships.


def test_stock_pipelines_load_and_sample(trained):
    pipe = IFPipeline.from_pretrained(trained / "stage_1", dtype=torch.float32)
    larger = IFSuperResolutionPipeline.from_pretrained(trained / "stage_2", dtype=torch.float32)
    said, empty = pipe.encode_prompt(CAPTION)
    asked = {"prompt_embeds": said, "negative_prompt_embeds": empty, "output_type": "pt"}
    small = pipe(num_inference_steps=2, generator=generator(), **asked).images
    large = larger(image=small, num_inference_steps=2, generator=generator(), **asked).images
    assert small.shape == (1, 3, 8, 8) and large.shape == (1, 3, 16, 16)
    assert small.isfinite().all() and large.isfinite().all()
    assert small.std() > 0.1 and large.std() > 0.1


def test_shipped_weights_are_half_precision_and_the_words_lie_beside_them(trained):
    files = sorted(trained.rglob("*.safetensors"))
    assert {path.parent.name for path in files} == {"unet", "text_encoder"}
    for path in files:
        assert {weight.dtype for weight in load_file(path).values()} == {torch.float16}
    assert (trained / "words.txt").read_text().split() == WORDS


def test_training_leaves_the_variance_channels_at_zero(trained):
    for name in ("stage_1", "stage_2"):
        weights = load_file(next((trained / name / "unet").glob("*.safetensors")))
        assert not weights["conv_out.weight"][3:].any() and not weights["conv_out.bias"][3:].any()
        assert weights["conv_out.weight"][:3].any()


def test_full_sizes_ship_in_files_under_ten_megabytes(tmp_path):
    t5 = tokenizer(words())
    parts = text_encoder(len(t5)), unet(STAGE_1, low_resolution=False)
    stage_1_pipeline(t5, *parts).save_pretrained(tmp_path / "work" / "stage_1")
    larger = unet(STAGE_2, low_resolution=True)
    stage_2_pipeline(larger).save_pretrained(tmp_path / "work" / "stage_2")
    for name in ("stage_1", "stage_2"):
        ship(tmp_path / "work" / name, tmp_path / "assets" / name)
    sizes = [path.stat().st_size for path in (tmp_path / "assets").rglob("*.safetensors")]
    weights = sum(p.numel() for part in (*parts, larger) for p in part.parameters())
    assert max(sizes) < 10e6
    assert sum(sizes) == pytest.approx(2 * weights, rel=0.02)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    straight = train_small(write_pictures(tmp_path / "a"), tmp_path / "a" / "assets")
    work = write_pictures(tmp_path / "b")

    def interrupt(pipe, captions):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "draw", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_small(work, work / "assets")
    assert torch.load(work / "stage_1.ckpt", weights_only=True)["step"] == 2
    resumed = train_small(work, work / "assets")
    for part in ("unet", "text_encoder"):
        ours, theirs = getattr(resumed, part).state_dict(), getattr(straight, part).state_dict()
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("asked", "trained_jobs"),
    [([], ["video", "mesh"]), (["video"], ["video"]), (["mesh"], ["mesh"])],
)
def test_the_command_trains_what_is_asked(monkeypatch, asked, trained_jobs):
    done = []
    monkeypatch.setattr(command, "train_video", lambda job: done.append("video"))
    monkeypatch.setattr(command, "train_mesh", lambda job: done.append("mesh"))
    monkeypatch.setattr(sys, "argv", ["train", *asked])
    command.main()
    assert done == trained_jobs


def test_a_refinement_is_no_training_from_noise_and_the_next_begins_anew(tmp_path, monkeypatch):
    """A finished training from noise in the work folder is not what it goes on from."""
    work = write_pictures(tmp_path / "work")
    straight = train_small(work, tmp_path / "noise")
    asked = []

    def stage(work, folder, *rest):
        known = rest[-1]
        state = checkpoint(work, folder.name, refines=known is not None)
        asked.append((state.name, state.exists(), known is not None))
        state.touch()
        return straight

    monkeypatch.setattr(command, "render_views", lambda *_: None)
    monkeypatch.setattr(command, "train_stage_1", stage)
    monkeypatch.setattr(command, "train_stage_2", stage)
    job = command.Train("mesh", work=work)
    for refines in (True, True, False):
        command.train_mesh(replace(job, refine=refines))
    one, two = ("stage_1.refined.ckpt", False, True), ("stage_2.refined.ckpt", False, True)
    plain = [("stage_1.ckpt", True, False), ("stage_2.ckpt", False, False)]
    assert asked == [one, two, one, two, *plain]


def test_a_refinement_leaves_the_autoencoder(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "video", "--refine", "--autoencoder-steps", "5"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2 and "leave --autoencoder-steps out" in capsys.readouterr().err


# The catalog.


@pytest.fixture
def loaded(trained, monkeypatch):
    teacher = MeshTeacher(
        name="tiny",
        shape="deepfloyd",
        stage_1=str(trained / "stage_1"),
        stage_2=str(trained / "stage_2"),
        licence="Apache-2.0",
        about="For tests.",
        words=tuple(WORDS),
    )
    monkeypatch.setattr(catalog, "mesh_teachers", lambda: {"tiny": teacher})
    return load_mesh_teacher("tiny")


def said(*texts):
    return mesh_prompts(catalog.mesh_teacher("tiny"), texts)


def test_a_shipped_cascade_distills_through_the_catalog(loaded):
    prompts = said(CAPTION, "a gray mushroom")
    assert prompts.rows.shape == (2, TOKENS, WIDTH) and prompts.empty.shape == (1, TOKENS, WIDTH)
    x = torch.full((2, 3, 16, 16), 0.5, requires_grad=True)
    given = distill_cascade(
        loaded.cascade, Method(lambda_2=(0.5, 0.5)), prompts, x, 0, 2, generator()
    )
    given.loss.backward()
    assert given.rms_1 > 0 and given.rms_2 > 0
    assert x.grad.isfinite().all() and x.grad.abs().amax() > 0


def test_capitals_and_punctuation_say_nothing(loaded):
    plain, loud = said("a gray mushroom"), said("A gray, Mushroom!")
    torch.testing.assert_close(loud.rows, plain.rows, rtol=0, atol=0)
    other = said("a yellow mushroom")
    assert (other.rows - plain.rows).abs().max() > 1e-3


def test_an_unknown_mesh_teacher_or_word_is_refused(loaded):
    with pytest.raises(InputError, match=r"no mesh teacher called 'other'\. Choose one of: tiny"):
        catalog.mesh_teacher("other")
    teacher = catalog.mesh_teacher("tiny")
    check_prompt(teacher, "Mushroom", "object")
    with pytest.raises(InputError, match='does not know "cow" in the object prompt'):
        check_prompt(teacher, "cow", "object")
    with pytest.raises(InputError, match="edit prompt is empty"):
        check_prompt(teacher, " ", "edit")


def test_the_built_in_teacher_has_the_sizes_and_words_it_is_trained_with():
    cascade = load_mesh_teacher("miniature").cascade
    assert (cascade.size_1, cascade.size_2) == (STAGE_1.size, STAGE_2.size)
    assert catalog.mesh_teacher("miniature").words == words()
