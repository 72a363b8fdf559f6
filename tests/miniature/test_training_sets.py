"""What the video teachers are trained on, and a training of theirs from end to end."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, StableDiffusionPipeline
from PIL import Image

from miniature import image_training, latents, motion_training
from miniature.autoencoder import CROP, crops
from miniature.cores import on_all_cores
from miniature.denoising import Captions
from miniature.image_training import CLOSE_UP, Frames
from pipelines.teachers.catalog import ASSETS, MINIATURE

_WHITE = Image.new("RGB", (8, 8), "white")


def test_a_close_up_of_a_frame_shows_the_same_place_of_its_mask():
    generator = torch.Generator().manual_seed(0)
    covered = np.zeros((6, 32, 32), np.uint8)
    for k in range(6):
        covered[k, 3 * k : 3 * k + 6, 20 - 2 * k : 26 - 2 * k] = 255
    covered = torch.from_numpy(covered)
    ids = torch.arange(6)[:, None, None].expand(6, 3, 5)
    captions = Captions(ids, torch.full((5,), -1))
    frames = Frames((covered[:, None] / 255).half().expand(6, 2, 32, 32), covered, captions)
    for close, side in ((True, CLOSE_UP), (False, 32)):
        x, mask, said = frames.batch(60, close, generator)
        assert x.shape == (60, 2, side, side) and mask.shape == (60, 1, side, side)
        assert torch.equal(x, mask.expand_as(x)) and mask.sum() == 36 * 60
        assert said.shape == (60, 5) and set(said.flatten().tolist()) <= set(range(-1, 6))
        if not close:
            rows = mask.amax(3).int().argmax(2)[:, 0]
            spoken = said[:, 0] >= 0
            assert torch.equal(rows[spoken], 3 * said[spoken, 0]), "the caption of that very frame"


def test_a_caption_is_one_of_its_samples_or_empty():
    said = torch.arange(20).view(5, 4, 1).expand(5, 4, 7)
    captions = Captions(said, torch.full((7,), -1))
    picks = torch.arange(5).repeat(1000)
    rows = captions.of(picks, torch.Generator().manual_seed(0))
    assert rows.shape == (5000, 7) and (rows == rows[:, :1]).all()
    empty = rows[:, 0] == -1
    # Binomial: 500 of 5000 are left out, give or take four standard deviations.
    assert int(empty.sum()) == pytest.approx(500, abs=85)
    assert (rows[~empty, 0] // 4 == picks[~empty]).all()
    assert len(rows[~empty, 0].unique()) == 20


def test_all_cores_give_their_results_in_order():
    assert list(on_all_cores(_square, range(100))) == [k * k for k in range(100)]


def _square(number: int) -> int:
    return number * number


def test_the_autoencoders_crops_are_squares_turned_at_most_left_to_right():
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    # Channels tell the sample, the row and the column.
    pool = torch.stack(
        [torch.stack([torch.full_like(rows, k), rows, columns]) for k in range(128, 138)]
    ).byte()
    cut = ((crops(pool, 400, torch.Generator().manual_seed(0)) + 1) * 127.5).round().long()
    assert cut.shape == (400, 3, CROP, CROP)
    places, kept, flipped = set(), 0, 0
    for picture in cut:
        still = [c for c in range(3) if (picture[c] == picture[c, 0, 0]).all()]
        (name,) = still
        number = int(picture[name, 0, 0]) - 128
        down = next(c for c in range(3) if (picture[c, 1] - picture[c, 0] == 1).all())
        (across,) = {0, 1, 2} - {name, down}
        step = picture[across].diff(dim=1)
        assert (step == step[0, 0]).all() and abs(int(step[0, 0])) == 1
        flipped += int(step[0, 0]) == -1
        in_order = (name, down, across) == (0, 1, 2)
        kept += in_order
        assert in_order or number < 6, "a scene keeps its channels"
        places.add((int(picture[down, 0, 0]), int(picture[across].min())))
    assert flipped == pytest.approx(200, abs=40)
    # Of the textures, six in ten, half are permuted, and one permutation in six is none.
    assert kept == pytest.approx(400 * (1 - 0.6 * 0.5 * 5 / 6), abs=40)
    assert len(places) > 350


def test_the_video_teachers_are_trained_on_from_what_is_shipped(tmp_path, monkeypatch):
    for module in (latents, image_training):
        monkeypatch.setattr(module, "PICTURES", 6)
    for module in (latents, motion_training):
        monkeypatch.setattr(module, "CLIPS", 2)
    for module in (image_training, motion_training):
        monkeypatch.setattr(module, "RECIPE", replace(module.RECIPE, batch=1))
    monkeypatch.setattr(image_training, "_samples", lambda pipe: [_WHITE])
    work, assets = tmp_path / "work", ASSETS / MINIATURE
    latents.render(work)
    assert len((work / "pictures.txt").read_text().splitlines()) == 6 * latents.CAPTIONS
    assert np.load(work / "clips.npy").shape == (2, latents.FRAMES, 3, 128, 128)

    known = StableDiffusionPipeline.from_pretrained(
        assets / "image", safety_checker=None, requires_safety_checker=False
    ).to(torch.float32)
    asked = (0, "cpu", 1)
    pipe = image_training.train_image(work, tmp_path / "image", known.vae, *asked, known)
    moved = _moved(pipe.unet, known.unet)
    assert 0 < moved < 0.01
    adapter = MotionAdapter.from_pretrained(assets / "motion").float()
    trained = motion_training.train_motion(work, tmp_path / "motion", pipe, *asked, adapter)
    assert 0 < _moved(trained.float(), adapter) < 0.01
    shipped = StableDiffusionPipeline.from_pretrained(
        tmp_path / "image", safety_checker=None, requires_safety_checker=False
    )
    assert _moved(shipped.unet.float(), pipe.unet) < 1e-3


def test_another_autoencoder_encodes_anew(tmp_path):
    store = tmp_path / "pictures.npy"
    np.save(store, np.random.default_rng(0).integers(0, 256, (2, 3, 128, 128), np.uint8))
    vae = AutoencoderKL.from_pretrained(ASSETS / MINIATURE / "image" / "vae").float()
    first = latents.encode(vae, store, 2).clone()
    (kept,) = tmp_path.glob("*.latents.npy")
    written = kept.stat().st_mtime_ns
    assert latents.encode(vae, store, 2).equal(first) and kept.stat().st_mtime_ns == written
    # Other pictures under the same name are not taken for those before.
    np.save(store, np.random.default_rng(1).integers(0, 256, (2, 3, 128, 128), np.uint8))
    os.utime(store, ns=(written + 1, written + 1))
    assert not latents.encode(vae, store, 2).equal(first)
    (kept,) = tmp_path.glob("*.latents.npy")
    with torch.no_grad():
        vae.encoder.conv_in.weight.mul_(1.5)
    assert not latents.encode(vae, store, 2).equal(first)
    assert not kept.exists() and len(list(tmp_path.glob("*.latents.npy"))) == 1


def _moved(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """The largest difference of two models' parameters."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)
