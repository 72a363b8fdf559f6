"""One step of ASSD, number by number, against a literal transcription of its formulas.

Attention fusion, which is the networks' own, has its tests in `test_attention.py`.
"""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from sds.assd import Method, Prompts, Teachers
from sds.optical_flow import Flows
from sds.optimize import step_generator
from sds.schedules import Schedule, ddpm
from sds.temporal import window_mean
from tests.assd_steps import assd_gradient

C, F, SIDE, T = 3, 7, 4, 600
WINDOW = 4
EVERYTHING = Method(
    guidance_source=3.0,
    guidance_target=5.0,
    mask_k=0.5,
    joint=0.7,
    fusion=1.0,
    focus=1.5,
    anchor=0.2,
)


@dataclass
class Toy:
    """A teacher that mixes a row's frames, channels and prompt, and knows which frames it sees."""

    bar: Tensor
    reach: bool = True
    """Whether a frame's answer depends on the others'."""
    schedule: Schedule = field(init=False)
    network: nn.Module = field(default_factory=nn.Identity)

    def __post_init__(self):
        self.schedule = ddpm(self.bar)

    def eps(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        around = x_t.mean(2, keepdim=True) if self.reach else 0.0
        said = cond.mean((1, 2)).view(-1, 1, 1, 1, 1)
        return torch.sin(2 * x_t.roll(1, 1) + around * said) + 0.3 * said * x_t.flip(3)


def randn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X_SRC = randn(1, C, F, SIDE, SIDE, seed=1)
X = X_SRC + 0.3 * randn(1, C, F, SIDE, SIDE, seed=2)
VIDEO = Toy(torch.linspace(0.999, 0.01, 1000))
IMAGE = Toy(torch.linspace(0.99, 0.002, 1000), reach=False)
PROMPTS = Prompts(*(randn(1, 5, 6, seed=seed) for seed in (3, 4, 5)))
FLOWS = Flows(*(randn(F - 1, 2, SIDE, SIDE, seed=seed) for seed in (6, 7)))


def literal(method: Method, windows: list[slice], flows: Flows | None = None) -> Tensor:
    """The gradient by the letter: a frame, a branch and half of the guidance at a time."""
    generator = step_generator(0, 5)
    unit = {}
    for teacher in (VIDEO, IMAGE):
        alpha, sigma = (getattr(teacher.schedule, name)[T] for name in ("alpha", "sigma"))
        unit[id(teacher)] = sigma / alpha

    def drawn():
        frames = 1 if method.smoothing == "shared" else F
        return torch.randn(1, C, frames, SIDE, SIDE, generator=generator).expand_as(X)

    def branch(teacher, x, eps, cond, scale, frames):
        alpha, sigma = (getattr(teacher.schedule, name)[T] for name in ("alpha", "sigma"))
        x_t = (alpha * x + sigma * eps)[:, :, frames]
        t = torch.tensor([T])
        uncond, cond = (teacher.eps(x_t, t, said) for said in (PROMPTS.empty, cond))
        return uncond + scale * (cond - uncond)

    def both(teacher, eps, frames):
        asked = (X_SRC, PROMPTS.source, method.guidance_source), (X, PROMPTS.target, None)
        (x_src, source, scale), (x, target, _) = asked
        reference = branch(teacher, x_src, eps, source, scale, frames)
        return reference, branch(teacher, x, eps, target, method.guidance_target, frames)

    eps = drawn()
    # Each window's frames count from its rim inwards: 1, 2, 2, 1.
    reference, edit, weight = torch.zeros_like(X), torch.zeros_like(X), torch.zeros(F)
    for window in windows:
        length = window.stop - window.start
        inwards = torch.tensor([min(i + 1, length - i) for i in range(length)]).float()
        seen = both(VIDEO, eps, window)
        for total, part in zip((reference, edit), seen, strict=True):
            total[:, :, window] += part * inwards.view(-1, 1, 1)
        weight[window] += inwards
    reference, edit = (total / weight.view(-1, 1, 1) for total in (reference, edit))

    g = edit - reference
    if method.smoothing != "off":
        known = eps if method.smoothing == "residual" else torch.zeros_like(eps)
        if flows is None:
            smoothed = torch.stack(
                [
                    known[:, :, i] + (reference - known)[:, :, max(i - 1, 0) : i + 2].mean(2)
                    for i in range(F)
                ],
                2,
            )
        else:
            smoothed = known + window_mean(reference - known, flows=flows)
        steps = [(g[:, :, i + 1] - g[:, :, i]).abs().mean(1) for i in range(F - 1)]
        sides = [[*steps[max(i - 1, 0) : i + 1]] for i in range(F)]
        v = torch.stack([torch.stack(near).mean(0) for near in sides], 1)[:, None]
        threshold = v.mean() + method.mask_k * (v - v.mean()).square().mean().sqrt()
        mask = (v > threshold).float()
        assert 0 < mask.mean() < 1
        g = mask * (edit - smoothed) + (1 - mask) * g
    said = unit[id(VIDEO)] * g
    if method.joint:
        eps = drawn()
        frames = [both(IMAGE, eps, slice(i, i + 1)) for i in range(F)]
        joint = torch.cat([edit - reference for reference, edit in frames], 2)
        said = said + method.joint * unit[id(IMAGE)] * joint
    if method.focus:
        size = said.abs().mean(1)
        strong = torch.zeros_like(size)
        for i in range(F):
            for y in range(SIDE):
                for x in range(SIDE):
                    near = size[0, i, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                    strong[0, i, y, x] = near.mean()
            strong[0, i] /= strong[0, i].flatten().quantile(0.98)
        said = strong.clamp(max=1)[:, None] ** method.focus * said
    return said + method.anchor * (X - X_SRC)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"smoothing": "shared"},
        {"smoothing": "off"},
        {"joint": 0.0},
        {"focus": 0.0},
        {"anchor": 0.0},
        {"guidance_source": 1.0, "guidance_target": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("window", [F, WINDOW])
def test_the_gradient_is_the_formula(changed, window):
    method = replace(EVERYTHING, **changed)
    windows = [slice(0, F)] if window == F else [slice(0, 4), slice(3, 7)]
    asked = (Teachers(VIDEO, IMAGE, window), PROMPTS, method, X, X_SRC, T, step_generator(0, 5))
    torch.testing.assert_close(
        assd_gradient(*asked), literal(method, windows), atol=1e-4, rtol=1e-4
    )


def test_smoothing_follows_the_flow_where_that_is_asked():
    asked = (Teachers(VIDEO, IMAGE, F), PROMPTS)
    for along in (False, True):
        method = replace(EVERYTHING, smooth_along_flow=along)
        found = assd_gradient(*asked, method, X, X_SRC, T, step_generator(0, 5), FLOWS)
        want = literal(method, [slice(0, F)], FLOWS if along else None)
        torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)
