"""A run as its tab shows it: each of the job's events becomes a change of the page.

Knows nothing about what a job does, nor how its results look.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gradio as gr

from pipelines.events import Begun, Done, Left, Note, Preview, Step, Waiting, Writing
from pipelines.runs import curve
from pipelines.runs.history import Job
from ui.preview import previewed
from ui.progress import progress
from ui.running import Change, begun, in_line, in_turn, said


def loading(job: Job) -> dict[str, Any]:
    """The fields of a `Change` when a job is asked for; one that goes on has its curve already."""
    return {
        "status": progress("Loading", 0, curve.read(job.out)),
        "start_button": gr.Button(interactive=False),
        **begun(job.out),
    }


def follow(
    job: Job,
    owner: str | None,
    resumes: bool,
    shown: Callable[..., Change],
    done: Callable[[Done, list[str]], Change],
    cleared: Change,
) -> Iterator[Change]:
    """What the page is told of a job in its turn; its run becomes the owner's.

    shown: the tab's change, from fields that all tabs have. done: from the job's end and all its
    notes. cleared: the tab before there is a result, as it is from the first step on: whatever goes
    wrong before that leaves an earlier result, and its run, where they are.
    """
    notes: list[str] = []
    done_so_far, stepped = 0.0, False
    so_far = curve.read(job.out)
    try:
        # A closed tab closes this generator, and with it the stream, which stops the job.
        with closing(in_turn(job, owner, resumes)) as events:
            for event in events:
                match event:
                    case Waiting() | Left():
                        yield shown(**in_line(event, job.out))
                    case Begun(folder):
                        # Its button may have been pressed meanwhile, and says so.
                        yield shown(status=progress("Loading", 0), run=str(folder))
                    case Note(text):
                        notes.append(text)
                        yield shown(status=progress(text, done_so_far))
                    case Step(index, steps):
                        if not stepped:
                            yield cleared
                        stepped = True
                        so_far, done_so_far = curve.grown(so_far, event), (index + 1) / steps
                        yield shown(status=progress(said(event), done_so_far, so_far))
                    case Preview():
                        hidden = gr.update(visible="hidden")
                        yield shown(preview=previewed(event, columns=2), result=hidden)
                    case Writing():
                        done_so_far = 1.0
                        yield shown(status=progress(said(event), done_so_far))
                    case Done():
                        yield done(event, notes)
    except Exception:
        if not stepped:
            yield shown(run=None)
        raise
