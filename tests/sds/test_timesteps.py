"""Ranges, order and reproducibility of the timesteps."""

import pytest
import torch

from sds.timesteps import annealed, descending, uniform


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_uniform_reaches_both_bounds_and_nothing_else():
    t = uniform(4000, 20, 29, seeded())
    assert t.dtype == torch.long and t.unique().tolist() == list(range(20, 30))
    assert torch.equal(t, uniform(4000, 20, 29, seeded()))
    assert not torch.equal(t, uniform(4000, 20, 29, seeded(1)))


def test_annealed_stays_under_its_falling_ceiling_and_touches_it():
    t = annealed(20000, 10, 900, 100, seeded())
    ceiling = torch.linspace(900, 100, 20000)
    assert t.dtype == torch.long and (t >= 10).all() and (t <= ceiling + 0.5).all()
    assert t[:2000].max() > 800 and t[-2000:].max() > 95 and t.min() == 10
    # Uniform under the ceiling: the mean follows the middle of the range.
    assert t[:2000].float().mean() == pytest.approx((10 + 860) / 2, abs=20)


def test_annealed_with_equal_ends_is_uniform():
    t = annealed(4000, 20, 29, 29, seeded())
    assert t.unique().tolist() == list(range(20, 30))


def test_descending_is_evenly_spaced_from_high_to_low():
    assert descending(5, 100, 900).tolist() == [900, 700, 500, 300, 100]
    assert descending(1, 100, 900).tolist() == [900]


@pytest.mark.parametrize("low, high", [(5, 4), (-1, 3)])
def test_empty_ranges_are_refused(low, high):
    with pytest.raises(ValueError, match="0 <= low <= high"):
        uniform(3, low, high, seeded())
    with pytest.raises(ValueError, match="0 <= low <= high"):
        descending(3, low, high)
    with pytest.raises(ValueError, match="0 <= low <= high"):
        annealed(3, low, 10 if low < 0 else high, high, seeded())
