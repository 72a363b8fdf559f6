"""Noise that goes with the surface: normal, in its place in every view, and only as asked."""

import math
from dataclasses import replace

import torch

from pipelines.paint.attached_noise import CELL, FADE, PATTERN_FADE, attached_noise
from pipelines.paint.look import Look, look
from pipelines.paint.schedule import held
from pipelines.render import sphere_views
from pipelines.teachers.painting import PAPER
from sds import csd
from tests.pipelines.test_painting import FAST, fields, run, sphere, task

SIZE, SIDE = 64, 32


def seen(views=2) -> Look:
    cameras = sphere_views(views, torch.Generator().manual_seed(0))
    return look(sphere(), cameras, SIZE, torch.zeros(views, 3))


def fresh(count, channels=3):
    return torch.randn(count, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_it_is_normal_and_its_cells_and_channels_are_independent():
    cells = torch.cartesian_prod(*[torch.arange(-8, 8) * 0.1 + 0.05] * 3)
    values = attached_noise(0, torch.device("cpu")).at(cells, 4, 0.1)
    assert values.mean().abs() < 0.03 and (values.std() - 1).abs() < 0.03
    assert (values.T.corrcoef() - torch.eye(4)).abs().max() < 0.06
    grid = values.view(16, 16, 16, 4)
    beside = torch.stack([grid[1:].flatten(), grid[:-1].flatten()])
    assert beside.corrcoef()[0, 1].abs() < 0.06
    assert not values.equal(attached_noise(1, torch.device("cpu")).at(cells, 4, 0.1))


def test_a_whole_share_is_the_noise_of_the_place_that_a_pixel_shows():
    noise, shown, given = attached_noise(0, torch.device("cpu")), seen(), fresh(6)
    found = noise.mixed(shown, 1.0, 1, 3, given)
    wanted = noise.at(shown.points.position, 3, CELL / SIDE)
    places = torch.stack(torch.unravel_index(shown.index, (2, SIZE, SIZE)), dim=1)
    middles = (places[:, 1] % 2 == 1) & (places[:, 2] % 2 == 1)
    view, y, x = places[middles].T
    assert found[2 + view, :, y // 2, x // 2].equal(wanted[middles])
    for others in (slice(0, 2), slice(4, 6)):
        assert found[others].equal(given[others])
    background = torch.ones(2, SIDE, SIDE, dtype=torch.bool)
    background[view, y // 2, x // 2] = False
    outside = background[:, None].expand_as(given[2:4])
    assert outside.any() and found[2:4][outside].equal(given[2:4][outside])


def test_a_share_mixes_by_variance():
    noise, shown, given = attached_noise(0, torch.device("cpu")), seen(), fresh(2)
    assert noise.mixed(shown, 0.0, 0, 1, given).equal(given)
    whole, some = (noise.mixed(shown, share, 0, 1, given) for share in (1.0, 0.36))
    inside = whole != given
    assert torch.allclose(some[inside], 0.6 * whole[inside] + 0.8 * given[inside], atol=1e-6)


def test_where_no_view_shows_anything_the_noise_is_fresh():
    noise, shown, given = attached_noise(0, torch.device("cpu")), seen(), fresh(6)
    points = type(shown.points)(*(value[:0] for value in vars(shown.points).values()))
    nothing = replace(shown, points=points, index=shown.index[:0])
    assert noise.mixed(nothing, 1.0, 1, 3, given).equal(given)


def test_it_is_held_and_then_let_go():
    assert [held(k, 60, 0.5, 60) for k in (0, 30, 45, 60)] == [1, 1, 0.5, 0]
    assert [held(k, 300, 0.5, 20) for k in (0, 280, 285, 290, 300)] == [1, 1, 0.75, 0.5, 0]


def test_only_the_style_gets_its_share_and_nothing_as_published(monkeypatch):
    shares, distill = [], csd.distill_cascade

    def watched(*asked, noise_1, **more):
        shares.append(noise_1 and noise_1.args[1:])
        return distill(*asked, noise_1=noise_1, **more)

    monkeypatch.setattr(csd, "distill_cascade", watched)
    what, how = task([[0.8, 1.0, 0.0]] * 3), replace(FAST, attached=0.8)
    run(what, fields(), 4, how)
    assert shares == [(0.8 * held(k, 4, FADE, 4), 1, 3) for k in range(4)]
    shares.clear()
    run(task([[0.5] * 3]), fields(everywhere=True), 1, how)
    assert shares == [(0.8, 0, 1)]
    shares.clear()
    run(what, fields(), 2, replace(FAST, attached=PAPER.attached))
    assert shares == [None, None]


def test_of_a_pattern_it_lets_go_in_a_few_steps_however_long_the_run(monkeypatch):
    shares, distill = [], csd.distill_cascade

    def watched(*asked, noise_1, **more):
        shares.append(noise_1.args[1])
        return distill(*asked, noise_1=noise_1, **more)

    monkeypatch.setattr(csd, "distill_cascade", watched)
    plain = task([[0.8, 1.0, 0.0]] * 3)
    patterned = replace(plain, prompts=replace(plain.prompts, unlike=torch.ones(1, 1, 3)))
    steps = 4 * PATTERN_FADE
    for what, fade in ((plain, FADE * steps), (patterned, PATTERN_FADE)):
        shares.clear()
        run(what, fields(), steps, FAST)
        assert sum(share < 1 for share in shares) == math.ceil(fade) - 1
