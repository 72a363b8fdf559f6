"""Range and order of the timesteps."""

import pytest

from sds.timesteps import descending


def test_descending_is_evenly_spaced_from_high_to_low():
    assert descending(5, 100, 900).tolist() == [900, 700, 500, 300, 100]
    assert descending(1, 100, 900).tolist() == [900]


@pytest.mark.parametrize("low, high", [(5, 4), (-1, 3)])
def test_empty_ranges_are_refused(low, high):
    with pytest.raises(ValueError, match="0 <= low <= high"):
        descending(3, low, high)
