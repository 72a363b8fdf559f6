"""The errors that a user is meant to read: each says in a sentence what is wrong, and what to do.

The command line prints it, the page shows it as a message. Anything else that is raised is a defect
of the program.
"""


class InputError(ValueError):
    """What the user gave cannot be used. The text says why and names the remedy."""


class RunFailed(RuntimeError):
    """A run could not go on. The text says why, what was kept, and what to change."""


class LineFull(RuntimeError):
    """Too many runs wait already. The text says what to wait for."""
