"""What a second edit of a clip need not ask again, and what a preview need not decode."""

from dataclasses import replace

import pytest

from pipelines import video
from pipelines.events import Preview
from pipelines.media import clip_from_frames, write_clip
from pipelines.runs import checkpoint
from pipelines.video import EditVideo, edit_video
from sds.assd import Method
from sds.priors.stable_diffusion import ImagePrior, LatentCodec, MotionPrior
from tests.pipelines.test_video import SOURCE, TARGET, moving_square


@pytest.fixture
def job(tmp_path):
    frames = moving_square(frames=4, height=64, width=64)
    write_clip(tmp_path / "clip.mp4", frames, clip_from_frames(frames, 12))
    named = dict(teacher="miniature", side=64, steps=1, method=Method(fusion=1.0))
    return EditVideo(tmp_path / "clip.mp4", SOURCE, TARGET, tmp_path / "one", **named)


@pytest.fixture
def rows(monkeypatch):
    """How many rows each teacher is asked about."""
    asked = {}
    for kind in (MotionPrior, ImagePrior):

        def counted(self, x_t, t, cond, plain=kind.eps, kind=kind):
            asked[kind] = asked.get(kind, 0) + len(x_t)
            return plain(self, x_t, t, cond)

        monkeypatch.setattr(kind, "eps", counted)
    return asked


def test_another_target_on_the_same_clip_asks_half(job, rows, tmp_path, monkeypatch):
    def asks(**other):
        rows.clear()
        list(edit_video(replace(job, **other)))
        return rows[MotionPrior], rows[ImagePrior]

    assert asks(seed=7) == (2, 2)
    other = "a green ball rolling on the grass"
    assert asks(seed=7, out=tmp_path / "two", target=other) == (1, 1)
    assert asks(seed=7, out=tmp_path / "three", source=other) == (2, 2)
    # What is asked about the source itself is answered together, so that nothing changes. An
    # encoder may read two prompts alike that differ in letters; the built-in one's are refused.
    monkeypatch.setattr(video, "check_asked", lambda *asked: None)
    assert asks(seed=7, out=tmp_path / "four", target=SOURCE) == (2, 2)


def test_the_same_edit_again_ends_the_same_to_the_last_bit(job, tmp_path):
    ends = []
    for name in ("one", "two"):
        list(edit_video(replace(job, out=tmp_path / name, steps=2, seed=11)))
        ends.append(checkpoint.load(tmp_path / name).state["parameters"][0])
    assert ends[0].equal(ends[1])


def test_a_preview_does_without_an_autoencoder_that_is_large(job, monkeypatch):
    monkeypatch.setattr("pipelines.teachers.loaded.SMALL", 0)
    monkeypatch.delattr(LatentCodec, "frames")
    previews = [event for event in edit_video(job) if isinstance(event, Preview)]
    assert previews[0].frames.shape == (4, 64, 64, 3)
