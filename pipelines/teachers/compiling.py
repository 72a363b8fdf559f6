"""Where networks cannot be compiled: said before a run begins, or where it fails on the way.

Knows nothing about teachers, nor about what of them is compiled (`sds.priors.compiled`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.errors import InputError, RunFailed
from pipelines.teachers.machine import machine
from sds.priors import compiled

REMEDY = (
    "Install what torch.compile needs (a C++ compiler, and Triton for a GPU), or begin a run whose "
    "networks are not compiled: without --compile."
)


def expect_compiler() -> None:
    """Raises InputError where networks cannot be compiled here, which takes seconds to find out."""
    try:
        compiled.expect_compiler(machine()[0])
    except ValueError as error:
        raise InputError(
            f"Networks cannot be compiled on this machine. {REMEDY} It said: {error}"
        ) from error


@contextmanager
def compiler_is_said() -> Iterator[None]:
    """Turn what the compiler cannot do on the way into RunFailed."""
    try:
        yield
    except Exception as error:
        said = compiled.failure(error)
        if said is None:
            raise
        raise RunFailed(f"A network could not be compiled. {REMEDY} It said: {said}") from error
