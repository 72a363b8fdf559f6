"""The one error a user is meant to read.

`InputError` carries one sentence that says what is wrong with what the user gave, and what to do
about it. The command line prints it and exits with code 2, the page shows it as a message.
Anything else that is raised is a defect of the program.
"""


class InputError(ValueError):
    """What the user gave cannot be used. The text says why and names the remedy."""


class RunFailed(RuntimeError):
    """A run could not go on. The text says why, what was kept, and what to change."""


class LineFull(RuntimeError):
    """Too many runs wait already. The text says so."""
