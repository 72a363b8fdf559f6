"""Editing a part of a clip, and what an inverted mask keeps."""

from dataclasses import replace

import torch

from pipelines.events import Preview
from pipelines.media import Cut, read_clip, save_png, write_clip
from pipelines.video import EditVideo, edit_video
from sds.assd import Method
from tests.pipelines.test_media import clip_of
from tests.pipelines.test_video import SOURCE, TARGET, moving_square


def finished(job):
    return list(edit_video(job))[-1]


def test_a_part_is_edited_and_comes_back_alone(tmp_path):
    frames = moving_square(frames=10)
    write_clip(tmp_path / "clip.mp4", frames, clip_of(frames, range(0, 1000, 100), 100))
    job = EditVideo(
        tmp_path / "clip.mp4", SOURCE, TARGET, tmp_path / "run", steps=1, cut=Cut(0.2, 0.8, every=2)
    )
    done = finished(job)
    result = read_clip(done.result)
    assert len(result) == 3 and result.rate == 5
    assert round(result.seconds, 3) == 0.6
    assert done.settings["cut"] == {"start": 0.2, "end": 0.8, "every": 2}
    same = finished(replace(job, strength=1e-6, out=tmp_path / "same"))
    source = read_clip(job.clip).frames[2:8:2]
    assert (read_clip(same.result).frames.int() - source.int()).abs().float().mean() < 2


def test_an_inverted_mask_keeps_what_was_drawn(tmp_path):
    frames = moving_square(frames=4)
    write_clip(tmp_path / "clip.mp4", frames, clip_of(frames))
    mask = torch.zeros(96, 128, dtype=torch.uint8)
    mask[20:70, 15:80] = 255
    save_png(tmp_path / "mask.png", mask)
    job = EditVideo(tmp_path / "clip.mp4", SOURCE, TARGET, tmp_path / "run", steps=1, strength=20.0)
    plain = finished(replace(job, mask=tmp_path / "mask.png"))
    assert plain.metrics["psnr_outside_mask"] is None
    turned = replace(job, mask=tmp_path / "mask.png", mask_invert=True, out=tmp_path / "turned")
    assert finished(turned).metrics["psnr_outside_mask"] is None
    changed = [
        (read_clip(run / "result.mp4").frames[0].int() - frames[0].int()).abs()[30:60, 25:70]
        for run in (tmp_path / "run", tmp_path / "turned")
    ]
    assert changed[0].float().mean() > 4 * changed[1].float().mean()


def test_masks_come_with_the_preview_and_beside_the_result(tmp_path):
    frames = moving_square(frames=4)
    write_clip(tmp_path / "clip.mp4", frames, clip_of(frames))
    mask = torch.zeros(96, 128, dtype=torch.uint8)
    mask[20:70, 15:80] = 255
    save_png(tmp_path / "mask.png", mask)
    job = EditVideo(tmp_path / "clip.mp4", SOURCE, TARGET, tmp_path / "run", steps=1)
    *events, done = edit_video(replace(job, mask=tmp_path / "mask.png"))
    preview = next(event for event in events if isinstance(event, Preview))
    assert set(preview.masks) == {"mask", "smoothed"}
    for shown in preview.masks.values():
        assert len(shown) == len(preview.frames) and 0 <= shown.min() <= shown.max() <= 1
    assert preview.masks["smoothed"].any() and preview.masks["mask"].max() > 0.9
    assert done.metrics["panels"] == ["before", "after", "mask", "smoothed"]
    assert (done.metrics["frames"], done.metrics["working_size"]) == (4, [112, 144])
    panels = read_clip(job.out / "comparison.mp4").frames.float().split(128, dim=2)
    assert len(panels) == 4
    assert (panels[0] - read_clip(job.clip).frames.float()).abs().mean() < 3
    assert panels[2][:, 40:60, 30:60].mean() > 250 and panels[2][:, :10].mean() < 5


def test_without_smoothing_and_mask_there_is_nothing_to_lay_over(tmp_path):
    frames = moving_square(frames=4)
    write_clip(tmp_path / "clip.mp4", frames, clip_of(frames))
    job = EditVideo(
        tmp_path / "clip.mp4",
        SOURCE,
        TARGET,
        tmp_path / "run",
        steps=1,
        method=Method(smoothing="off"),
    )
    *events, done = edit_video(job)
    assert all(not event.masks for event in events if isinstance(event, Preview))
    assert done.metrics["panels"] == ["before", "after"]
