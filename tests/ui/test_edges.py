"""Where the studio meets what it cannot trust: paths, sizes, and a machine that is in use."""

import socket

import httpx
import pytest

import app
from app import Studio, launch
from pipelines.teachers.catalog import ASSETS
from tests.ui.visitors import happens, last, upload, visitor

META = {"_type": "gradio.FileData"}
WORDS = dict(source="a red ball on the grass", target="a blue ball on the grass", steps=1)
MEGABYTE = 2**20
UNSEEN = "{'error': None}"
"""What gradio says of a file that it does not hand on; why is in the log only."""


def refused(studio, name, **asked):
    """What an endpoint says that has to refuse."""

    async def ask():
        async with visitor(studio) as http:
            await last(http, name, **asked)

    with pytest.raises(RuntimeError) as error:
        happens(ask())
    return str(error.value)


@pytest.fixture(scope="module")
def secret(running_studio):
    """A file of the server that nobody uploaded, beside the folder of uploads."""
    path = running_studio.runs.parent / "secret.mp4"
    path.write_text("root:x:0:0")
    return path


@pytest.mark.parametrize("shape", ["as a file", "as a file without meta", "as words", "as a list"])
@pytest.mark.parametrize(("name", "field"), [("edit_video", "clip"), ("paint_mesh", "mesh")])
def test_path_of_the_server_is_no_upload(running_studio, secret, name, field, shape):
    """Were it read, the answer would be a sentence of ours: that it is no video, or no mesh."""
    given = {
        "as a file": {"path": str(secret), "meta": META},
        "as a file without meta": {"path": str(secret)},
        "as words": str(secret),
        "as a list": [{"path": str(secret), "meta": META}],
    }
    words = WORDS if field == "clip" else dict(object="mushroom", edit="cap", style="red", steps=1)
    before = set(running_studio.runs.iterdir())
    said = refused(running_studio.address, name, **{field: given[shape]}, **words)
    assert said == UNSEEN
    assert set(running_studio.runs.iterdir()) == before


def test_another_visitors_run_is_no_upload(running_studio, secret):
    folder = running_studio.runs / "20260101-000000-0123456789ab"
    folder.mkdir()
    (folder / "result.mp4").write_text("mine")
    path = folder / ".." / folder.name / "result.mp4"
    given = {"path": str(path), "meta": META}
    assert refused(running_studio.address, "edit_video", clip=given, **WORDS) == UNSEEN


def test_mask_is_held_to_the_same(running_studio, secret):
    clip = ASSETS / "examples" / "ball.mp4"

    async def ask():
        async with visitor(running_studio.address) as http:
            given = {"clip": await upload(http, clip), "mask": {"path": str(secret), "meta": META}}
            await last(http, "edit_video", **given, **WORDS)

    with pytest.raises(RuntimeError) as error:
        happens(ask())
    assert str(error.value) == UNSEEN
    assert "secret.mp4 to the gradio cache dir because it was not uploaded" in (
        running_studio.log.read_text()
    )


def test_upload_larger_than_is_said_is_not_kept(running_studio):
    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="large.mp4"\r\n\r\n'
        for _ in range(app.MAX_UPLOAD_MB + 1):
            yield bytes(MEGABYTE)
        yield b"\r\n--x--\r\n"

    answer = httpx.post(
        f"{running_studio.address}gradio_api/upload",
        content=body(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=300,
    )
    assert answer.status_code == 413
    cache = running_studio.runs.parent / "cache"
    assert not [path for path in cache.rglob("*") if path.stat().st_size >= MEGABYTE * 100]


def test_port_in_use_is_a_sentence_and_no_traceback():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"Cannot listen at port {port} of 127.0.0.1"):
            launch(Studio(port=port))


@pytest.mark.parametrize("port", [-1, 0, 99999])
def test_port_that_is_none_is_a_sentence_and_exit_2(port, capsys):
    with pytest.raises(SystemExit) as ended:
        launch(Studio(port=port))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: There is no port {port}: give 1 to 65535.\n"


def test_tools_without_their_package_name_it(monkeypatch):
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install 'gradio\[mcp\]'"):
        launch(Studio(mcp=True))
