"""Files that are whole or not there, whatever they are called."""

import pytest

from pipelines.errors import InputError
from pipelines.media.files import expect_file, replacing, sweep


@pytest.mark.parametrize(
    "name", ["a" * 251 + ".mp4", "ä" * 125 + ".json", "a" * 255, "x." + "y" * 253]
)
def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path, name):
    with replacing(tmp_path / name) as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "how", [FileNotFoundError(2, ""), OSError(36, ""), PermissionError(13, "")]
)
def test_a_file_that_cannot_be_looked_at_is_none(how, tmp_path, monkeypatch):
    def refused(path, **_):
        raise how

    monkeypatch.setattr("os.stat", refused)
    with pytest.raises(InputError, match=r"There is no file .*clip\.mp4\. Check its name\."):
        expect_file(tmp_path / "clip.mp4")


def test_what_was_there_stays_where_writing_fails(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(OSError, match="full"), replacing(path) as part:
        assert part.suffix == ".json"
        part.write_text("half")
        raise OSError("full")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


def test_only_what_was_left_unfinished_is_swept(tmp_path):
    writing = replacing(tmp_path / "a.json")
    left = writing.__enter__()
    left.write_text("half")
    others = {".bashrc.20240131", ".env.20231105", ".notes.deadbeef.txt", "a.json"}
    for name in others:
        (tmp_path / name).write_text("mine")
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others and not left.exists()
    with pytest.raises(FileNotFoundError):
        writing.__exit__(None, None, None)
