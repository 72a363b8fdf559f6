"""The gradients of score distillation, as plain functions of predictions.

    SDS   w (eps_hat - eps)                                DreamFusion, 2209.14988
    DDS   w (eps_edit - eps_ref), same t and eps in both   2304.07090
    ASSD  m (eps_edit - SS(eps_ref)) + (1 - m) g           2406.04888
    CSD   lambda_1 stage I + lambda_2 stage II             3D Paintbrush, 2311.09571
    flow  v_tgt - v_src + (1 - eta) (x - x_src)            2509.05342

Each has the sign of a descent: x <- x - lr * gradient. None of them runs a teacher, and none needs
autograd; `distill` is the bridge to a renderer. This module knows nothing about timesteps, prompts
or optimisers.
"""

import torch
from torch import Tensor

from sds.schedules import Schedule, at


def sds_weight(schedule: Schedule, t: Tensor, ndim: int) -> Tensor:
    """DreamFusion's w(t) = sigma^2 (1 - alpha_bar for ddpm). t (N,) -> (N, 1, ...), `ndim` dims."""
    return at(schedule.sigma, t, ndim).square()


def sds(eps_hat: Tensor, eps: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """SDS: w (eps_hat - eps). eps_hat, eps (N, ...); weight broadcasts. -> (N, ...)."""
    return weight * (eps_hat - eps)


def dds(eps_edit: Tensor, eps_ref: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """DDS: w (eps_edit - eps_ref), both predicted with one t and one eps. (N, ...) -> (N, ...)."""
    return weight * (eps_edit - eps_ref)


def assd(eps_edit: Tensor, eps_ref: Tensor, smoothed_ref: Tensor, mask: Tensor) -> Tensor:
    """ASSD: where the mask is 1 compare with the smoothed reference, where it is 0 with the plain.

    eps_edit, eps_ref, smoothed_ref (B, C, F, H, W); smoothed_ref from `temporal.smooth_reference`;
    mask in [0, 1], (B, 1, F, H, W), from `temporal.adaptive_mask`. -> (B, C, F, H, W).
    """
    return mask * (eps_edit - smoothed_ref) + (1 - mask) * (eps_edit - eps_ref)


def preserve(x: Tensor, x_src: Tensor) -> Tensor:
    """Content preservation: the gradient of |x - x_src|^2 / 2. (B, C, F, H, W) each -> the same.

    DDS and ASSD have no pull to the source, so drift adds up; add this, weighted, as the anchor.
    """
    return x - x_src


def flow_target(x: Tensor, x_src: Tensor, x_t: Tensor, sigma: Tensor, eta: float) -> Tensor:
    """Where a flow teacher is asked about the edit: x_t + eta sigma (x - x_src).

    x_t = (1 - sigma) x + sigma eps (N, ...), sigma broadcasts. eta = 0 leaves x_t alone (DDS);
    eta = 1 gives x + x_src_t - x_src (FlowEdit, 2412.08629).
    """
    return x_t + eta * sigma * (x - x_src)


def flow_delta(v_tgt: Tensor, v_src: Tensor, x: Tensor, x_src: Tensor, eta: float) -> Tensor:
    """The flow family: v_tgt - v_src + (1 - eta) (x - x_src). All (N, ...).

    v_tgt is asked at `flow_target`, v_src at the noised source, with one t and one eps. At eta = 0
    it is the DDS gradient divided by alpha; at eta = 1 it is FlowEdit's.
    """
    return v_tgt - v_src + (1 - eta) * (x - x_src)


def distill(x: Tensor, grad: Tensor, mask: Tensor | None = None) -> Tensor:
    """A scalar whose derivative with respect to x is mask * grad / batch.

    x, grad (N, ...); mask broadcasts. The value itself means nothing, only its derivative does.
    A product, not a squared distance to x - grad, which would round small gradients away.
    """
    grad = grad if mask is None else mask * grad
    return (x * grad.detach()).sum() / len(x)


def csd(
    x_1: Tensor, grad_1: Tensor, x_2: Tensor, grad_2: Tensor, lambda_1: float, lambda_2: float
) -> Tensor:
    """CSD: lambda_1 stage I + lambda_2 stage II, as one scalar to call backward on.

    x_1 (N, C, h, w) and x_2 (N, C, H, W) are one render, or parts of it, as the two stages see it;
    grad_1, grad_2 their SDS gradients, with w = sigma^2 each.
    """
    return lambda_1 * distill(x_1, grad_1) + lambda_2 * distill(x_2, grad_2)


def ramp(step: int, steps: int, final: float = 0.8) -> float:
    """lambda_2 of CSD: linear from 0 at step 0 to `final` at the last of `steps`."""
    return final * step / max(steps - 1, 1)


def rms(grad: Tensor) -> Tensor:
    """Root mean square of a gradient: a scalar to report, left on its device. (...) -> ()."""
    return torch.linalg.vector_norm(grad.detach().float()) / grad.numel() ** 0.5
