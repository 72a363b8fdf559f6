"""One step of cascaded score distillation, CSD (3D Paintbrush, 2311.09571).

    z_1, z_2 = 2 x - 1, at the sizes of stage I and stage II
    g_1 = w(t) (eps_1(z_1t; y, t) - eps)                                  stage I
    g_2 = w(t) (eps_2(z_2t; y, t, low_s, s) - eps)                        stage II
    low_s = alpha(s) up(z_1) + sigma(s) eps',   t and s independent,   w = sigma^2 = 1 - alpha_bar
    total = lambda_1 g_1 + lambda_2 g_2,   lambda_2 rising linearly over the run

eps_1 and eps_2 are guided. In the joint mode up(z_1) is the present render; in the two-phase mode
it is a render of stage I's frozen result (CasTex, WACV 2026). Either way it carries no gradient.
Stage II may be asked about a random square of z_2, whose gradient then stands for all of it; that
is ours.

Renders are in [0, 1] and teachers see [-1, 1]. A gradient belongs to z; on its way to x it picks up
dz/dx = 2. A teacher of latents sees E(z), and its gradient goes back through its encoder E. This
module knows nothing about renderers, fields, prompts or how teachers are loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sds import draws, losses
from sds.contrast import Contrast
from sds.downsampling import downsample
from sds.draws import Rows
from sds.guidance import ask, cfg, from_threestudio
from sds.priors import Prior
from sds.schedules import add_noise
from sds.super_resolution import Shown, Squares, SuperResolutionPrior, show, squares

Noise = Callable[[Tensor], Tensor]
"""From fresh noise, (k N, C, h, w) for N renders k times over, to what is taken instead."""


@dataclass(frozen=True)
class Cascade:
    """The teachers of CSD. Either may be missing where its weight is 0."""

    stage_1: Prior | None
    """Text to image; it is asked about images (N, 3, size_1, size_1), or about their latents."""
    stage_2: SuperResolutionPrior | None
    """Super-resolution; it is asked about images (N, 3, size_2, size_2), or about their latents."""
    size_1: int
    size_2: int
    encode_1: Callable[[Tensor], Tensor] | None = None
    """Images in [-1, 1] to stage I's latents, with their graph. None: it sees the images."""
    encode_2: Callable[[Tensor], Tensor] | None = None
    """The same for stage II."""
    size_low: int | None = None
    """Pixels along each side of the image that stage II is shown; None is size_1."""
    top_level: int = 999
    """Highest level of noise on that image that stage II knows."""


@dataclass(frozen=True)
class Prompts:
    """Embeddings of what the renders should show."""

    rows: Tensor
    """(N, L, D), the prompt of each render."""
    empty: Tensor
    """(1, L, D)."""
    large: "Prompts | None" = None
    """The same as stage II reads them, where it has a text encoder of its own."""
    unlike: Tensor | None = None
    """(1, L, D), what the style's renders should be told from (see `contrast`)."""
    share: Tensor | None = None
    """(N,) how much of either stage's guidance, beyond 1, each row gets, as a factor; None is 1."""

    def repeated(self, views: int) -> "Prompts":
        """Each row `views` times in a row."""
        large = None if self.large is None else self.large.repeated(views)
        share = None if self.share is None else self.share.repeat_interleave(views)
        rows = self.rows.repeat_interleave(views, dim=0)
        return replace(self, rows=rows, large=large, share=share)

    def by_large(self) -> "Prompts":
        """As stage II reads them."""
        return self if self.large is None else replace(self.large, share=self.share)


@dataclass(frozen=True)
class Asking:
    """How one stage is asked."""

    guidance: float = 21.0
    """Guidance scale; 1 is none (Imagen's convention)."""
    times: tuple[int, int] = (20, 980)
    """Lowest and highest timestep at the first step of a run; each row draws its own, evenly."""
    times_end: tuple[int, int] = (20, 980)
    """The same at the last step. In between, both bounds move linearly."""


@dataclass(frozen=True)
class Method:
    """How the two stages are weighed and asked."""

    lambda_1: float = 1.0
    """Weight of stage I; 0 leaves it out."""
    lambda_2: tuple[float, float] = (0.0, 0.8)
    """Weight of stage II at the first and at the last step, linear in between; 0 leaves it out."""
    stage_1: Asking = Asking()
    stage_2: Asking = Asking()
    noise_levels: tuple[int, int] = (20, 980)
    """Lowest and highest level s of the noise on stage II's low-resolution image; each row draws
    its own, evenly. Twice the same number fixes it. Bounded by the highest level that stage II
    knows."""
    noises: int = 1
    """Noises, timesteps and levels per render and step. Their gradients are averaged."""
    crop: float = 1.0
    """Stage II judges a square of each render at a random place: this share of the render's side. 1
    is the whole, as published. The square's gradient stands for the whole render's, whose mean it
    is over all places, so what stage II weighs does not depend on the share."""


