"""The painting run on a sphere, with teachers whose answers are known."""

import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
import trimesh

from pipelines.paint import run as run_module
from pipelines.paint.composites import (
    GRAY,
    YELLOW,
    Query,
    Words,
    colours,
    painted_over,
    prompts,
    unlike_prompt,
)
from pipelines.paint.look import look
from pipelines.paint.painted import bake_layers, random_points
from pipelines.paint.run import contrast, paint, questions
from pipelines.paint.schedule import method_at
from pipelines.paint.task import Fields, Mask, Task
from pipelines.render import Surface, orbit
from pipelines.render.bake import texels
from pipelines.teachers.painting import PAPER, Painting
from sds import csd
from sds.schedules import at, ddpm

SCHEDULE = ddpm(torch.linspace(0.9999, 0.005, 1000))
FAST = Painting(guidance_1=1.0, guidance_2=1.0, rate=0.05, views=2, detail_from=0.5)


@dataclass(frozen=True)
class Wants:
    """Believes that every picture is one colour (N, 3), given as its condition in [-1, 1]."""

    schedule = SCHEDULE
    low_schedule = SCHEDULE

    def eps(self, x_t, t, cond, low_s=None, s=None):
        alpha, sigma = (at(v, t, 4) for v in (SCHEDULE.alpha, SCHEDULE.sigma))
        return (x_t - alpha * cond[:, 0, :, None, None]) / sigma


def sphere(atlases=1):
    mesh = trimesh.creation.icosphere(subdivisions=2)
    faces = torch.from_numpy(mesh.faces).long()
    vertices = torch.from_numpy(mesh.vertices).float()
    count = len(faces)
    side = int(count**0.5) + 1
    cell = torch.stack([torch.arange(count) % side, torch.arange(count) // side], dim=1)
    corner = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]])
    return Surface(
        vertices=vertices,
        faces=faces,
        normals=vertices[faces],
        uv=(cell[:, None] + corner) / side,
        atlas=(torch.arange(count) % atlases).sort().values,
    )


def task(wanted, mask=None, atlases=1, large=16):
    rows = torch.tensor(wanted).view(-1, 1, 3) * 2 - 1
    cascade = csd.Cascade(Wants(), Wants(), 8, large)
    return Task(sphere(atlases), cascade, csd.Prompts(rows, torch.zeros(1, 1, 3)), mask)


def fields(everywhere=False, how=FAST, atlases=1):
    return Fields(how, atlases, everywhere, torch.Generator().manual_seed(0))


def run(what, painted, steps, how=FAST):
    return list(paint(what, how, painted, steps, seed=3))


def test_textures_are_as_fine_as_the_texture_that_is_written():
    how, generator = replace(FAST, field="texture"), torch.Generator()
    painted = Fields(how, 2, False, generator, resolution=32)
    assert painted.style.texels.shape == painted.background.texels.shape == (2, 32, 32, 3)
    assert painted.region.texels.shape[:3] == (2, 32, 32)


def test_colours_get_their_share_of_the_guidance():
    how = replace(FAST, style_guidance=0.25)
    three = questions(task([[0.0] * 3, [0.5] * 3, [1.0] * 3]), how)
    assert three.repeated(2).share.tolist() == [1, 1, 0.25, 0.25, 1, 1]
    assert questions(task([[0.0] * 3, [0.5] * 3]), how).share.tolist() == [1, 0.25]
    assert questions(task([[0.5] * 3]), how).share.tolist() == [0.25]


def test_a_pattern_gets_twice_the_guidance_up_to_all_of_it():
    what = task([[0.0] * 3, [0.5] * 3])
    told = replace(what, prompts=replace(what.prompts, unlike=torch.ones(1, 1, 3)))
    for asked, given in ((0.25, 0.5), (0.75, 1.0), (1.5, 1.5)):
        share = questions(told, replace(FAST, style_guidance=asked)).share
        assert share.tolist() == [1, given]


def test_composites_are_the_papers():
    p = torch.tensor([[0.0], [0.25], [1.0]])
    query = Query(p, torch.full((3, 3), 0.3), torch.full((3, 3), 0.9))
    localization, style, background = colours(query)
    yellow = torch.tensor(YELLOW)
    torch.testing.assert_close(localization, p * yellow + (1 - p) * GRAY)
    torch.testing.assert_close(style, (p * 0.3 + (1 - p) * GRAY).expand(3, 3))
    torch.testing.assert_close(background, p * yellow + (1 - p) * 0.9)
    assert len(colours(replace(query, background=None))) == 2
    assert colours(Query(None, query.style, None)) == [query.style]


