"""Files as people have them, through the whole video job: sound, rotation, damage, size."""

import av
import pytest

from pipelines import command, media
from pipelines.media.part import MAX_FRAMES, MAX_PIXELS
from pipelines.media.source import MAX_SIDE
from pipelines.video import EditVideo, edit_video, usual
from tests.pipelines.test_media import audio_packets, make_file

SOURCE, TARGET = "a red ball rolling on the grass", "a blue ball rolling on the grass"


def test_a_turned_clip_with_sound_comes_back_turned_and_with_its_sound(tmp_path):
    path = make_file(tmp_path / "in.mov", "libx264", "aac", count=4, size=(48, 64), rotation=90)
    job = EditVideo(path, SOURCE, TARGET, tmp_path / "run", steps=1)
    done = list(edit_video(job))[-1]
    source, result = media.read_clip(path), media.read_clip(done.result)
    assert result.size == source.size == (64, 48)
    assert result.times == source.times and result.rate == source.rate
    before, after = audio_packets(path), audio_packets(done.result)
    assert [data for _, data in after] == [data for _, data in before] and len(after) > 5


def no_video(path):
    path.write_text("not a video\n" * 50)


def truncated(path):
    whole = make_file(path.with_name("whole.mp4"), "libx264", count=40)
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def only_sound(path):
    make_file(path, None, "aac")


def no_frames(path):
    """A header that promises pictures, and nothing after it."""
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        container.start_encoding()


def one_frame(path):
    make_file(path, "libx264", count=1)


def too_wide(path):
    make_file(path, "mpeg4", count=2, size=(16, 7680))


BAD = {
    "text": (no_video, "not a video"),
    "truncated": (truncated, "damaged"),
    "no video stream": (only_sound, "no picture"),
    "zero frames": (no_frames, "no frame that can be decoded"),
    "one frame": (one_frame, "at least 2"),
    "8K": (too_wide, "at most 4096"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_edited_is_one_sentence_and_exit_2(tmp_path, capsys, name):
    make, sentence = BAD[name]
    make(tmp_path / "in.mp4")
    job = EditVideo(tmp_path / "in.mp4", SOURCE, TARGET, tmp_path / "run", steps=1)
    assert command.run(edit_video(job), job.out) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("error:") == 1 and printed.out == ""
    assert not job.out.exists()


def test_the_help_says_how_large_a_clip_may_be(capsys):
    with pytest.raises(SystemExit):
        command.parse(EditVideo, "pipelines.video", usual, None, ["--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    limits = (MAX_FRAMES, "frames"), (MAX_SIDE, "pixels"), (MAX_PIXELS // 10**6, "million")
    for number, unit in limits:
        assert f"{number} {unit}" in said
