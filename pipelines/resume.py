"""Go on with a run that was stopped, failed or was killed.

    python -m pipelines.resume RUN_DIR [--steps N]

The run goes on from its checkpoint, with its own copies of the files it was given, and ends bit for
bit where it would have ended; a painting on a GPU, where sums have no fixed order, ends nearly
there. This module knows nothing about what the run does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from pipelines import command
from pipelines.events import Event
from pipelines.runs import history
from sds import parallel


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, failed or was killed."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    steps: int | None = None
    """Take this many steps in all instead of those it was begun with. It then ends elsewhere than a
    run of that many steps from the start, whose noise levels fall at another pace."""


def resume(job: Resume) -> Iterator[Event]:
    """The rest of a run's events, as the job itself has them.

    Raises InputError for a folder that holds no run or one that has taken all of its steps, and
    RunFailed as the job does.
    """
    asked = history.job_of(job.run)
    if job.steps is not None:
        asked = replace(asked, steps=job.steps)
    yield from history.begin(asked, resumes=True)


def main() -> None:
    job = tyro.cli(Resume, prog="python -m pipelines.resume", description=__doc__)
    parallel.leave(command.run(resume(job), job.run))


if __name__ == "__main__":
    main()
