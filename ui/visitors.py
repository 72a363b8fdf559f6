"""Who a visitor is, so that everyone sees only their own runs.

A browser keeps a random token; the server keeps its hash, and so does every run's folder, in the
file `owner`. Whoever holds the token owns the runs; a downloaded folder does not give it away. On a
studio that only its own machine reaches, runs without an owner (made from the command line into the
same base folder) are shown too.

This module knows nothing about what is in a run.
"""

import secrets
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import gradio as gr

from pipelines.media.files import replacing
from pipelines.runs.run_folder import OWNER

_TOKENS = 24
"""Bytes of a token."""
_MET: dict[str, str] = {}
"""The owner behind each open page, by gradio's name of the page's session."""


def meet_visitors(blocks: gr.Blocks) -> None:
    """Give every browser that opens the page a token, inside the context of `blocks`."""
    # The storage has a fixed key and secret, or a restart of the studio would forget everyone. The
    # secret is no secret, since the page itself holds it; the token is one.
    token = gr.BrowserState(storage_key="scorebrush-visitor", secret="scorebrush")
    blocks.load(_meet, token, token, show_progress="hidden", queue=False, api_visibility="private")
    blocks.unload(_forget)


def owner_of(request: gr.Request) -> str:
    """The owner behind a request; one without a page (the API) owns what its session makes."""
    session = request.session_hash or secrets.token_urlsafe(_TOKENS)
    return _MET.get(session) or _hashed(session)


def claim(folder: Path, owner: str) -> None:
    """Make the run in `folder` the owner's."""
    with replacing(folder / OWNER) as part:
        part.write_text(owner)


def may_see(folder: Path, request: gr.Request) -> bool:
    """Whether the run in `folder` is shown to whoever asks."""
    try:
        return secrets.compare_digest((folder / OWNER).read_text(), owner_of(request))
    except FileNotFoundError:
        return is_local(request)
    except (OSError, ValueError, TypeError):
        return False


def is_local(request: gr.Request) -> bool:
    """Whether the request comes from this machine, by this machine's own name, with no proxy."""
    headers = dict(request.headers)
    if any(name in headers for name in ("x-forwarded-for", "forwarded", "x-real-ip")):
        return False
    name = headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    return _is_loopback(name) and request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _meet(token: str | None, request: gr.Request) -> str:
    if not isinstance(token, str) or len(token) < _TOKENS:
        token = secrets.token_urlsafe(_TOKENS)
    _MET[request.session_hash] = _hashed(token)
    return token


def _forget(request: gr.Request) -> None:
    _MET.pop(request.session_hash, None)


def _hashed(token: str) -> str:
    return sha256(f"scorebrush visitor {token}".encode()).hexdigest()
