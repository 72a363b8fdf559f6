"""Warping: identity, shift, half pixels, chaining, occlusion."""

import pytest
import torch

from sds.optical_flow import Flows, chain, inside, reliable, resize, warp


def picture(n=2, c=3, h=7, w=9):
    return torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(0))


def constant(dx, dy, n=2, h=7, w=9):
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(n, 2, h, w)


@pytest.mark.parametrize("size", [(7, 9), (1, 5), (64, 1), (33, 65)])
def test_zero_flow_is_the_identity_to_the_last_bit(size):
    x = picture(2, 3, *size)
    assert torch.equal(warp(x, torch.zeros(2, 2, *size)), x)


@pytest.mark.parametrize("dx, dy", [(2, 0), (0, -3), (-1, 2)])
def test_an_integer_flow_is_an_exact_shift(dx, dy):
    x = picture()
    got = warp(x, constant(dx, dy))
    rows = (torch.arange(7) + dy).clamp(0, 6)
    columns = (torch.arange(9) + dx).clamp(0, 8)
    assert torch.equal(got, x[:, :, rows][..., columns])


def test_half_a_pixel_is_the_mean_of_two_and_grid_sample_agrees():
    x = picture()
    got = warp(x, constant(0.5, 0))
    torch.testing.assert_close(got[..., :-1], (x[..., :-1] + x[..., 1:]) / 2)
    flow = 3 * torch.randn(2, 2, 7, 9, generator=torch.Generator().manual_seed(1))
    ys, xs = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    grid = torch.stack([2 * (xs + flow[:, 0]) / 8 - 1, 2 * (ys + flow[:, 1]) / 6 - 1], dim=-1)
    want = torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=True)
    torch.testing.assert_close(warp(x, flow), want, atol=1e-5, rtol=1e-5)


def test_inside_counts_what_leaves_the_picture():
    got = inside(constant(2, 0))
    assert got.shape == (2, 1, 7, 9)
    assert got[..., :7].all() and not got[..., 7:].any()


def test_chained_flow_is_the_sum_of_constant_flows():
    got = chain(constant(1, 0), constant(2, -1))
    assert torch.equal(got, constant(3, -1))


def test_the_second_flow_is_read_where_the_first_one_leads():
    second = torch.zeros(1, 2, 7, 9)
    second[:, 1] = torch.arange(9.0)  # a column's own number, downwards
    got = chain(constant(2, 0, n=1), second)
    assert got[0, 0].eq(2).all()
    assert got[0, 1, 3].tolist() == [2, 3, 4, 5, 6, 7, 8, 8, 8]


def test_reliable_is_false_where_the_way_back_disagrees():
    flow, back = constant(1, 0).clone(), constant(-1, 0).clone()
    assert reliable(flow, back)[..., :-1].all() and not reliable(flow, back)[..., -1].any()
    back[:, 0, :, 4] = 3
    assert not reliable(flow, back)[:, :, :, 3].any()
    assert reliable(flow, back)[:, :, :, :3].all()


def test_resized_flow_points_to_the_same_place():
    flows = Flows(constant(8, 4, n=1, h=16, w=32), constant(-8, -4, n=1, h=16, w=32))
    small = resize(flows, (2, 8))
    assert small.to_next.shape == (1, 2, 2, 8)
    assert small.to_next[0, :, 0, 0].tolist() == [2.0, 0.5]
    assert small.to_previous[0, :, 1, 7].tolist() == [-2.0, -0.5]


def test_flows_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="F-1"):
        Flows(torch.zeros(4, 2, 3, 3), torch.zeros(3, 2, 3, 3))