_PAPER_STAGE = Asking(guidance=from_threestudio(20))
PAPER = Method(stage_1=_PAPER_STAGE, stage_2=_PAPER_STAGE)
"""3D Paintbrush: guidance 20 in its code's convention, t and s ~ U{20..980}, lambda_2 0 to 0.8."""


@dataclass(frozen=True)
class Distilled:
    """What one step gave."""

    loss: Tensor
    """Scalar to call backward on; only its derivative means something."""
    rms_1: Tensor | None
    """Root mean square of stage I's gradient with respect to z_1, not weighted by lambda_1. None
    where the stage is left out."""
    rms_2: Tensor | None
    """The same of stage II's, with respect to z_2."""


def stage_2_only(method: Method) -> Method:
    """The method without stage I, stage II at its last weight from the start: a baseline."""
    return replace(method, lambda_1=0.0, lambda_2=(method.lambda_2[1],) * 2)


def second_phase(method: Method) -> Method:
    """What follows stage I alone in the two-phase mode: CasTex's noise level, half of 1000."""
    return replace(stage_2_only(method), noise_levels=(500, 500))


def distill_cascade(
    cascade: Cascade,
    method: Method,
    prompts: Prompts,
    x: Tensor,
    step: int,
    steps: int,
    generator: torch.Generator,
    low: Tensor | None = None,
    rows: Rows | None = None,
    noise_1: Noise | None = None,
    contrast: Contrast | None = None,
) -> Distilled:
    """One step of CSD on a batch of renders. A stage that has a weight is called once.

    x (N, 3, S, S) in [0, 1] with its graph: all views and composites, S no less than the sizes of
    the stages in use. step counts from 0 to steps - 1. low (N, 3, S', S') in [0, 1], S' >= size_1:
    the same views of stage I's frozen result (two phases); None conditions on x itself (joint).
    Where stage II is shown a picture of another size than size_1, S and S' reach that too.
    rows: which of the step's renders x holds, where it does not hold all. noise_1: stage I's noise,
    made of fresh one; None is the fresh one itself, as published. contrast: how far some of the
    rows of x are told from prompts.unlike; None is not at all, as published.

    The loss is the mean over all the step's renders, of which those that are not here count as 0.
    What is drawn for a render does not depend on which are here. 3D Paintbrush takes the mean over
    views and the sum over its three composites; under Adam the factor makes no difference.
    Raises ValueError when a stage has a weight but no teacher, when neither stage has a weight, or
    when a picture is smaller than the teacher's.
    """
    lambda_2 = _between(method.lambda_2, step, steps)
    _check(cascade, method.lambda_1, lambda_2)
    if rows is None:
        rows = Rows(torch.arange(len(x)), len(x))
    if contrast is not None:
        contrast = contrast.repeated(method.noises, len(x))
    # A stage that is left out contributes nothing, and nothing is computed for it.
    z_1 = g_1 = z_2 = g_2 = x.new_zeros(1)
    if method.lambda_1:
        z_1 = _seen(cascade.encode_1, x, cascade.size_1)
        asking = _now(method.stage_1, step, steps)
        g_1 = _averaged(
            cascade.stage_1, asking, method.noises, prompts, z_1, generator, rows, noise_1, contrast
        )
    if lambda_2:
        z_2 = _seen(cascade.encode_2, x, cascade.size_2)
        size = z_2.shape[-1]
        shown = _show(cascade, method, x if low is None else low, size, generator, rows)
        square = squares(size, method.crop, generator, rows)
        lambda_2 *= (size / square.size) ** 2
        z_2, shown, contrast = _within(square, z_2, shown, contrast)
        asking, read = _now(method.stage_2, step, steps), prompts.by_large()
        g_2 = _averaged(shown, asking, method.noises, read, z_2, generator, rows, None, contrast)
    share = len(x) / rows.of
    return Distilled(
        loss=share * losses.csd(z_1, g_1, z_2, g_2, method.lambda_1, lambda_2),
        rms_1=losses.rms(g_1) if method.lambda_1 else None,
        rms_2=losses.rms(g_2) if lambda_2 else None,
    )


