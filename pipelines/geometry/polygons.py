"""Polygons as triangles: each a fan from its first corner, in the file's order.

This module knows nothing about files, nor about polygons that a fan does not fit.
"""

import numpy as np
from numpy.typing import NDArray


def fans(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The triangles of polygons whose corners are listed one polygon after the other.

    sizes (P,): how many corners each has; fewer than three make no triangle. -> which polygon every
    triangle is of (T,), and where in the list its corners are (T, 3).
    """
    counts = np.maximum(sizes - 2, 0)
    polygon = np.repeat(np.arange(len(sizes)), counts)
    first = (np.cumsum(sizes) - sizes)[polygon]
    step = np.arange(len(polygon)) - (np.cumsum(counts) - counts)[polygon]
    return polygon, np.stack([first, first + step + 1, first + step + 2], axis=1)
