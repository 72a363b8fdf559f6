"""Both jobs as tools of the Model Context Protocol, asked for by its own client."""

import ast
import base64

import httpx
import pytest

pytest.importorskip("mcp", reason="needs the package mcp, of requirements-dev.txt")

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from pipelines.teachers.catalog import ASSETS
from tests.conftest import start_studio
from tests.ui.visitors import happens

CLIP = ASSETS / "examples" / "ball.mp4"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with start_studio(tmp_path_factory.mktemp("mcp"), "--mcp") as studio:
        yield studio


def asked(studio, question):
    """What `question`, a coroutine function, finds out in a session."""

    async def ask():
        url = f"{studio.address}gradio_api/mcp/"
        async with (
            streamable_http_client(url) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await question(session)

    return happens(ask())


def test_there_are_two_tools_and_each_parameter_is_described(studio):
    tools = {tool.name: tool for tool in asked(studio, lambda s: s.list_tools()).tools}
    assert set(tools) == {"edit_video", "paint_mesh"}
    assert tools["edit_video"].inputSchema["required"] == ["clip", "source", "target"]
    for tool in tools.values():
        assert tool.description
        assert all(each["description"] for each in tool.inputSchema["properties"].values())


def test_tool_edits_a_clip_and_says_where_the_result_is(studio):
    given = {
        "clip": "data:video/mp4;base64," + base64.b64encode(CLIP.read_bytes()).decode(),
        "source": "a red ball rolling left on the grass",
        "target": "a blue ball rolling left on the grass",
        "steps": 1,
    }
    told = []

    async def hear(progress, total, message):
        told.append(message)

    answer = asked(studio, lambda s: s.call_tool("edit_video", given, progress_callback=hear))
    assert not answer.isError
    url, report = (content.text for content in answer.content)
    result = httpx.get(url)
    assert result.status_code == 200 and url.endswith("result.mp4")
    assert ast.literal_eval(report)["status"] == "Done"
    assert "Processing" in told


def test_tool_says_what_is_wrong_in_a_sentence(studio):
    given = {"clip": "data:video/mp4;base64,AAAA", "source": "a ball", "target": "a blue ball"}
    answer = asked(studio, lambda s: s.call_tool("edit_video", given))
    assert answer.isError
    assert "is not a video that can be opened" in answer.content[0].text
