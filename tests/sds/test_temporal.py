"""The window, its two forms, the adaptive mask, and windows over long clips."""

import itertools
import math

import pytest
import torch

from sds.optical_flow import Flows, chain, inside, reliable, warp
from sds.temporal import (
    FAMILIAR,
    adaptive_mask,
    blend,
    blend_weights,
    smooth_reference,
    steady_mean,
    variation,
    window_mean,
    windows,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_window_mean_averages_the_frames_that_exist():
    x = torch.tensor([1.0, 2, 6, 4]).view(1, 1, 4, 1, 1)
    assert window_mean(x).flatten().tolist() == pytest.approx([1.5, 3, 4, 5])
    assert window_mean(x, 5).flatten().tolist() == pytest.approx([3, 3.25, 3.25, 4])
    assert torch.equal(window_mean(x, 1), x)
    assert torch.equal(window_mean(x[:, :, :1]), x[:, :, :1])
    with pytest.raises(ValueError, match="odd"):
        window_mean(x, 2)


def test_the_literal_window_injects_noise_that_the_residual_form_avoids():
    eps = randn(1, 4, 12, 48, 48)
    inner = slice(1, -1)
    # A perfect teacher in both branches: nothing to edit, so any gradient is injected noise.
    literal = eps - smooth_reference(eps, None)
    assert literal[:, :, inner].std().item() == pytest.approx(math.sqrt(2 / 3), abs=0.005)
    assert literal[:, :, inner].std().item() == pytest.approx(0.82, abs=0.01)
    assert literal[:, :, [0, -1]].std().item() == pytest.approx(math.sqrt(1 / 2), abs=0.01)
    residual = eps - smooth_reference(eps, eps)
    assert residual.eq(0).all()


def test_both_forms_agree_when_frames_share_their_noise():
    eps = randn(1, 4, 1, 6, 6).expand(-1, -1, 5, -1, -1)
    eps_ref = eps + randn(1, 4, 5, 6, 6, seed=1)
    got = smooth_reference(eps_ref, eps)
    torch.testing.assert_close(got, smooth_reference(eps_ref, None), atol=1e-6, rtol=1e-5)


def shifted_clip(frames=5, h=6, w=12):
    """A picture that moves one pixel to the right per frame, and its true flows."""
    wide = randn(2, 3, h, w + frames)
    x = torch.stack([wide[..., frames - i : frames - i + w] for i in range(frames)], dim=2)
    right = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(frames - 1, 2, h, w)
    return x, Flows(right, -right)


@pytest.mark.parametrize("size", [3, 5])
def test_along_the_true_motion_the_window_changes_nothing(size):
    x, flows = shifted_clip()
    torch.testing.assert_close(window_mean(x, size, flows), x)
    assert (window_mean(x, size) - x).abs().max() > 0.5


def test_zero_flow_is_the_plain_window():
    x = randn(2, 3, 5, 6, 6)
    still = Flows(torch.zeros(4, 2, 6, 6), torch.zeros(4, 2, 6, 6))
    assert torch.equal(window_mean(x, 3, still), window_mean(x, 3))


def counted(frames=5):
    """Every frame is its own number; the clip shows the same all the time, and stands still."""
    x = torch.arange(float(frames)).view(-1, 1, 1, 1).expand(frames, 1, 6, 6)
    still = torch.zeros(frames - 1, 2, 6, 6)
    return x, torch.full((frames, 3, 6, 6), 0.5), still


def test_the_steady_mean_of_a_still_clip_is_the_plain_window():
    x, clip, still = counted()
    for size in (1, 3, 5, 7, 99):
        got = steady_mean(x, clip, Flows(still, still), size)
        plain = window_mean(x.transpose(0, 1)[None], size)
        torch.testing.assert_close(got.transpose(0, 1)[None], plain)
    with pytest.raises(ValueError, match="odd"):
        steady_mean(x, clip, Flows(still, still), 4)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_along_the_true_motion_the_steady_mean_changes_nothing(size):
    x, flows = shifted_clip()
    rows = x[0].transpose(0, 1)
    torch.testing.assert_close(steady_mean(rows, rows, flows, size), rows)


def test_where_the_way_back_disagrees_the_steady_mean_ends():
    x, clip, still = counted()
    back = still.clone()
    # Between frames 2 and 3 one column comes from somewhere else.
    back[2, 0, :, 2] = 3
    got = steady_mean(x, clip, Flows(still, back), 5)
    assert got[:, 0, 0, 4].tolist() == pytest.approx([1, 1.5, 2, 2.5, 3])
    assert got[:, 0, 0, 2].tolist() == pytest.approx([1, 1, 1, 3.5, 3.5])


def test_what_looks_different_counts_less():
    x, clip, still = counted(2)
    clip[1, :, :, 3:] += FAMILIAR
    got = steady_mean(x, clip, Flows(still, still), 3)
    assert got[:, 0, 0, 0].tolist() == pytest.approx([0.5, 0.5])
    less = math.exp(-1)
    assert got[:, 0, 0, 5].tolist() == pytest.approx([less / (1 + less), 1 / (1 + less)])


def test_the_steady_mean_is_the_sum_by_the_letter():
    """Each frame and each of its neighbours on its own, along flows that differ and hide things."""
    count, size, side = 6, 5, 8
    x = randn(count, 2, side, side, seed=1)
    clip = 0.5 + 0.03 * randn(count, 3, side, side, seed=2)
    steps = torch.tensor([[1.0, 0], [0, 1], [-1, 1], [1, 1], [0, -1]])[:, :, None, None]
    there = steps.expand(-1, -1, side, side).clone()
    back = -there
    # Between two frames a corner comes from elsewhere.
    back[1, 0, :4, :4] = 5
    back[3, 1, 5:, 2:] = -6

    want = torch.zeros_like(x)
    for i in range(count):
        total, weight = x[i : i + 1], torch.ones(1, 1, side, side)
        for sign, (out, home) in {1: (there, back), -1: (back, there)}.items():
            flow = trust = None
            for j in range(i + sign, i + sign * (size // 2 + 1), sign):
                if not 0 <= j < count:
                    break
                # The flow between j and the frame before it on the way.
                link = slice(min(j, j - sign), min(j, j - sign) + 1)
                sure = reliable(out[link], home[link]).float()
                trust = sure if flow is None else trust * warp(sure, flow)
                flow = out[link] if flow is None else chain(flow, out[link])
                apart = (warp(clip[j : j + 1], flow) - clip[i : i + 1]).square().mean(1)
                w = (trust == 1) * inside(flow) * torch.exp(-apart / FAMILIAR**2)
                total = total + w * warp(x[j : j + 1], flow)
                weight = weight + w
        want[i] = (total / weight)[0]
    got = steady_mean(x, clip, Flows(there, back), size)
    torch.testing.assert_close(got, want)
    assert (got - x).abs().amax((1, 2, 3)).min() > 0.1


def test_variation_is_two_sided_and_one_sided_at_the_ends():
    g = torch.tensor([0.0, 1, 1, 4]).view(1, 1, 4, 1, 1)
    assert variation(g).flatten().tolist() == [1, 0.5, 1.5, 3]
    two_channels = torch.cat([g, -3 * g], dim=1)
    assert variation(two_channels).flatten().tolist() == [2, 1, 3, 6]
    assert variation(g[:, :, :1]).eq(0).all()


def test_the_mask_takes_what_lies_above_its_mean_and_k_deviations():
    # Its variation is 2, 1, 3 and 6: 3 in the mean, and the root of 3.5 the deviation.
    g = torch.tensor([0.0, 2, 2, 8]).view(1, 1, 4, 1, 1)
    assert variation(g).flatten().tolist() == [2, 1, 3, 6]
    for k, above in ((1.6, [0, 0, 0, 1]), (1.61, [0, 0, 0, 0]), (-0.5, [0, 0, 1, 1]), (0, [0] * 3)):
        assert adaptive_mask(g, k).flatten().tolist()[: len(above)] == above


def test_the_mask_finds_the_abrupt_place_at_any_scale():
    g = 0.01 * randn(1, 4, 8, 6, 6)
    g[:, :, 4, 2:4, 2:4] += 5
    mask = adaptive_mask(g, k=2)
    assert mask.shape == (1, 1, 8, 6, 6)
    assert mask[0, 0, 4, 2:4, 2:4].eq(1).all() and mask[0, 0, :3].eq(0).all()
    tiny = adaptive_mask(1e-7 * g, k=2)
    assert torch.equal(tiny, mask)


@pytest.mark.parametrize("channels", [4, 48])
def test_the_slider_s_lowest_end_switches_the_mask_off(channels):
    g = randn(1, channels, 8, 6, 6)
    assert adaptive_mask(g, k=3).mean() < 0.1 and adaptive_mask(g, k=-10).eq(1).all()


def test_no_variation_means_no_mask_whatever_k():
    for g in (torch.zeros(1, 2, 4, 3, 3), torch.ones(1, 2, 4, 3, 3)):
        assert adaptive_mask(g, k=-3).eq(0).all()


@pytest.mark.parametrize("n, length, overlap", [(5, 16, 4), (16, 16, 4), (17, 16, 4), (81, 16, 6)])
def test_windows_cover_everything_at_full_length(n, length, overlap):
    got = windows(n, length, overlap)
    assert got[0].start == 0 and got[-1].stop == n
    assert all(w.stop - w.start == min(n, length) for w in got)
    pairs = itertools.pairwise(got)
    assert all(a.stop - b.start >= overlap and b.start > a.start for a, b in pairs)
    weights = blend_weights(got, n)
    torch.testing.assert_close(weights.sum(0), torch.ones(n))
    assert (weights >= 0).all()


def test_blend_weights_fall_to_the_edge():
    first, second = blend_weights(windows(10, 6, 2), 10)
    assert first[:4].eq(1).all() and first[6:].eq(0).all()
    assert first.tolist()[4:6] == pytest.approx([2 / 3, 1 / 3])
    torch.testing.assert_close(second, first.flip(0))
    with pytest.raises(ValueError, match="no window"):
        blend_weights([slice(0, 3)], 4)
    with pytest.raises(ValueError, match="overlap"):
        windows(10, 4, 4)


def test_blend_puts_a_cut_clip_together_again():
    x = randn(2, 3, 11, 4, 4)
    slices = windows(11, 5, 2)
    torch.testing.assert_close(blend([x[:, :, s] for s in slices], slices, 11), x)
