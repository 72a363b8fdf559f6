"""What numbers a job may have: its seed, its steps, and settings by name.

Every check raises InputError with the option's name and what it takes. This module knows nothing
about what the settings do.
"""

from collections.abc import Sequence
from math import inf
from typing import Any

from pipelines.errors import InputError

MOST_STEPS = 10**6


def option(name: str) -> str:
    """A setting as it is spelt on a command line."""
    return f"--{name.replace('_', '-')}"


def check_seed(seed: int) -> None:
    """A seed that random generators take."""
    if not 0 <= seed < 2**63:
        raise InputError(f"The seed {seed} must be a whole number from 0 to {2**63 - 1}.")


def check_steps(steps: int, do_nothing: str) -> None:
    """Steps that end, and that begin. do_nothing: what none of them does, as in "make no edit"."""
    if steps < 1:
        raise InputError(f"{steps} steps {do_nothing}. Give at least 1.")
    if steps > MOST_STEPS:
        raise InputError(f"{steps} steps never end. Give at most {MOST_STEPS:,}.")


def check_amounts(settings: Any, names: Sequence[str]) -> None:
    """Settings that are 0 or more, and finite."""
    for name in names:
        if not 0 <= getattr(settings, name) < inf:
            raise InputError(f"{option(name)} is {getattr(settings, name)}: give 0 or more.")


def check_shares(settings: Any, names: Sequence[str], least: float = 0) -> None:
    """Settings that are `least` to 1."""
    for name in names:
        if not least <= getattr(settings, name) <= 1:
            said = f"The share {option(name)} is {getattr(settings, name)}"
            raise InputError(f"{said}: give {least} to 1.")
