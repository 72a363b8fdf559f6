"""The training loop and its parts: orthogonal steps, starting from what is known, close-ups."""

from pathlib import Path

import pytest
import torch
from torch import nn

from miniature import training
from miniature.denoising import (
    JITTER,
    close_ups,
    middles,
    silence,
    squared_errors,
    timesteps,
)
from miniature.image_training import CLOSE_UP
from miniature.latents import FRAMES
from miniature.motion_training import CLOSE_UP as CLIP_SIDE
from miniature.motion_training import path_middle
from miniature.muon import Muon, optimizers, orthogonal
from miniature.scenes import centres, sample_scene
from miniature.teachers import motion_adapter, scheduler, unet
from miniature.training import Recipe, rate_at, train, warm_start
from sds.schedules import ddpm, target


@pytest.mark.parametrize("shape", [(24, 24), (16, 90), (90, 16)])
def test_an_orthogonal_step_has_singular_values_near_one(shape):
    u = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(u, full_matrices=False)
    found = orthogonal(u)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3
    # The singular vectors are u's own: only their lengths are changed.
    turned = left.mT @ found @ right.mT
    assert (turned - turned.diag().diag()).abs().max() < 0.05


def test_muon_moves_as_far_as_adam_would_and_finds_a_minimum():
    weight = nn.Parameter(torch.randn(8, 12, generator=torch.Generator().manual_seed(1)))
    start, mover = weight.detach().clone(), Muon([weight], lr=0.4, weight_decay=0.0)
    for step in range(60):
        mover.zero_grad()
        weight.square().sum().backward()
        mover.param_groups[0]["lr"] = 0.4 * (1 - step / 60)
        mover.step()
        if step == 0:
            # 0.2 sqrt(12) times an orthogonal 8 x 12: root mean square 0.2 of the rate.
            moved = (weight.detach() - start).square().mean().sqrt()
            assert float(moved) == pytest.approx(0.08, rel=0.15)
    assert weight.detach().norm() < 0.2 * start.norm()


def test_embeddings_ends_and_vectors_are_left_to_adam():
    model = unet(8)
    muon, adam = optimizers(model, 1e-3)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    inner = {names[id(p)] for p in muon.param_groups[0]["params"]}
    other = {names[id(p)] for p in adam.param_groups[0]["params"]}
    assert inner | other == set(names.values()) and not inner & other
    assert {"conv_in.weight", "conv_out.weight"} <= other
    assert all(name.endswith("weight") for name in inner)


def test_a_grown_model_starts_as_the_one_it_grew_from():
    torch.manual_seed(0)
    small = nn.ModuleDict({"kept": nn.Linear(3, 3), "widened": nn.Linear(3, 2)})
    grown = nn.ModuleDict({"kept": nn.Linear(3, 3), "widened": nn.Linear(3, 4)})
    grown["attentions_proj_out"] = nn.Linear(3, 3)
    strange = warm_start(grown, small.half().state_dict())
    assert set(strange) == {
        "widened.weight",
        "widened.bias",
        "attentions_proj_out.weight",
        "attentions_proj_out.bias",
    }
    assert (grown["kept"].weight == small["kept"].weight.float()).all()
    silence(grown, strange)
    assert not grown["attentions_proj_out"](torch.ones(1, 3)).any()
    assert grown["widened"](torch.ones(1, 3)).any()


def test_close_ups_show_the_object_wherever_it_is():
    generator = torch.Generator().manual_seed(0)
    covered = torch.zeros(3, 32, 32)
    covered[0, 12:18, 20:24] = 1
    covered[1, 0:3, 0:3] = 1
    covered[2, 29:32, 10:12] = 0.5
    x = torch.arange(32.0).view(1, 1, 32, 1) * 100 + torch.arange(32.0)
    x = torch.cat([x.expand(3, 1, 32, 32), covered[:, None]], dim=1)
    for _ in range(20):
        cut = close_ups(x, middles(covered), CLOSE_UP, generator)
        assert cut.shape == (3, 2, CLOSE_UP, CLOSE_UP)
        # A square of the picture as it was, with the whole object in it.
        assert (cut[:, 0] - cut[:, 0, :1, :1] == x[0, 0, :CLOSE_UP, :CLOSE_UP]).all()
        assert (cut[:, 1].sum((1, 2)) == covered.sum((1, 2))).all()
        row, column = divmod(int(cut[0, 0, 0, 0]), 100)
        assert abs(row + CLOSE_UP / 2 - 15) <= JITTER + 0.5
        assert abs(column + CLOSE_UP / 2 - 22) <= JITTER + 0.5