def test_what_is_painted_over_is_the_style_s_way_from_gray_where_it_is():
    p = torch.tensor([[0.0], [0.25], [1.0]])
    style = torch.tensor([[0.1, 0.71, 1.0]]).expand(3, 3)
    away = torch.tensor([-0.61, 0.0, 0.29])
    wanted = torch.stack([0 * away, 0.25 * away, away])
    torch.testing.assert_close(painted_over(Query(p, style, None)), wanted)
    torch.testing.assert_close(painted_over(Query(None, style, None)), away.expand(3, 3))


def test_prompts_are_the_papers():
    assert prompts(Words("mushroom", "cap", "orange dotted"), background=True) == [
        "a 3d render of a gray mushroom with a yellow cap",
        "a 3d render of a gray mushroom with an orange dotted cap",
        "a 3d render of a mushroom with a yellow cap",
    ]
    assert prompts(Words("table", "legs", "red", plural=True), background=False) == [
        "a 3d render of a gray table with yellow legs",
        "a 3d render of a gray table with red legs",
    ]
    for said in ("orange", " orange", "Orange"):
        (one,) = prompts(Words("table", None, said), background=True)
        assert one == f"a 3d render of an {said.strip()} table"


def test_what_to_be_unlike_is_asked_as_the_style_is():
    assert unlike_prompt(Words("mushroom", "cap", "red dotted")) is None
    dotted = Words("mushroom", "cap", "red dotted", unlike="orange")
    assert unlike_prompt(dotted) == "a 3d render of a gray mushroom with an orange cap"
    whole = Words("table", None, "red striped", unlike="red")
    assert unlike_prompt(whole) == "a 3d render of a red table"


@pytest.mark.parametrize("everywhere", [False, True])
def test_the_contrast_is_about_the_style_and_its_part(everywhere):
    what = task([[0.5] * 3] if everywhere else [[0.5] * 3] * 3)
    told = replace(what, prompts=replace(what.prompts, unlike=torch.ones(1, 1, 3)))
    view = look(told.surface, orbit(2, 20.0), 16, torch.rand(2, 3))
    query = told.asked(fields(everywhere), view.points)
    assert contrast(what, FAST, view, query, 1.0) is None
    assert contrast(told, replace(FAST, contrast=0.0), view, query, 1.0) is None
    how = replace(FAST, contrast=3.0)
    found = contrast(told, how, view, query, 1.0)
    assert found.rows.tolist() == ([0, 1] if everywhere else [2, 3]) and found.scale == 3.0
    seen = torch.zeros(2 * 16 * 16).index_fill(0, view.index, 1.0).view(2, 1, 16, 16)
    wanted = seen.clone()
    if not everywhere:
        wanted.view(-1)[view.index] = query.region.detach()[:, 0]
    wanted = wanted.repeat(1 if everywhere else 3, 1, 1, 1)
    assert found.part.equal(wanted) and not found.part.requires_grad
    assert 0 < seen.mean() < 1
    scales = [contrast(told, how, view, query, share).scale for share in (0.5, 0.0)]
    assert scales == [1.5, 0.0]


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_contrast_changes_a_run_only_where_there_is_something_to_be_unlike(everywhere):
    def end(unlike, how):
        what = task([(1.0, 0.0, 0.0)] if everywhere else [YELLOW, (1.0, 0.0, 0.0), YELLOW])
        rows = None if unlike is None else torch.tensor([[unlike]]) * 2 - 1
        painted = fields(everywhere)
        run(replace(what, prompts=replace(what.prompts, unlike=rows)), painted, 3, how)
        return torch.cat([p.detach().flatten() for p in painted.parameters()])

    told, plain = replace(FAST, contrast=2.0), replace(FAST, contrast=0.0)
    assert end(None, told).equal(end((0.0, 0.0, 1.0), plain))
    assert not end((0.0, 0.0, 1.0), told).equal(end(None, told))


def test_a_teacher_that_wants_one_colour_gets_it():
    """Both stages pull the render, light and all, to what they believe in."""
    wanted = (0.2, 0.5, 0.1)
    what, painted = task([wanted]), fields(everywhere=True)
    run(what, painted, 60)
    points = random_points(what.surface, 500, torch.Generator().manual_seed(1))
    with torch.no_grad():
        colour = what.asked(painted, points).style.mean(0)
    # The light is between a half and one, so colours come out lighter, in the wanted proportion.
    assert (colour / colour.sum() - torch.tensor(wanted) / sum(wanted)).abs().max() < 0.06


def test_the_region_follows_the_localization_composite():
    for wanted, inside in ((YELLOW, True), ((GRAY,) * 3, False)):
        what, painted = task([wanted, (0.3, 0.3, 0.3), (0.5, 0.5, 0.5)]), fields()
        run(what, painted, 40)
        points = random_points(what.surface, 500, torch.Generator().manual_seed(1))
        with torch.no_grad():
            p = what.asked(painted, points).region
        assert (p.mean() > 0.6) == inside


