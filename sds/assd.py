"""ASSD (2406.04888): from latents, a timestep and noise to the gradient of the edit.

    x_t, x_src_t share t and eps; both go to the video teacher, and frame by frame to the image one,
    with an eps of its own.
    g      = eps_edit - eps_ref                         video teacher, attention fused
    g_assd = m (eps_edit - SS(eps_ref)) + (1 - m) g     m: where g changes abruptly in time
    g      = sigma/alpha g_assd + joint * sigma/alpha g_image, each at its teacher's noise levels
    total  = s^focus g + anchor (x - x_src)     s in [0, 1]: where g is strong

sigma/alpha turns a difference of eps into one of x0, so that a step at any t moves as far as the
teacher thinks it should. What `finished` makes a gradient of may be the mean over several noises,
or over frames that show the same: what is strong shows more clearly.

With a flow teacher, v = eps - x and alpha = 1 - sigma, one dial leads from DDS to FlowEdit
(2509.05342): the edit is asked at x_t + eta sigma (x - x_src), and

    g = eps_edit - eps_ref - eta (x - x_src) = alpha (v_edit - v_ref + (1 - eta) (x - x_src))

The paper's numbers are not public; the defaults here were chosen by measurement on the small world
(BENCHMARKS.md). With every part off this is DDS on the video teacher. This module knows nothing
about how teachers are loaded, nor about optimisers and files.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sds import losses, parallel, temporal
from sds.attention import fused
from sds.draws import sent
from sds.focus import salience
from sds.guidance import Branch, guided
from sds.optical_flow import Flows
from sds.priors import Prior, VideoPrior
from sds.priors.few_rows import FewRows
from sds.references import Place, References
from sds.schedules import add_noise, at


@dataclass(frozen=True)
class Method:
    """Which parts of ASSD are on, and how strongly."""

    guidance_source: float = 1.0
    """Guidance scale of the reference branch; 1 is none (Imagen's convention), and asks half as
    much of the teachers. Equal scales keep the edit silent when nothing is asked."""
    guidance_target: float = 1.0
    """Guidance scale of the edit branch."""
    smoothing: Literal["off", "residual", "shared"] = "residual"
    """Sliding smoothing of the reference: of what the teacher adds to the noise, or, as in the
    paper's figure, of the whole prediction, with one noise shared by all frames."""
    smooth_along_flow: bool = False
    """Whether the sliding window follows the clip's optical flow instead of the pixel."""
    mask_k: float = 3.0
    """The adaptive mask takes what varies more than its mean + k standard deviations; from about
    -10 down it takes all that varies, which switches it off: smoothing is then everywhere."""
    joint: float = 1.0
    """Weight of the image teacher's gradient; 0 switches joint guidance off."""
    fusion: float = 0.8
    """Weight of the edit's own attention against the reference's; 1 switches fusion off."""
    focus: float = 1.0
    """How firmly the gradient is held back where it is weak, so that the rest of the picture stays;
    0 switches it off."""
    anchor: float = 0.0
    """Weight of the pull back to the source (content preservation); 0 switches it off."""
    eta: float = 0.0
    """Flow teachers only: 0 is DDS, 1 is FlowEdit, which holds on to the source less."""


DDS = Method(smoothing="off", joint=0.0, fusion=1.0, focus=0.0, anchor=0.0)
"""Plain DDS (2304.07090) on the video teacher: every part of ASSD off."""
FLOW_EDIT = replace(DDS, eta=1.0)
"""FlowEdit (2412.08629) on a flow teacher, when followed along its noise levels; see `descent`."""


@dataclass(frozen=True)
class Teachers:
    """The frozen models that judge an edit. They share one latent space."""

    video: VideoPrior
    image: Prior | None
    """None where the method does without joint guidance."""
    window: int
    """Frames the video teacher sees at once; longer clips are cut into overlapping windows."""


@dataclass(frozen=True)
class Prompts:
    """Embeddings, (1, L, D) each."""

    source: Tensor
    target: Tensor
    empty: Tensor
    image: "Prompts | None" = None
    """The same as the image teacher reads them, where it has a text encoder of its own."""


@dataclass(frozen=True)
class Score:
    """What one question to the teachers gave."""

    said: Tensor
    """(1, C, F, h, w) fp32, in units of x0."""
    adaptive_mask: Tensor | None
    """(1, 1, F, h, w) in [0, 1], or None where smoothing is off."""


def assd_score(
    teachers: Teachers,
    prompts: Prompts,
    method: Method,
    x: Tensor,
    x_src: Tensor,
    t: int,
    generator: torch.Generator,
    flows: Flows | None = None,
    references: References | None = None,
) -> Score:
    """What the teachers say to one noise. x, x_src (1, C, F, h, w) fp32; flows on the latent grid.

    `finished` makes the gradient of it, or of the mean of several.

    references: what these teachers said of this source prompt and clip before, at this guidance,
    and what they say now is kept there. A teacher whose attention is fused is asked anew.
    Raises ValueError when joint guidance has no image teacher, flow smoothing no flows, or eta no
    flow teacher.
    """
    if method.joint and teachers.image is None:
        raise ValueError("joint guidance needs an image teacher; give one or set joint to 0")
    if method.smooth_along_flow and flows is None:
        raise ValueError("smoothing along the flow needs the clip's flows; estimate them first")
    if method.eta and teachers.video.schedule.prediction != "flow_prediction":
        raise ValueError("eta is a dial of flow teachers, and this one is none; set eta to 0")
    times = torch.full((1,), t, device=x.device)
    # The seed stands for the noise that is drawn from it.
    noise = (t, generator.initial_seed(), method.smoothing)
    asked = _Asked(method, x, x_src, _noise(x, method, generator), times, references, noise)
    video, mask = _video(teachers, prompts, asked, flows)
    total, unit = video, _unit(teachers.video, times, x.ndim)
    if method.joint:
        # Of its own noise levels, which may be others than the video teacher's: AnimateDiff's are.
        weight = method.joint * (_unit(teachers.image, times, x.ndim) / unit)
        # Nor through the same noise: what that does to two answers would add up.
        asked = replace(asked, eps=_noise(x, method, generator))
        total = total + weight * _image(teachers.image, prompts.image or prompts, asked)
    return Score(unit * total, mask)


def finished(method: Method, said: Tensor, x: Tensor, x_src: Tensor) -> Tensor:
    """The gradient: what the teachers said, held back where it is weak, and the anchor's pull."""
    gradient = salience(said) ** method.focus * said if method.focus else said
    return gradient + method.anchor * losses.preserve(x, x_src) if method.anchor else gradient


def _unit(prior: Prior, t: Tensor, ndim: int) -> Tensor:
    """sigma/alpha: what a difference of eps is as one of x0."""
    return at(prior.schedule.sigma / prior.schedule.alpha, t, ndim)


def _noise(x: Tensor, method: Method, generator: torch.Generator) -> Tensor:
    shape = list(x.shape)
    if method.smoothing == "shared":
        shape[2] = 1
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return sent(noise, x.device).expand_as(x)


@dataclass(frozen=True)
class _Asked:
    """What all teachers are asked about in one step."""

    method: Method
    x: Tensor
    x_src: Tensor
    eps: Tensor
    t: Tensor
    """(1,) long."""
    references: References | None
    noise: Place
    """What tells this step's noised source from that of any other."""


def _pair(
    prior: Prior, prompts: Prompts, asked: _Asked, frames: slice, place: Place | None
) -> tuple[Tensor, Tensor]:
    """Guided (eps_ref, eps_edit) of some frames: from one call of a teacher, or from one each.

    place: where the reference's answer may be kept; None asks for it in any case.
    """
    method, t, references = asked.method, asked.t, asked.references
    x, x_src, eps = (v[:, :, frames] for v in (asked.x, asked.x_src, asked.eps))
    x_t = add_noise(prior.schedule, x, eps, t)
    if method.eta:
        x_t = losses.flow_target(x, x_src, x_t, at(prior.schedule.sigma, t, x.ndim), method.eta)
    x_src_t = add_noise(prior.schedule, x_src, eps, t)
    edited = Branch(x_t, prompts.target, prompts.empty, method.guidance_target)
    source = Branch(x_src_t, prompts.source, prompts.empty, method.guidance_source)
    if references is None or place is None:
        reference, edit = guided(prior, [source, edited], t)
    else:
        place = (*asked.noise, *place, frames.start, frames.stop)
        kept = references.get(place, x.device)
        if kept is not None:
            reference, (edit,) = kept, guided(prior, [edited], t)
        elif isinstance(prior, FewRows):
            # It answers row by row whatever it is asked, and of more rows more processes have some.
            reference, edit = guided(prior, [source, edited], t)
        else:
            # A call each, whether it was kept or not: a kernel's last digits go with the size of
            # its batch, and the same run must end the same.
            (reference,), (edit,) = (guided(prior, [branch], t) for branch in (source, edited))
        if kept is None:
            references.keep(place, reference)
    # The part of the edit that was carried into x_t is no noise of the edit's.
    return reference, edit - method.eta * (x - x_src) if method.eta else edit


def _video(
    teachers: Teachers, prompts: Prompts, asked: _Asked, flows: Flows | None
) -> tuple[Tensor, Tensor | None]:
    """The video teacher's gradient of the whole clip, and the adaptive mask."""
    method, x = asked.method, asked.x
    frames = x.shape[2]
    slices = temporal.windows(frames, teachers.window, teachers.window // 4)
    references, edits = [], []
    prior, mine = teachers.video, parallel.share(len(slices))
    if len(slices) == 1 and parallel.count() > 1:
        # There are no windows to share, so its rows are: without guidance and with.
        prior, mine = FewRows(prior, shared=True), range(1)
    # Fused, the edit needs the reference's layers and not only what they lead to.
    place = ("video",) if method.fusion == 1 else None
    with fused(teachers.video.network, method.fusion):
        for k, window in enumerate(slices):
            # What other processes answer for is 0 here; the sum below makes it whole.
            reference = edit = torch.zeros_like(x[:, :, window])
            if k in mine:
                reference, edit = _pair(prior, prompts, asked, window, place)
            references.append(reference)
            edits.append(edit)
    reference, edit = (temporal.blend(parts, slices, frames) for parts in (references, edits))
    if len(slices) > 1:
        reference, edit = parallel.sum_(reference), parallel.sum_(edit)
    g = losses.dds(edit, reference)
    if method.smoothing == "off":
        return g, None
    along = flows if method.smooth_along_flow else None
    known = asked.eps if method.smoothing == "residual" else None
    smoothed = temporal.smooth_reference(reference, known, flows=along)
    mask = temporal.adaptive_mask(g, method.mask_k)
    return losses.assd(edit, reference, smoothed, mask), mask


def _image(image: Prior, prompts: Prompts, asked: _Asked) -> Tensor:
    """The image teacher's DDS gradient, frame by frame."""
    g, mine = torch.zeros_like(asked.x), parallel.share(asked.x.shape[2])
    if mine:
        here = slice(mine.start, mine.stop)
        reference, edit = _pair(image, prompts, asked, here, ("image",))
        g[:, :, here] = losses.dds(edit, reference)
    return parallel.sum_(g)
