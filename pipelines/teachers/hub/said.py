"""What goes wrong between here and the hub, in one sentence each, with the remedy.

Knows nothing about what is fetched.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors, get_token

from pipelines.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAYS_FULL = ("no space left", "os error 28", "disk quota exceeded")
"""What is in the words of an error without a number, such as those of hf_xet."""
_UNREACHED = (
    errors.DryRunError,
    errors.LocalEntryNotFoundError,
    errors.HTTPError,
    ConnectionError,
    TimeoutError,
)
"""What is raised before anything was fetched."""
_LOG_IN = "log in with: hf auth login, or set HF_TOKEN"
"""The second is for where there is no shell, such as a Space."""
_REFUSED = (401, 403)
"""What the hub answers to a token that has run out, or that may not read what is asked for."""


def name_of(source: str) -> tuple[str, str]:
    """An id on the hub and its revision, from `owner/model` or `owner/model@revision`."""
    repo, _, revision = source.partition("@")
    return repo, revision or "main"


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turn what the hub's library raises into InputError."""
    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(
            f"{source!r} is neither a teacher of the list, nor a folder here, nor an id on the hub "
            "such as owner/model. Check the spelling."
        ) from error
    # hf_xet, which fetches large files, knows nothing but RuntimeError.
    except (errors.DryRunError, errors.HTTPError, OSError, RuntimeError) as error:
        raise InputError(_sentence(source, error)) from error


def _sentence(source: str, error: BaseException) -> str:
    repo, revision = name_of(source)
    if isinstance(error, errors.DryRunError | errors.LocalEntryNotFoundError):
        error = error.__cause__ or error
    match error:
        case errors.GatedRepoError():
            return (
                f"{repo} is gated: accept its licence at https://huggingface.co/{repo}, make a "
                f"token at https://huggingface.co/settings/tokens, and {_LOG_IN}"
            )
        case errors.RevisionNotFoundError():
            return f"{repo} has no revision {revision!r}: check what follows the @, or leave it."
        case errors.RepositoryNotFoundError():
            return (
                f"There is no model {repo} on the hub, or it is private: check the spelling, or "
                f"{_LOG_IN}"
            )
        case OSError() | RuntimeError() if (full := _full(error)) is not None:
            return (
                f"The disk has no room for {repo} ({full}): free some space in "
                f"{constants.HF_HUB_CACHE}, or set HF_HOME to a folder on a larger disk."
            )
        case PermissionError() | OSError(errno=errno.EROFS):
            return (
                f"{repo} cannot be kept in {constants.HF_HUB_CACHE} ({error.strerror}): set "
                "HF_HOME to a folder you may write to."
            )
        case errors.HfHubHTTPError() if _token_refused(error):
            return (
                f"The hub refused your token when asked for {repo}: make one that may read it at "
                f"https://huggingface.co/settings/tokens, and {_LOG_IN}, which comes first"
            )
        case errors.HfHubHTTPError():
            return (
                f"The hub answered {error.response.status_code} when asked for {repo}: try again "
                "later, or give the model's folder."
            )
        case RuntimeError() | OSError(errno=None) if not isinstance(error, _UNREACHED):
            return (
                f"{repo} could not be fetched to its end ({_line(error)}): try again, which goes "
                "on from what is here, or give the model's folder."
            )
    remedy = "connect to the internet"
    if constants.is_offline_mode():
        remedy = "unset HF_HUB_OFFLINE"
    return (
        f"{repo} is not on this machine and the hub cannot be reached: {remedy}, give the model's "
        "folder, or choose the built-in teacher with --teacher miniature."
    )


def _token_refused(error: errors.HfHubHTTPError) -> bool:
    # A model that was disabled is so for everyone.
    disabled = isinstance(error, errors.DisabledRepoError)
    return error.response.status_code in _REFUSED and not disabled and get_token() is not None


def _full(error: OSError | RuntimeError) -> str | None:
    """How an error says that the disk is full; None for any other."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return error.strerror
    return _line(error) if any(words in str(error).lower() for words in _SAYS_FULL) else None


def _line(error: BaseException) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