def test_the_same_seed_repeats_a_run_and_another_does_not():
    def end(seed):
        painted = fields()
        list(paint(task([YELLOW] * 3), FAST, painted, 4, seed))
        return torch.cat([p.detach().flatten() for p in painted.parameters()])

    assert end(1).equal(end(1))
    assert not end(1).equal(end(2))


def test_the_views_of_each_step_are_made_once_and_one_step_early(monkeypatch):
    made, honest = [], run_module._views
    monkeypatch.setattr(
        run_module, "_views", lambda *asked: made.append(asked[-1]) or honest(*asked)
    )
    for step in paint(task([YELLOW] * 3), FAST, fields(), 4, seed=0):
        assert made == list(range(min(step.index + 2, 4)))


def test_stage_two_enters_at_its_share_of_the_run():
    how = Painting(detail=0.8, detail_from=0.5)
    weights = [method_at(how, k, 100).lambda_2 for k in range(100)]
    assert all(weight == (0.0, 0.0) for weight in weights[:50])
    assert all(a < b for (_, a), (_, b) in pairwise(weights[49:]))
    assert weights[-1][1] == pytest.approx(0.8)
    phases = replace(how, cascade="phases")
    assert method_at(phases, 0, 100).lambda_1 == 1.0
    assert method_at(phases, 99, 100).lambda_1 == 0.0
    assert method_at(phases, 99, 100).noise_levels == (500, 500)


def test_the_paper_preset_is_the_papers():
    method = method_at(PAPER, 4999, 5000)
    assert method.stage_1.guidance == method.stage_2.guidance == 21.0
    assert method.stage_1.times == method.stage_1.times_end == (20, 980)
    assert method.lambda_2[1] == pytest.approx(0.8)
    assert method.crop == 1.0
    assert (PAPER.field, PAPER.rate, PAPER.views) == ("fourier", 1e-4, 4)
    # What it knows nothing of is off.
    assert (PAPER.attached, PAPER.contrast, PAPER.style_guidance) == (0, 0, 1)


@pytest.mark.parametrize("cascade", ["joint", "phases"])
@pytest.mark.parametrize("field", ["hash", "fourier", "texture"])
def test_every_field_and_cascade_runs_and_moves(cascade, field):
    how = replace(FAST, cascade=cascade, field=field)
    painted = fields(how=how, atlases=2)
    before = [p.detach().clone() for p in painted.parameters()]
    steps = run(task([YELLOW, (1.0, 0.0, 0.0), YELLOW], atlases=2), painted, 4, how)
    assert len(steps) == 4 and all(step.value.gt(0).all() for step in steps)
    moved = [not a.equal(b) for a, b in zip(before, painted.parameters(), strict=True)]
    assert all(moved)


def test_outside_a_mask_the_base_stays_to_the_last_bit():
    allowed = torch.zeros(1, 32, 32)
    allowed[:, :16] = 1
    what = task([YELLOW, (1.0, 0.0, 0.0), YELLOW], Mask((allowed,), replaces=False))
    painted = fields()
    run(what, painted, 1)
    base = torch.randint(256, (32, 48, 3), generator=torch.Generator().manual_seed(0)).byte()
    (layer,) = bake_layers(what, painted, [base])
    assert layer.texture(0.3)[20:].equal(base[20:])
    points, index = texels(what.surface, 0, (32, 48))
    with torch.no_grad():
        found = what.asked(painted, points)
    baked = torch.cat([layer.style, layer.localization[..., None]], dim=-1).flatten(0, 1)[index]
    wanted = 255 * torch.cat([found.style, found.region], dim=1)
    torch.testing.assert_close(baked.float(), wanted, atol=0.51, rtol=0)
    assert 0 < layer.localization[:14].float().mean() < 250


def test_random_points_lie_evenly_over_the_area():
    """On two triangles, the second three times the first. By the moments of a triangle."""
    corners = torch.tensor([[0, 0], [1, 0], [0, 1]])
    vertices = torch.cat([corners, corners * torch.tensor([1, 3]) + 5]).float()
    vertices = torch.cat([vertices, torch.zeros(6, 1)], dim=1)
    plane = Surface(
        vertices=vertices,
        faces=torch.arange(6).view(2, 3),
        normals=torch.tensor([0.0, 0.0, 1.0]).expand(2, 3, 3),
        uv=vertices[:, :2].view(2, 3, 2),
        atlas=torch.arange(2),
    )
    points = random_points(plane, 50_000, torch.Generator().manual_seed(0))
    assert points.atlas.float().mean() == pytest.approx(3 / 4, abs=0.01)
    for k in range(2):
        x, y = points.position[points.atlas == k, :2].T - 5 * k
        y = y / (1 + 2 * k)
        assert min(x.min(), y.min(), (1 - x - y).min()) > -1e-5
        moments = [v.mean().item() for v in (x, y, x * x, y * y, x * y)]
        assert moments == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6, 1 / 12], abs=0.01)


