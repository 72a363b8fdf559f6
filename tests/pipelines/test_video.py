"""The video job from file to file, on the built-in teacher."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from pipelines import command, video
from pipelines.clip.change import working_size
from pipelines.clip.checks import check_asked, check_idle, check_numbers, without_idle
from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Preview, Step
from pipelines.media import clip_from_frames, read_clip, read_settings, save_png, write_clip
from pipelines.runs import run_folder
from pipelines.teachers.catalog import video_teacher, video_teachers
from pipelines.teachers.loading import load_video_teacher
from pipelines.teachers.prompts import video_prompts
from pipelines.video import EditVideo, describe, edit_video, recall, settled
from sds.assd import DDS, Method
from sds.optical_flow import Flows
from sds.optimize import step_generator
from tests.assd_steps import assd_gradient

SOURCE, TARGET = "a red ball rolling on the grass", "a blue ball rolling on the grass"
GUIDED = Method(guidance_source=3.0, guidance_target=3.0)


def moving_square(frames=6, height=96, width=128):
    """uint8 (F, H, W, 3): a red square moving over a green slope."""
    y = torch.linspace(40, 120, height).view(-1, 1).expand(height, width)
    video = torch.stack([torch.zeros_like(y), y, torch.zeros_like(y)], -1).repeat(frames, 1, 1, 1)
    for f in range(frames):
        video[f, 30:66, 20 + 4 * f : 56 + 4 * f] = torch.tensor([220.0, 20.0, 20.0])
    return video.to(torch.uint8)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = moving_square()
    write_clip(path, frames, clip_from_frames(frames, 12))
    return path


@pytest.fixture
def job(clip_file, tmp_path):
    return EditVideo(clip_file, SOURCE, TARGET, tmp_path / "run", steps=2)


def finished(job):
    return list(edit_video(job))[-1]


FILES = {
    "result.mp4",
    "comparison.mp4",
    "settings.json",
    "metrics.json",
    "status.json",
    "checkpoint.pt",
    "curve.json",
    "preview.jpg",
    "inputs",
}


def test_a_run_writes_its_files_and_they_agree(job):
    events = list(edit_video(job))
    done = events[-1]
    assert isinstance(done, Done)
    assert [e.index for e in events if isinstance(e, Step)] == [0, 1]
    previews = [e for e in events if isinstance(e, Preview)]
    assert previews[0].index == 0 and previews[-1].index == 1
    settings = json.loads((job.out / "settings.json").read_text())
    metrics = json.loads((job.out / "metrics.json").read_text())
    assert settings == done.settings == read_settings(done.result)
    assert metrics == done.metrics
    assert metrics["steps"] == 2 and metrics["seconds"] > 0 and metrics["peak_memory_mb"] > 0
    result, source = read_clip(done.result), read_clip(job.clip)
    assert result.frames.shape == source.frames.shape
    assert result.times == source.times and result.rate == source.rate
    assert {p.name for p in job.out.iterdir() if p.name[0] != "."} == FILES


def test_settings_repeat_the_run(job, tmp_path):
    first = finished(job).settings
    assert first["source"] == SOURCE and first["seed"] == 0 and first["steps"] == 2
    again = finished(replace(job, out=tmp_path / "again"))
    assert torch.equal(read_clip(again.result).frames, read_clip(job.out / "result.mp4").frames)
    other = finished(replace(job, out=tmp_path / "other", seed=1))
    assert not torch.equal(read_clip(other.result).frames, read_clip(again.result).frames)


@pytest.mark.parametrize("method", [Method(), Method(joint=0.0), Method(fusion=1.0), GUIDED])
def test_equal_prompts_give_every_frame_back_exactly(job, method, monkeypatch):
    # Which is why they are refused.
    monkeypatch.setattr(video, "check_asked", lambda *asked: None)
    done = finished(replace(job, target=SOURCE, method=method))
    assert done.metrics["psnr_outside_mask"] is None


@pytest.mark.parametrize("same", [SOURCE, f" {SOURCE.capitalize()}. "])
def test_equal_prompts_are_refused_before_anything_is_done(job, tmp_path, same):
    with pytest.raises(InputError, match=r"say the same, .* Say in the target prompt what"):
        list(edit_video(replace(job, clip=tmp_path / "none.mp4", target=same, method=GUIDED)))
    assert not job.out.exists()


def test_equal_prompts_at_unequal_guidance_ask_for_something(job):
    stronger = replace(GUIDED, guidance_target=9.0)
    done = finished(replace(job, target=SOURCE, method=stronger, strength=20.0))
    assert done.metrics["psnr_outside_mask"] is not None


def test_a_teacher_of_plain_english_may_tell_capitals_apart(job):
    asked = settled(replace(job, method=GUIDED))
    check_asked(asked, "a red ball", "A red ball")
    with pytest.raises(InputError, match="say the same"):
        check_asked(asked, "a red ball", "a  red ball ")


def test_a_mask_keeps_everything_outside_it_exactly(job, tmp_path):
    mask = torch.zeros(96, 128, 1, dtype=torch.uint8)
    mask[34:62, 24:52] = 255
    save_png(tmp_path / "mask.png", mask.expand(-1, -1, 3).contiguous())
    masked = finished(replace(job, mask=tmp_path / "mask.png", strength=20.0)).metrics
    assert masked["psnr_outside_mask"] is None
    free = finished(replace(job, out=tmp_path / "free", strength=20.0)).metrics
    assert free["psnr_outside_mask"] < 40


def test_a_clip_longer_than_the_teacher_sees_is_edited_to_its_end(job, tmp_path):
    frames = moving_square(frames=19, height=64, width=96)
    write_clip(tmp_path / "long.mp4", frames, clip_from_frames(frames, 12))
    done = finished(replace(job, clip=tmp_path / "long.mp4", steps=1, strength=40.0))
    changed = (read_clip(done.result).frames.float() - frames.float()).abs().mean((1, 2, 3))
    assert len(changed) == 19 and changed.min() > 1


def test_stop_keeps_what_there_is(job):
    events = edit_video(replace(job, steps=50))
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, Step) and event.index == 1:
            run_folder.ask_to_stop(job.out)
    assert isinstance(seen[-1], Done) and seen[-1].metrics["steps"] < 5
    assert len(read_clip(seen[-1].result)) == 6
    # It has not moved yet, but what was seen ahead is kept.
    assert seen[-1].metrics["psnr_outside_mask"] < 60


def test_nan_stops_with_the_remedy_and_keeps_the_last_good_state(job, tmp_path, monkeypatch):
    teachers = load_video_teacher("miniature").teachers
    honest, calls = type(teachers.video).eps, []

    def failing(self, x_t, t, cond):
        calls.append(1)
        return honest(self, x_t, t, cond) * (float("nan") if len(calls) == 3 else 1.0)

    job = replace(job, steps=6, strength=5.0)
    with monkeypatch.context() as patch:
        patch.setattr(type(teachers.video), "eps", failing)
        with pytest.raises(RunFailed, match="lower --guidance-target or --strength") as failed:
            list(edit_video(job))
    (bad,) = (int(k) - 1 for k in re.findall(r"Step (\d+) produced NaN", str(failed.value)))
    assert bad > 0
    # What a run has that is stopped just before.
    stopped = replace(job, out=tmp_path / "stopped")
    for event in edit_video(stopped):
        if isinstance(event, Step) and event.index == bad - 1:
            run_folder.ask_to_stop(stopped.out)
    assert event.metrics["steps"] == bad
    kept, wanted = (read_clip(run.out / "result.mp4").frames for run in (job, stopped))
    assert torch.equal(kept, wanted)
    assert event.metrics["psnr_outside_mask"] < 60


BAD = {
    "empty prompt": ({"target": "  "}, "target prompt is empty"),
    "unknown word": ({"target": "a blue dinosaur"}, '"dinosaur"'),
    "unknown teacher": ({"teacher": "nobody"}, "Choose one of: miniature"),
    "no steps": ({"steps": 0}, "0 steps make no edit"),
    "endless steps": ({"steps": 10**30}, "at most 1,000,000"),
    "no seed": ({"seed": -1}, "The seed -1 must be a whole number from 0"),
    "no middle frame": ({"steady": 4}, "odd number"),
    "no strength": ({"strength": 0.0}, "above 0"),
    "a level below the noise": ({"low": 0}, "between 1 and 999"),
    "a level above it": ({"high": 1000}, "between 1 and 999"),
    "no size": ({"side": 8}, "32 to 4096"),
    "moves below none": ({"moves": -1}, "0 for every step"),
    "a negative guidance": ({"method": Method(guidance_target=-1.0)}, "--guidance-target is -1.0"),
    "endless guidance": ({"method": Method(guidance_source=math.inf)}, "--guidance-source is inf"),
    "a negative joint weight": ({"method": Method(joint=-0.5)}, "--joint is -0.5: give 0 or more"),
    "a negative focus": ({"method": Method(focus=-1.0)}, "--focus is -1.0: give 0 or more"),
    "a negative anchor": ({"method": Method(anchor=-0.1)}, "--anchor is -0.1: give 0 or more"),
    "more than all attention": ({"method": Method(fusion=1.5)}, "--fusion is 1.5: give 0 to 1"),
    "beyond FlowEdit": ({"method": Method(eta=2.0)}, "--eta is 2.0: give 0 to 1"),
    "no threshold": ({"method": Method(mask_k=math.nan)}, "--mask-k is nan"),
    "missing clip": ({"clip": "nowhere.mp4"}, "nowhere.mp4"),
    "mask frame": ({"mask": "mask.png", "mask_frame": 99}, "0 to 5"),
    "a frame before the first": (
        {"mask": "mask.png", "mask_frame": -1},
        "--mask-frame is -1: give 0",
    ),
    "a negative feather": ({"mask": "mask.png", "mask_feather": -1.0}, "give 0 to 4096 pixels"),
    "a mask grown beyond measure": ({"mask": "mask.png", "mask_grow": math.inf}, "-4096 to 4096"),
    "a mask shrunk to nothing": ({"mask": "spot.png", "mask_grow": -9.0}, "Shrink it less"),
    "edges without a mask": (
        {"mask_grow": 3.0, "mask_feather": 1.0},
        "--mask-grow, --mask-feather",
    ),
    "inverted without a mask": ({"mask_invert": True}, "go with --mask-invert: give --mask."),
    "a frame without a mask": ({"mask_frame": 2}, "go with --mask-frame: give --mask."),
    "a frame of a clip of masks": (
        {"mask": "clip.mp4", "mask_frame": 2},
        "--mask-frame would do nothing: clip.mp4 has a mask for every frame. Leave it out.",
    ),
    "a threshold of nothing": ({"method": Method(smoothing="off", mask_k=1.0)}, "--smoothing"),
    "nothing along the flow": (
        {"method": Method(smoothing="off", smooth_along_flow=True)},
        "--smooth-along-flow would do nothing",
    ),
    "mask of another size": ({"mask": "small.png"}, "10x10"),
    "empty mask": ({"mask": "black.png"}, "empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_exit_2_and_nothing_written(job, tmp_path, capsys, name):
    shapes = {"mask": (96, 128, 255), "small": (10, 10, 255), "black": (96, 128, 0)}
    for stem, (h, w, value) in shapes.items():
        save_png(tmp_path / f"{stem}.png", torch.full((h, w, 3), value, dtype=torch.uint8))
    spot = torch.zeros(96, 128, 3, dtype=torch.uint8)
    spot[40:52, 40:52] = 255
    save_png(tmp_path / "spot.png", spot)
    change, sentence = BAD[name]
    change = dict(change)
    if "mask" in change:
        change["mask"] = tmp_path / change["mask"]
    if "clip" in change:
        change["clip"] = tmp_path / change["clip"]
    assert command.run(edit_video(replace(job, **change)), job.out) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.out == ""
    assert not job.out.exists()


def test_the_ends_of_what_levels_and_sizes_may_be_are_taken(job):
    for ends in (dict(low=1, high=999), dict(low=400, high=400), dict(side=32), dict(side=4096)):
        check_numbers(settled(replace(job, **ends)))


def test_unknown_words_are_refused_with_the_words_that_are_known(job):
    with pytest.raises(InputError, match=r'"dinosaur".* knows these words only: .*\bball\b'):
        next(edit_video(replace(job, target="a blue dinosaur")))


@pytest.mark.parametrize("name", video_teachers())
def test_no_teacher_s_recipe_does_nothing_without_smoothing_or_a_mask(job, name):
    job = settled(replace(job, teacher=name))
    check_numbers(job)
    check_idle(job)
    job = replace(job, method=replace(job.method, smoothing="off"))
    check_idle(job)
    assert without_idle(job) == job


def test_what_an_older_run_was_given_and_did_nothing_is_forgotten(job):
    """Such runs were begun, and can still be resumed and repeated."""
    idle = Method(smoothing="off", smooth_along_flow=True, mask_k=1.0, joint=0.5)
    said = describe(replace(job, mask_grow=5.0, mask_invert=True, mask_frame=2, method=idle))
    known = {name: value for name, value in said.items() if name not in ("job", "versions")}
    recalled = recall(known, {"clip": job.clip, "out": job.out})
    assert recalled == settled(replace(job, method=Method(smoothing="off", joint=0.5)))
    with_mask = recall(known | {"mask": "m.png"}, {"clip": job.clip, "out": job.out})
    assert (with_mask.mask_grow, with_mask.mask_invert, with_mask.mask_frame) == (5.0, True, 2)
    with_clip = recall(known | {"mask": "m.mp4"}, {"clip": job.clip, "out": job.out})
    assert (with_clip.mask_grow, with_clip.mask_invert, with_clip.mask_frame) == (5.0, True, 0)
    check_idle(with_clip)


def test_an_unwritable_folder_is_one_sentence_and_exit_2(job, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "run"
    events = edit_video(replace(job, out=out))
    assert command.run(events, out) == 2
    assert "Choose another folder" in capsys.readouterr().err


def test_the_command_prints_its_metrics_last(clip_file, tmp_path):
    words = [sys.executable, "-m", "pipelines.video", str(clip_file), "--source", SOURCE]
    words += ["--target", TARGET, "--out", str(tmp_path / "run"), "--steps", "1", "--joint", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    metrics = json.loads(done.stdout.splitlines()[-1])
    assert metrics == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["method"]["joint"] == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 128), (128, 128)),
        ((512, 512), (128, 128)),
        ((1080, 1920), (96, 176)),
        ((64, 4096), (16, 1024)),
    ],
)
def test_the_working_size_keeps_the_aspect_ratio(size, expected):
    assert working_size(size, 128) == expected


SWITCHES = {
    "guidance_source": 2.0,
    "guidance_target": 2.0,
    "smoothing": "off",
    "smooth_along_flow": True,
    "mask_k": -9.0,
    "joint": 0.0,
    "fusion": 1.0,
    "focus": 0.0,
    "anchor": 0.5,
}


def test_every_switch_of_the_method_changes_the_gradient():
    everything = Method(joint=0.5, fusion=0.5, anchor=0.1, smoothing="residual")
    # eta is for flows: tests/sds/test_flow_edits.py.
    assert {*SWITCHES, "eta"} == set(Method.__dataclass_fields__)
    loaded = load_video_teacher("miniature")
    x_src = torch.randn(1, 8, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    x = x_src + 0.3 * torch.randn(x_src.shape, generator=torch.Generator().manual_seed(1))
    flow = torch.full((3, 2, 16, 16), 1.0)
    prompts = video_prompts(video_teacher("miniature"), SOURCE, TARGET)

    def gradient(method):
        noise = step_generator(0, 0)
        return assd_gradient(
            loaded.teachers, prompts, method, x, x_src, 500, noise, Flows(flow, -flow)
        )

    whole = gradient(everything)
    assert whole.isfinite().all()
    for name, value in [*SWITCHES.items(), ("smoothing", "shared")]:
        assert not torch.equal(whole, gradient(replace(everything, **{name: value}))), name


@pytest.mark.parametrize("noise", ["off", "shared"])
def test_the_image_teacher_sees_every_frame_through_a_noise_of_its_own_or_through_one(noise):
    loaded = load_video_teacher("miniature")
    generator = torch.Generator().manual_seed(0)
    still = torch.randn(2, 1, 8, 1, 16, 16, generator=generator).expand(-1, -1, -1, 4, -1, -1)
    prompts = video_prompts(video_teacher("miniature"), SOURCE, TARGET)

    def gradient(joint):
        method = replace(DDS, joint=joint, smoothing=noise)
        asked = (loaded.teachers, prompts, method, *still, 500, step_generator(0, 0))
        return assd_gradient(*asked)

    said = gradient(1.0) - gradient(0.0)
    assert said.abs().max() > 0.1
    apart = (said - said[:, :, :1]).abs().max() / said.abs().max()
    # Frames of one batch may be rounded by their place in it.
    assert apart < 0.02 if noise == "shared" else apart > 0.2


def test_the_catalog_names_words_for_the_built_in_teacher():
    assert {"red", "ball", "grass"} <= set(video_teacher("miniature").words)
