"""A hub without a network: what huggingface_hub asks is answered from folders, as the hub would."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from huggingface_hub.utils import _http

# Whichever the hub's library speaks through: httpx2 from its version 2 on, httpx before.
httpx = _http.httpx2 if hasattr(_http, "httpx2") else _http.httpx
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Repositories by id, and how the hub feels about them."""

    repos: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    down: bool = False
    """Whether no connection is possible."""
    ill: bool = False
    """Whether it answers that it is ill."""
    refuses: int = 0
    """What it answers to a token that has run out (401), or that may not read this (403)."""
    fetched: list[str] = field(default_factory=list)
    """Names of the files that were sent."""
    asked: int = 0

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self.answer), follow_redirects=True)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("no route to host", request=request)
        if self.ill:
            return httpx.Response(503, request=request)
        if self.refuses:
            said = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return httpx.Response(self.refuses, headers=said, request=request)
        path = unquote(request.url.path).strip("/").removeprefix("api/models/")
        owner, name, kind, rest = path.split("/", 3)
        repo = f"{owner}/{name}"
        if repo not in self.repos:
            return self._no(request, 401, "RepoNotFound")
        if kind == "revision":
            if rest not in ("main", SHA):
                return self._no(request, 404, "RevisionNotFound")
            return self._json(request, {"id": repo, "sha": SHA, "siblings": []})
        if kind == "tree":
            return self._json(request, self._tree(repo))
        if repo in self.gated:
            return self._no(request, 403, "GatedRepo")
        return self._file(request, repo, rest.split("/", 1)[1])

    def _tree(self, repo: str) -> list[dict[str, object]]:
        root = self.repos[repo]
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return [
            {
                "type": "file",
                "path": path.relative_to(root).as_posix(),
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for path in files
        ]

    def _file(self, request: httpx.Request, repo: str, name: str) -> httpx.Response:
        path = self.repos[repo] / name
        if not path.is_file():
            return self._no(request, 404, "EntryNotFound")
        data = path.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": SHA,
            "Content-Length": str(len(data)),
        }
        if request.method == "HEAD":
            return httpx.Response(200, headers=headers, request=request)
        self.fetched.append(name)
        return httpx.Response(200, headers=headers, content=data, request=request)

    def _json(self, request: httpx.Request, value: object) -> httpx.Response:
        return httpx.Response(200, content=json.dumps(value), request=request)

    def _no(self, request: httpx.Request, status: int, code: str) -> httpx.Response:
        headers = {"X-Error-Code": code, "X-Repo-Commit": SHA}
        return httpx.Response(status, headers=headers, request=request)
