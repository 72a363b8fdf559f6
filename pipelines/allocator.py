"""Keep freed memory for the next step, on Linux with glibc.

Every layer allocates and frees tens of megabytes. By default glibc hands such blocks back to the
kernel at once, which then clears the same pages again, layer after layer, step after step. This
module knows nothing about tensors.
"""

import ctypes
import platform

# From malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
GLIBC_DEFAULT = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65536}
KEEP = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0}


def configure(options: dict[int, int] = KEEP) -> bool:
    """Set options of glibc's malloc for this process; False where there is no glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(option, value) == 1 for option, value in options.items())