def test_a_mask_bounds_the_region_that_is_found():
    allowed = torch.zeros(1, 32, 32)
    allowed[:, :16] = 0.5
    what = task([YELLOW] * 3, Mask((allowed,), replaces=False))
    points = random_points(what.surface, 400, torch.Generator().manual_seed(0))
    with torch.no_grad():
        free = replace(what, mask=None)
        found = free.asked(fields(), points).region
        region = what.asked(fields(), points).region
    assert free.bound(points).equal(torch.ones(400, 1))
    torch.testing.assert_close(region, found * what.bound(points))
    assert 0.1 < found.mean() < 0.9 and what.bound(points).unique().numel() > 1


def test_a_mask_that_replaces_is_the_region():
    allowed = torch.zeros(1, 32, 32)
    allowed[:, :16] = 1
    what = task([YELLOW] * 3, Mask((allowed,), replaces=True))
    points = random_points(what.surface, 400, torch.Generator().manual_seed(0))
    with torch.no_grad():
        region = what.asked(fields(), points).region
    assert region.equal(what.bound(points))
    top = points.uv[:, 1] > 0.55
    torch.testing.assert_close(region[top], torch.ones_like(region[top]))


@pytest.fixture
def judged(monkeypatch):
    """The renders that are judged at each step, and those that stage II is shown instead."""
    seen, honest = [], csd.distill_cascade

    def distill(cascade, method, prompts, x, *rest, low=None, **named):
        seen.append((x.detach(), None if low is None else low.detach()))
        return honest(cascade, method, prompts, x, *rest, low=low, **named)

    monkeypatch.setattr(csd, "distill_cascade", distill)
    return seen


def test_in_phases_stage_two_is_shown_what_stage_one_left(judged):
    """Also by a run that goes on from a later step."""
    what, how = task([YELLOW, (1.0, 0.0, 0.0), YELLOW]), replace(FAST, cascade="phases")
    steps = paint(what, how, fields(how=how), 6, seed=3)
    saved = copy.deepcopy([next(steps).state() for _ in range(5)][-1])
    list(steps)
    assert [low is None for _, low in judged] == [True] * 3 + [False] * 3
    same = [low.equal(x) for x, low in judged[3:]]
    assert same == [True, False, False]
    list(paint(what, how, fields(how=how), 6, 3, saved))
    assert len(judged) == 7 and all(a.equal(b) for a, b in zip(*judged[5:], strict=True))


def test_renders_are_as_fine_as_whoever_looks_at_them_needs(judged):
    run(task([YELLOW] * 3, large=32), fields(), 4)
    assert [x.shape[-1] for x, _ in judged] == [16, 16, 32, 32]
    del judged[:]
    run(task([YELLOW] * 3, large=8), fields(), 2, replace(FAST, detail=0.0))
    assert [x.shape[-1] for x, _ in judged] == [8, 8]


def test_a_step_reports_how_far_it_is_from_gray_and_the_gradient_s_strength():
    """At the first step a half of the part is taken for the region, and its style is mid-gray."""
    what = task([YELLOW, (0.5, 0.5, 0.5), YELLOW])
    away, strength = next(paint(what, replace(FAST, views=5), fields(), 4, seed=0)).value.tolist()
    assert away == pytest.approx(0.5 * (GRAY - 0.5), rel=0.1)
    assert strength > 0


@pytest.mark.parametrize("cascade", ["joint", "phases"])
@pytest.mark.parametrize("taken", [1, 3, 4, 5])
def test_it_goes_on_to_where_it_would_have_ended(cascade, taken):
    """Stage II starts at step 3 of 6, on what is then frozen and has to be kept."""
    what, how = task([YELLOW, (1.0, 0.0, 0.0), YELLOW]), replace(FAST, cascade=cascade)
    whole = fields(how=how)
    run(what, whole, 6, how)
    first = fields(how=how)
    steps = paint(what, how, first, 6, seed=3)
    saved = copy.deepcopy([next(steps).state() for _ in range(taken)][-1])
    assert (saved["frozen"] is None) == (cascade == "joint" or taken <= 3)
    steps.close()
    painted = fields(how=how)
    rest = list(paint(what, how, painted, 6, 3, saved))
    assert [step.index for step in rest] == list(range(taken, 6))
    pairs = zip(whole.parameters(), painted.parameters(), strict=True)
    assert all(a.equal(b) for a, b in pairs)
