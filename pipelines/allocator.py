"""Keep freed memory for the next step, and no longer than a job lasts; on Linux with glibc.

Every layer allocates and frees tens of megabytes. By default glibc hands such blocks back to the
kernel at once, which then clears the same pages again, layer after layer, step after step. What is
kept for that is handed back when a job ends, or every thread that ever ran one would keep its own.
This module knows nothing about tensors.
"""

import ctypes
import gc
import platform

# From malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
GLIBC_DEFAULT = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65536}
KEEP = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0}


def configure(options: dict[int, int] = KEEP) -> bool:
    """Set options of glibc's malloc for this process; False where there is no glibc."""
    libc = _glibc()
    if libc is None:
        return False
    return all(libc.mallopt(option, value) == 1 for option, value in options.items())


def give_back() -> None:
    """Hand the memory that nobody uses back to the system."""
    gc.collect()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
