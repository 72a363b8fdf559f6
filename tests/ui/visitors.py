"""Visitors of a studio, by plain HTTP: many at once in one process, and any of them may leave."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import httpx

API = "gradio_api"
PATIENCE = httpx.Timeout(600)
"""Nobody's turn is far off, but the machine may be busy."""


def happens(scene):
    """What the coroutine `scene` returns. On a thread of its own: a browser's tests leave a loop
    running on the main one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, scene).result()


@asynccontextmanager
async def visitor(studio):
    """A visitor's own connection to the studio at this address."""
    async with httpx.AsyncClient(base_url=studio, timeout=PATIENCE) as http:
        yield http


async def upload(http, path):
    """Give the studio a file; what an endpoint takes for it."""
    answer = await http.post(f"{API}/upload", files={"files": (path.name, path.read_bytes())})
    answer.raise_for_status()
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


async def answers(http, name, **asked):
    """The outputs of the endpoint `name`, again and again. Raises RuntimeError with its error.

    Closing this iterator closes the connection, as closing a tab does.
    """
    begun = await http.post(f"{API}/call/v2/{name}", json=asked)
    begun.raise_for_status()
    url = f"{API}/call/v2/{name}/{begun.json()['event_id']}"
    async with http.stream("GET", url) as stream:
        kind = None
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind != "heartbeat":
                said = json.loads(line.removeprefix("data: "))
                if kind == "error":
                    raise RuntimeError(said)
                yield said


async def last(http, name, **asked):
    """All that the endpoint says, to its end."""
    return [said async for said in answers(http, name, **asked)]
