"""Who a visitor is, so that everyone sees only their own runs.

A browser keeps a random token; the server keeps its hash, and so does every run's folder, in the
file `owner`. Whoever holds the token owns the runs; a downloaded folder does not give it away. On a
studio that only its own machine reaches, runs without an owner (made from the command line into the
same base folder) are shown too.

This module knows nothing about what is in a run.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import gradio as gr

from pipelines.errors import LineFull
from pipelines.events import Begun, Event
from pipelines.media.files import replacing
from pipelines.runs.run_folder import OWNER

AT_ONCE = 3
"""Runs of one visitor from elsewhere that may wait or work at once."""
_TOKENS = 24
"""Bytes of a token."""
_runs: Counter[str] = Counter()
"""How many each such visitor has."""
_counting = Lock()


def meet_visitors(blocks: gr.Blocks) -> gr.BrowserState:
    """Give every browser that opens the page a token, inside the context of `blocks`.

    The page sends it with every request that asks whose a run is: what the server remembers of a
    page is gone when it restarts, and while a laptop sleeps.
    """
    # The storage has a fixed key and secret, or a restart of the studio would forget everyone. The
    # secret is no secret, since the page itself holds it; the token is one.
    token = gr.BrowserState(storage_key="scorebrush-visitor", secret="scorebrush")
    blocks.load(_meet, token, token, show_progress="hidden", queue=False, api_visibility="private")
    return token


def owner_of(token: str | None, request: gr.Request) -> str:
    """The owner behind a page's token; without one (the API) whoever the session is.

    Only that session can ask for such a run again.
    """
    if _is_token(token):
        return _hashed(token)
    return _hashed(request.session_hash or secrets.token_urlsafe(_TOKENS))


def owner_by_api(request: gr.Request) -> str | None:
    """Whose a run is that a program asks for: nobody's on this machine, where the page shows it."""
    return None if is_local(request) else owner_of(None, request)


def owned(make_events: Callable[[], Iterator[Event]], owner: str | None) -> Iterator[Event]:
    """A job's events; its run becomes the owner's as it begins, though nobody may look any more.

    owner: None leaves the run as it is. Made a `functools.partial`, this pickles.
    """
    with closing(make_events()) as events:
        for event in events:
            if owner is not None and isinstance(event, Begun):
                claim(event.folder, owner)
            yield event


@contextmanager
def share_of(token: str | None, request: gr.Request) -> Iterator[str]:
    """While a run of a visitor waits and works; gives its owner, as `owner_of` does.

    On this machine as many as one likes. Raises LineFull where others would have to wait for too
    many of one visitor's.
    """
    owner = owner_of(token, request)
    if is_local(request):
        yield owner
        return
    with _counting:
        if _runs[owner] >= AT_ONCE:
            raise LineFull(
                f"{AT_ONCE} of your runs wait or work already. Stop one, or wait for its end."
            )
        _runs[owner] += 1
    try:
        yield owner
    finally:
        with _counting:
            _runs[owner] -= 1
            if not _runs[owner]:
                del _runs[owner]


def claim(folder: Path, owner: str) -> None:
    """Make the run in `folder` the owner's."""
    with replacing(folder / OWNER) as part:
        part.write_text(owner)


def may_see(folder: Path, owner: str, request: gr.Request) -> bool:
    """Whether the run in `folder` is shown to an owner who asks."""
    try:
        return secrets.compare_digest((folder / OWNER).read_text(), owner)
    except FileNotFoundError:
        return is_local(request)
    except (OSError, ValueError, TypeError):
        return False


def is_local(request: gr.Request) -> bool:
    """Whether the request comes from this machine, by this machine's own name, with no proxy."""
    headers = dict(request.headers)
    if any(name in headers for name in ("x-forwarded-for", "forwarded", "x-real-ip")):
        return False
    # A proxy that says nothing may ask by this machine's name; a browser says which page it shows.
    pages = [headers[name] for name in ("origin", "referer") if name in headers]
    named = [f"//{headers.get('host', '')}", *pages]
    return (
        all(map(_names_loopback, named))
        and request.client is not None
        and _is_loopback(request.client.host)
    )


def _names_loopback(address: str) -> bool:
    try:
        return _is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _meet(token: str | None) -> str:
    return token if _is_token(token) else secrets.token_urlsafe(_TOKENS)


def _is_token(token: str | None) -> bool:
    return isinstance(token, str) and len(token) >= _TOKENS


def _hashed(token: str) -> str:
    return sha256(f"scorebrush visitor {token}".encode()).hexdigest()