def test_a_clips_close_up_holds_the_middle_of_its_path():
    for number in range(20):
        path = centres(sample_scene("train", number), FRAMES)[:, ::-1] * 32
        middle = torch.tensor([path_middle(number)])
        assert torch.tensor(path.min(0) + path.max(0)) / 2 == pytest.approx(middle[0].double())
        clip = torch.zeros(1, FRAMES, 1, 32, 32)
        for frame, (row, column) in enumerate(path):
            clip[0, frame, 0, int(row), int(column)] = 1
        cut = close_ups(clip, middle, CLIP_SIDE, torch.Generator().manual_seed(number))
        assert cut.shape == (1, FRAMES, 1, CLIP_SIDE, CLIP_SIDE)
        assert (cut.sum((2, 3, 4)) == 1).all()


def test_a_motion_adapter_starts_as_nothing():
    model = motion_adapter((16, 32))
    ends = [p for name, p in model.named_parameters() if "proj_out" in name]
    assert ends and not any(p.any() for p in ends)


def test_half_of_the_timesteps_are_below_the_middle():
    drawn = timesteps(20_000, torch.Generator().manual_seed(0), 622)
    assert drawn.min() >= 0 and drawn.max() <= 999
    assert float((drawn < 622).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_a_weight_says_how_much_each_place_counts():
    schedule = ddpm(scheduler().alphas_cumprod, "v_prediction")
    x, t = torch.ones(2, 3, 4, 4), torch.tensor([100, 700])
    weight = torch.zeros(2, 1, 4, 4)
    weight[:, :, :2] = 2
    plain, weighted = (
        squared_errors(schedule, _silent, x, t, torch.Generator().manual_seed(0), given)
        for given in (None, weight)
    )
    generator = torch.Generator().manual_seed(0)
    truth = target(schedule, x, torch.randn(x.shape, generator=generator), t)
    assert torch.allclose(plain, truth.square().flatten(1).mean(1))
    assert torch.allclose(weighted, 2 * truth[:, :, :2].square().flatten(1).sum(1) / 48)


def _silent(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x_t)


def test_a_training_repeats_and_lowers_the_loss(tmp_path):
    first, second = (_train(tmp_path / name, "cpu") for name in ("a", "b"))
    assert first[-1] < 0.5 * first[0]
    assert first == second


def test_a_short_training_warms_up_for_a_tenth_of_it():
    recipe = Recipe(50, 1, rate=1.0, warmup=200)
    rates = [rate_at(k, recipe) for k in range(50)]
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True) and rates[-1] < 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records a step on a GPU")
@pytest.mark.parametrize("begins", ["cpu", "cuda"])
def test_a_recorded_step_is_the_step_as_it_is_written(tmp_path, monkeypatch, begins):
    # The first part leaves a checkpoint, which may come from another kind of device.
    for name in ("recorded", "written"):
        _train(tmp_path / name, begins, steps=12)
    recorded = _train(tmp_path / "recorded", "cuda")
    monkeypatch.setattr(training, "_Recorded", lambda step, generator: step)
    assert recorded == pytest.approx(_train(tmp_path / "written", "cuda"), rel=1e-3)


def _train(folder: Path, device: str, steps: int = 60) -> list[float]:
    """The errors of the averaged weights, at first and after every sixth step, on a line."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 1)).to(device)
    probe = torch.randn(256, 3, generator=torch.Generator().manual_seed(1)).to(device)
    seen = [_error(model, probe)]

    def loss(generator: torch.Generator) -> torch.Tensor:
        x = torch.randn(64, 3, generator=generator, device=device)
        return (model(x)[:, 0] - x.sum(1)).square().mean()

    def on_save(averaged: nn.Module, step: int) -> None:
        seen.append(_error(averaged, probe))

    recipe = Recipe(steps, 64, 3e-2, warmup=2, average=0.8, save_every=6)
    train("line", model, loss, recipe, folder / "line.ckpt", 0, on_save)
    return seen


@torch.no_grad()
def _error(model: nn.Module, x: torch.Tensor) -> float:
    return float((model(x)[:, 0] - x.sum(1)).square().mean())