@torch.no_grad()
def stage_gradient(
    prior: Prior,
    z: Tensor,
    prompts: Prompts,
    guidance: float,
    t: Tensor,
    eps: Tensor,
    contrast: Contrast | None = None,
) -> Tensor:
    """w(t) (eps_hat(z_t; y, t) - eps), guided: SDS of stage I, or of stage II once it was shown.

    z in [-1, 1] or latents, and eps (N, C, H, W), t (N,) long -> (N, C, H, W), with respect to z.
    A contrast asks of some rows a second time, in the same call.
    """
    x_t = add_noise(prior.schedule, z, eps, t)
    questions = [(x_t, t, prompts.rows)]
    if guidance != 1:
        questions.append((x_t, t, prompts.empty))
    if contrast is not None:
        questions.append((x_t[contrast.rows], t[contrast.rows], prompts.unlike))
    cond, *others = ask(prior, questions)
    eps_hat = cond
    if guidance != 1:
        scale = guidance
        if prompts.share is not None:
            scale = 1 + (guidance - 1) * prompts.share.view(-1, *[1] * (z.ndim - 1))
        eps_hat = cfg(others[0], cond, scale)
    if contrast is not None:
        eps_hat = contrast.added(eps_hat, cond, others[-1])
    return losses.sds(eps_hat, eps, losses.sds_weight(prior.schedule, t, z.ndim))


def _averaged(
    prior: Prior,
    asking: Asking,
    noises: int,
    prompts: Prompts,
    z: Tensor,
    generator: torch.Generator,
    rows: Rows,
    noise: Noise | None = None,
    contrast: Contrast | None = None,
) -> Tensor:
    """The mean of `noises` gradients of each row, from one call of the teacher."""
    z = z.detach().repeat(noises, 1, 1, 1)
    share = None if prompts.share is None else prompts.share.repeat(noises)
    prompts = replace(prompts, rows=prompts.rows.repeat(noises, 1, 1), share=share)
    t = draws.levels(z, asking.times, generator, rows)
    eps = draws.noise(z, generator, rows)
    eps = eps if noise is None else noise(eps)
    g = stage_gradient(prior, z, prompts, asking.guidance, t, eps, contrast)
    return g.unflatten(0, (noises, -1)).mean(0)


def _seen(encode: Callable[[Tensor], Tensor] | None, x: Tensor, size: int) -> Tensor:
    """What a stage is asked about, with its graph: images in [-1, 1], or their latents."""
    images = 2 * downsample(x, size) - 1
    return images if encode is None else encode(images)


def _show(
    cascade: Cascade, method: Method, x: Tensor, size: int, generator: torch.Generator, rows: Rows
) -> Shown:
    """Show stage II small, noised versions of x (N, 3, S, S) in [0, 1], on its own grid of size."""
    small = 2 * downsample(x.detach(), cascade.size_low or cascade.size_1) - 1
    small = small.repeat(method.noises, 1, 1, 1)
    low, high = (min(level, cascade.top_level) for level in method.noise_levels)
    s = draws.levels(small, (low, high), generator, rows)
    eps = draws.noise(small[..., :1, :1].expand(-1, -1, size, size), generator, rows)
    return show(cascade.stage_2, small, size, s, eps)


def _within(
    square: Squares, z: Tensor, shown: Shown, contrast: Contrast | None
) -> tuple[Tensor, Shown, Contrast | None]:
    """All that stage II is asked about, cut to its squares."""
    if contrast is not None:
        part = interpolate(contrast.part, z.shape[-2:], mode="area")
        contrast = replace(contrast, part=square.cut(part))
        shown = replace(shown, again=contrast.rows)
    return square.cut(z), replace(shown, low_s=square.cut(shown.low_s)), contrast


def _between(ends: tuple[float, float], step: int, steps: int) -> float:
    return ends[0] + losses.ramp(step, steps, ends[1] - ends[0])


def _now(asking: Asking, step: int, steps: int) -> Asking:
    """The same question with the range of timesteps of this step."""
    bounds = zip(asking.times, asking.times_end, strict=True)
    low, high = (round(_between(ends, step, steps)) for ends in bounds)
    return replace(asking, times=(low, high))


def _check(cascade: Cascade, lambda_1: float, lambda_2: float) -> None:
    if lambda_1 and cascade.stage_1 is None:
        raise ValueError("stage I has a weight but no teacher; give one or set lambda_1 to 0")
    if lambda_2 and cascade.stage_2 is None:
        raise ValueError("stage II has a weight but no teacher; give one or set lambda_2 to 0, 0")
    if not lambda_1 and not lambda_2:
        raise ValueError(
            "neither stage has a weight at this step; set lambda_1, or start lambda_2 above 0"
        )
