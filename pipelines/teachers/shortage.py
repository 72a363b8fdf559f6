"""Which errors mean that memory ran out, whoever asked for it.

torch has an error for that on a GPU. On a CPU, and where cuBLAS, cuDNN and the driver ask, it is a
plain RuntimeError, and only its words tell. So it is where a convolution finds no room to work in:
torch tries all of cuDNN's ways, drops what each of them fails of, and says that there is none. This
module knows nothing about what to do then.
"""

import torch

from pipelines.errors import RunFailed

_WORDS = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    # The same from cuDNN 9 on.
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "unable to find an engine to execute this computation",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "DefaultCPUAllocator: not enough memory",
    # The same on Linux.
    "DefaultCPUAllocator: can't allocate memory",
)


def shortage(error: RuntimeError) -> str:
    """What a shortage of memory says. Raises the error itself where it is none."""
    # What was put into a sentence for the user already quotes the words.
    found = any(word in str(error) for word in _WORDS) and not isinstance(error, RunFailed)
    if not found and not isinstance(error, torch.OutOfMemoryError):
        raise error
    return str(error)
