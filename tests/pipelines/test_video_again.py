"""What a second edit of a clip need not ask again, and what a preview need not decode."""

from dataclasses import replace

import pytest
from torch.nn.functional import cosine_similarity

from pipelines import video
from pipelines.events import Preview
from pipelines.media import clip_from_frames, read_clip, write_clip
from pipelines.runs import checkpoint
from pipelines.video import EditVideo, edit_video
from sds.assd import Method
from sds.priors.stable_diffusion import ImagePrior, LatentCodec, MotionPrior
from tests.pipelines.test_video import SOURCE, TARGET, moving_square


@pytest.fixture
def job(tmp_path):
    frames = moving_square(height=64, width=64)
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


@pytest.mark.parametrize("large", [False, True])
def test_a_preview_shows_what_becomes_of_frames_from_all_of_the_clip(job, monkeypatch, large):
    """Where the autoencoder is large it does without, and shows about that."""
    if large:
        monkeypatch.setattr("pipelines.teachers.loaded.SMALL", 0)
        monkeypatch.delattr(LatentCodec, "frames")
    *events, done = edit_video(replace(job, steps=2, moves=1, steady=1))
    shown = next(event.frames for event in events if isinstance(event, Preview))
    source, result = (read_clip(file).frames[[0, 2, 3, 5]] for file in (job.clip, done.result))
    changes = [(frames.float() - source.float()).flatten() for frames in (shown, result)]
    assert cosine_similarity(*changes, dim=0) > (0.5 if large else 0.98)
