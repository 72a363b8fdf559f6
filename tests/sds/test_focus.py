"""Where a gradient is strong, on gradients whose answer is known."""

import torch

from sds.focus import salience


def test_a_strong_square_is_one_and_a_weak_rest_its_share_of_it():
    g = torch.full((1, 4, 2, 16, 16), -0.1)
    g[..., 4:12, 4:12] = 1.0
    s = salience(g)
    assert s.shape == (1, 1, 2, 16, 16)
    assert (s[..., 5:11, 5:11] == 1).all()
    torch.testing.assert_close(s[..., :3, :], torch.full((1, 1, 2, 3, 16), 0.1))
    # A corner of the square sees 4 strong cells of 9.
    torch.testing.assert_close(s[0, 0, 0, 4, 4], torch.tensor((4 + 5 * 0.1) / 9))


def test_each_frame_is_measured_against_itself():
    g = torch.randn(1, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    scaled = g * torch.tensor([1.0, 5.0, 0.2]).view(1, 1, 3, 1, 1)
    torch.testing.assert_close(salience(scaled), salience(g))
    assert salience(g).max() == 1 and salience(g).min() > 0


def test_no_gradient_is_strong_nowhere():
    g = torch.zeros(1, 4, 2, 16, 16)
    g[:, :, 1, 3, 3] = 1
    assert (salience(g)[:, :, 0] == 0).all() and salience(g).isfinite().all()
