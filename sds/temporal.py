"""Along time: the sliding window of ASSD, its adaptive mask, and windows over long clips.

    literal    SS(e)_i = mean_{j in window(i)} e_j
    residual   SS(e)_i = eps_i + mean_{j in window(i)} (e_j - eps_j)

ASSD (2406.04888) smooths the reference prediction e over 3 frames, stride 1. When the frames have
independent noise the literal form mixes their noises and so injects noise of std sqrt(2/3) = 0.82
into the gradient; the residual form smooths only what the teacher adds to the noise. Version 3 of
the paper smooths the gradient along optical flow: that is `window_mean(g, 3, flows)`. What an edit
does to the picture is steadied by

    steady_mean(x)_i = sum_j w_ij warp(x_j) / sum_j w_ij,   w_ij = exp(-|warp(f_j) - f_i|^2 / c^2)

over the frames f of the clip itself, w_ii = 1: only what looks the same is the same.

Video tensors are (B, C, F, H, W). This module knows nothing about teachers or prompts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sds.optical_flow import Flows, chain, inside, reliable, warp

FAMILIAR = 0.05
"""Root mean square between two colours in [0, 1] at which they count as the same to 1 / e."""


def window_mean(x: Tensor, size: int = 3, flows: Flows | None = None) -> Tensor:
    """Centred mean over `size` frames; at the ends, over the frames that exist.

    x (B, C, F, H, W) -> same. With flows (on the grid H, W) each neighbour is first brought to
    frame i along the motion, and counts only where the motion stays inside the picture.
    Raises ValueError for an even size.
    """
    _expect_middle(size)
    total, count = x, x.new_ones(1, 1, *x.shape[2:])
    for step in (-1, 1):
        near, valid = x, x.new_ones(1, 1, *x.shape[2:])
        for _ in range(size // 2):
            near, valid = _neighbour(near, step, flows), _neighbour(valid, step, flows)
            if flows is not None:
                valid = valid * _inside(x, step, flows)
            total, count = total + valid * near, count + valid
    return total / count


def steady_mean(x: Tensor, frames: Tensor, flows: Flows, size: int) -> Tensor:
    """Mean of x over `size` frames along the clip's motion, where it shows the same thing.

    x (F, C, H, W); frames (F, 3, H, W) in [0, 1], the clip; flows on the same grid -> (F, C, H, W).
    Neighbours are brought to a frame in one warp along the chained flows, and count as far as the
    clip itself agrees there (FAMILIAR), and not at all where a flow and its way back disagree: not
    across a cut, nor around what moves over something else. Raises ValueError for an even size.
    """
    _expect_middle(size)
    total, weight = x.clone(), torch.ones_like(x[:, :1])
    both = torch.cat([x, frames], dim=1)
    for backwards in (False, True):
        there, back = flows.to_next, flows.to_previous
        if backwards:  # the same in a clip that runs the other way
            there, back, both = back.flip(0), there.flip(0), both.flip(0)
            total, weight = total.flip(0), weight.flip(0)
        sure = reliable(there, back).to(x.dtype)
        flow, trust = there, sure
        for k in range(1, min(size // 2, len(x) - 1) + 1):
            near = len(x) - k
            if k > 1:
                trust = trust[:near] * warp(sure[k - 1 :], flow[:near])
                flow = chain(flow[:near], there[k - 1 :])
            moved, shown = warp(both[k:], flow).split([x.shape[1], 3], dim=1)
            apart = (shown - both[:near, x.shape[1] :]).square().mean(1, keepdim=True)
            w = (trust == 1) * inside(flow) * torch.exp(-apart / FAMILIAR**2)
            total[:near] += w * moved
            weight[:near] += w
    return (total / weight).flip(0)


def smooth_reference(
    eps_ref: Tensor, eps: Tensor | None, size: int = 3, flows: Flows | None = None
) -> Tensor:
    """SS(eps_ref) for `losses.assd`. eps_ref and eps (B, C, F, H, W) -> same.

    eps: the noise that was added, for the residual form; None gives the paper's literal form, for
    frames that share one noise.
    """
    if eps is None:
        return window_mean(eps_ref, size, flows)
    return eps + window_mean(eps_ref - eps, size, flows)


def variation(g: Tensor) -> Tensor:
    """How abruptly g changes in time: mean |g_i - g_j| over channels and the frames j = i +- 1.

    g (B, C, F, H, W) -> (B, 1, F, H, W) >= 0; zero for a single frame.
    """
    frames = g.shape[2]
    if frames == 1:
        return torch.zeros_like(g[:, :1])
    step = g.diff(dim=2).abs().mean(1, keepdim=True)
    mean = torch.zeros_like(g[:, :1])
    mean[:, :, :-1] += step / 2
    mean[:, :, 1:] += step / 2
    for end in (0, -1):  # which has one neighbour
        mean[:, :, end] *= 2
    return mean


def adaptive_mask(g: Tensor, k: float) -> Tensor:
    """The adaptive mask of ASSD: 1 where g's temporal variation exceeds its mean + k std.

    The threshold is set anew every step and clip, because gradients grow over a run.
    g (B, C, F, H, W) -> (B, 1, F, H, W), 0 or 1; 0 where g does not vary at all, whatever k.
    """
    v = variation(g)
    clip = (1, 2, 3, 4)
    threshold = v.mean(clip, keepdim=True) + k * v.std(clip, correction=0, keepdim=True)
    return ((v > threshold) & (v > 0)).to(g.dtype)


def windows(n_frames: int, length: int, overlap: int) -> list[slice]:
    """Windows that cover all frames, neighbours sharing at least `overlap` frames, spread evenly.

    Each is exactly `length` long, unless the clip is shorter: then it is one window.
    """
    if not 0 <= overlap < length:
        raise ValueError(f"overlap {overlap} must be at least 0 and less than the length {length}")
    if n_frames <= length:
        return [slice(0, n_frames)]
    span = n_frames - length
    count = -(-span // (length - overlap)) + 1
    starts = [i * span // (count - 1) for i in range(count)]
    return [slice(start, start + length) for start in starts]


def blend_weights(slices: Sequence[slice], n_frames: int) -> Tensor:
    """Weights that fall towards each window's edges and sum to 1 per frame.

    -> (len(slices), n_frames) fp32, zero outside a window. Raises ValueError for a frame that no
    window covers.
    """
    weights = torch.zeros(len(slices), n_frames)
    for row, window in zip(weights, slices, strict=True):
        length = window.stop - window.start
        rising = torch.arange(1, length + 1)
        row[window] = torch.minimum(rising, rising.flip(0)).float()
    seen = {frame for window in slices for frame in range(window.start, window.stop)}
    if len(seen) < n_frames:
        raise ValueError("some frames are in no window; make the slices with windows()")
    return weights / weights.sum(0)


def blend(parts: Sequence[Tensor], slices: Sequence[slice], n_frames: int) -> Tensor:
    """Per-window tensors (B, C, f, H, W) -> one (B, C, n_frames, H, W), weighted as above."""
    weights = blend_weights(slices, n_frames).to(parts[0].device, non_blocking=True)
    b, c, _, h, w = parts[0].shape
    out = parts[0].new_zeros(b, c, n_frames, h, w)
    for part, window, weight in zip(parts, slices, weights, strict=True):
        out[:, :, window] += part * weight[window].view(-1, 1, 1)
    return out


def _expect_middle(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a centred window needs an odd size, got {size}")


def _neighbour(x: Tensor, step: int, flows: Flows | None) -> Tensor:
    """Frame i + step brought to frame i, zeros where there is none. (B, C, F, H, W) -> same."""
    moved = x[:, :, 1:] if step > 0 else x[:, :, :-1]
    if flows is not None and moved.shape[2]:
        b, c, f, h, w = moved.shape
        flow = flows.to_next if step > 0 else flows.to_previous
        rows = moved.transpose(1, 2).reshape(b * f, c, h, w)
        moved = warp(rows, flow.repeat(b, 1, 1, 1)).view(b, f, c, h, w).transpose(1, 2)
    edge = torch.zeros_like(x[:, :, :1])
    return torch.cat([moved, edge] if step > 0 else [edge, moved], dim=2)


def _inside(x: Tensor, step: int, flows: Flows) -> Tensor:
    """Where the flow towards frame i + step stays in the picture. -> (1, 1, F, H, W)."""
    flow = flows.to_next if step > 0 else flows.to_previous
    valid = inside(flow).to(x.dtype).transpose(0, 1).unsqueeze(0)
    edge = valid.new_zeros(1, 1, 1, *valid.shape[3:])
    return torch.cat([valid, edge] if step > 0 else [edge, valid], dim=2)
