"""What the widgets show: the curve, the live preview, before and after, what was brushed."""

import base64
import io
import re
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.clip.checks import check_idle
from pipelines.errors import InputError
from pipelines.events import Preview
from pipelines.media import Cut, clip_from_frames, write_clip
from pipelines.media.comparison import COMPARISON
from pipelines.mesh import PaintMesh
from pipelines.runs.curve import Point
from pipelines.teachers.painting import Painting
from pipelines.video import EditVideo, settled
from sds.assd import Method
from tests.pipelines.test_media import make_file
from tests.ui.pictures import address
from ui import mesh_region, mesh_run, video_run
from ui.brush import strokes_of
from ui.forecast import forecast_mesh, forecast_video
from ui.preview import previewed
from ui.progress import polyline, progress
from ui.theme import PAGE
from ui.video_mask_actions import begin_mask, mask_of, open_frame
from ui.viewer import compared


def points(curve):
    return [tuple(map(float, point.split(","))) for point in curve.split()]


def test_a_curve_rises_from_the_bottom_left_to_the_top_right():
    rising = (Point(0, 0.0, 0.0), Point(1, 1.0, 0.0), Point(2, 2.0, 0.0))
    assert points(polyline(rising, "change")) == [(0, 39), (100, 20), (200, 1)]
    assert points(polyline(rising, "loss")) == [(0, 39), (100, 39), (200, 39)]
    assert polyline((), "loss") == polyline(rising[:1], "change") == ""


def test_a_point_stands_where_its_step_does():
    uneven = (Point(0, 0.0, 4.0), Point(6, 1.0, 2.0), Point(8, 2.0, 0.0))
    assert points(polyline(uneven, "change")) == [(0, 39), (150, 20), (200, 1)]


def test_a_progress_without_changes_leaves_the_curve():
    def props(update):
        return update.props

    assert "change" not in props(progress("Loading", 0))
    gone = props(progress("Loading", 0, ()))
    assert gone["change"] == gone["loss"] == gone["loss_now"] == ""
    shown = props(progress("Step", 0.5, (Point(0, 0.1, 3.0), Point(1, 0.234567, 1.5))))
    assert (shown["change_now"], shown["loss_now"]) == ("0.235", "1.5")
    assert points(shown["change"])[-1] == (200, 1) and points(shown["loss"])[0] == (0, 1)


def test_what_a_progress_quotes_is_text():
    assert progress("no file <img src=x>", 0).value == "no file &lt;img src=x&gt;"


def test_no_template_evaluates_what_may_be_missing():
    """But for its value, which gradio never takes away."""
    for path in PAGE.glob("*.html"):
        assert set(re.findall(r"\$\{(.*?)\}", path.read_text())) <= {"value"}


def opened(uri):
    kind, content = uri.split(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_preview_is_jpeg_and_its_masks_see_through():
    frames = torch.full((4, 32, 48, 3), 200, dtype=torch.uint8)
    mask = torch.zeros(4, 8, 12)
    mask[1, :, 6:] = 1
    shown = previewed(Preview(0, frames, {"mask": mask}), columns=2)
    kind, picture = opened(shown.value)
    assert kind == "data:image/jpeg" and picture.size == (98, 66)
    assert shown.props["smoothed"] == ""
    kind, laid = opened(shown.props["mask"])
    alpha = np.asarray(laid)[..., 3]
    assert kind == "data:image/png" and laid.size == picture.size
    assert alpha[:32, 80:].min() > 100 and alpha[:, :70].max() == 0 and alpha[34:].max() == 0


def test_a_wide_preview_is_made_smaller():
    frames = torch.zeros(4, 540, 960, 3, dtype=torch.uint8)
    _, picture = opened(previewed(Preview(0, frames), columns=2).value)
    assert picture.width <= 962


def test_the_inputs_of_a_job_are_the_tab_s():
    job = EditVideo(
        clip=Path("a.mp4"),
        source="a",
        target="b",
        out=Path("out"),
        mask=Path("m.png"),
        cut=Cut(1.0, 2.0, 3),
        seed=7,
        compile=True,
    )
    found = video_run.inputs_of(job)
    assert set(found) == set(signature(video_run.job_of).parameters)
    assert (found["start"], found["end"], found["every"]) == (1.0, 2.0, 3)
    assert (found["where"], found["mask"], found["seed"]) == ("mask", "m.png", 7)
    assert found["compile"] is True
    how = Painting(crop=0.25)
    job = PaintMesh(Path("a.obj"), "a", "b", Path("out"), edit="c", compile=True, painting=how)
    found = mesh_run.inputs_of(job)
    assert (found["compile"], found["crop"]) == (True, 0.25)
    assert set(found) == set(signature(mesh_run.job_of).parameters)
    assert found["where"] == "words"


def test_the_page_asks_for_nothing_that_does_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path))
    masked = EditVideo(
        clip=Path("a.mp4"),
        source="a",
        target="b",
        out=tmp_path,
        mask=Path("m.png"),
        mask_frame=3,
        mask_grow=5.0,
        mask_feather=0.0,
        mask_invert=True,
        method=Method(smooth_along_flow=True, mask_k=1.0),
    )
    page = video_run.inputs_of(masked) | {"brushed": ""}
    kept = video_run.job_of(**page)
    assert replace(kept, out=masked.out) == settled(masked)
    bare = video_run.job_of(**page | {"where": "everywhere", "smoothing": "off"})
    plain = replace(masked, mask=None, mask_frame=0, mask_grow=2.0, mask_feather=2.0)
    plain = replace(plain, mask_invert=False, method=Method(smoothing="off"))
    assert replace(bare, out=masked.out) == settled(plain)
    check_idle(bare)
    # A clip of masks has one for every frame, whichever the page's clip was paused on.
    by_clip = video_run.job_of(**page | {"mask": "m.webm"})
    assert replace(by_clip, out=masked.out) == settled(
        replace(masked, mask=Path("m.webm"), mask_frame=0)
    )
    check_idle(by_clip)


def test_exactly_the_mask_is_no_other_than_inside_it_where_everything_is_painted():
    job = PaintMesh(Path("a.obj"), "a", "b", Path("out"), edit="c", mask=Path("m.png"), up="z")
    given = mesh_run.inputs_of(job) | {"edit": "c", "brushed": None, "where": "mask"}
    assert mesh_run.job_of(**given).mask_replaces and mesh_run.job_of(**given).up == "z"
    whole = mesh_run.job_of(**given | {"everywhere": True})
    assert (whole.mask, whole.mask_replaces, whole.edit) == (Path("m.png"), False, "")


def test_a_region_that_cannot_be_moved_says_why(monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Info", told.append)
    viewer = SimpleNamespace(camera_position=[None, None, None])
    # One change that changes nothing: gradio takes none at all for empty outputs.
    (values,) = mesh_region.move(SimpleNamespace(session_hash="me"), None, None, 0.3, viewer)
    assert all(value == gr.skip() for value in values)
    assert len(told) == 1 and "Paint first" in told[0]


def test_the_paused_moment_is_in_the_part(tmp_path):
    frames = (torch.arange(8) * 30).to(torch.uint8)[:, None, None, None].expand(8, 16, 16, 3)
    path = tmp_path / "clip.mp4"
    write_clip(path, frames, clip_from_frames(frames, 10))

    def paused(second):
        clip = SimpleNamespace(value=str(path), playback_position=second)
        where, shown, drawn, frame, file = begin_mask(clip, 0.3, 0.6, 1)
        assert (where, file) == ("mask", None) and f"Frame {frame}" == shown.props["says"]
        assert drawn == frame
        return frame

    assert [paused(second) for second in (0.3, 0.35, 0.45, 0.599, 0.65)] == [0, 0, 1, 2, 2]
    for second in (0.0, 0.75):
        with pytest.raises(gr.Error, match=rf"paused at {second:.1f} s, which is not in the part"):
            paused(second)


def test_a_typed_number_opens_its_frame(tmp_path, monkeypatch):
    path = make_file(tmp_path / "clip.avi", "mpeg4", count=8)
    said = []
    monkeypatch.setattr(gr, "Warning", said.append)
    where, box, drawn = open_frame(str(path), 0, 0, 2, None, 3)
    assert (where, box.props["says"], drawn) == ("mask", "Frame 3", 3) and box.value == ""
    assert box.visible is True and said == []
    # It is that of a file where there is one.
    for clip, mask, number in ((path, "mask.png", 3), (None, None, 3), (path, None, None)):
        kept = open_frame(clip and str(clip), 0, 0, 2, mask, number)
        assert all(value == gr.skip() for value in kept)
    # What was brushed on another frame does not stay below a number that is none.
    _, box, drawn = open_frame(str(path), 0, 0, 2, None, 4)
    assert (box.visible, box.value, drawn) == (False, "", None)
    assert said == ["clip.avi has no frame 4: give 0 to 3."]


def test_what_is_brushed_goes_with_the_frame_below_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    job = EditVideo(clip=Path("a.mp4"), source="a", target="b", out=Path("out"))
    page = video_run.inputs_of(job) | {"where": "mask", "mask": "m.png", "mask_frame": 4}
    brushed = page | {"brushed": strokes(True), "drawn": 1}
    assert video_run.job_of(**brushed).mask_frame == 1
    unbrushed = page | {"brushed": strokes(False), "drawn": 1}
    assert video_run.job_of(**unbrushed).mask_frame == 4


def strokes(painted):
    """The brush's value, with or without a stroke."""
    pixels = np.zeros((16, 24, 4), np.uint8)
    if painted:
        pixels[4:8, 6:12] = (255, 45, 120, 255)
    return address(pixels)


def test_what_is_painted_comes_before_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    painted, blank = strokes(True), strokes(False)
    found, frame = mask_of("mask", painted, 2, "other.png", 5)
    mask = np.asarray(Image.open(found))
    assert mask.shape == (16, 24) and mask[5, 8] == 255 and mask[0, 0] == 0
    assert frame == 2
    assert mask_of("everywhere", painted, 2, "other.png", 5) == (None, 5)
    assert mask_of("mask", blank, 2, "other.png", 5) == (Path("other.png"), 5)
    assert mask_of("mask", "", 2, "other.png", 5) == (Path("other.png"), 5)
    with pytest.raises(InputError, match="There is no mask"):
        mask_of("mask", blank, 2, None, 5)
    for broken in ("data:image/png;base64,?", "data:image/png;base64,AAAA", "/etc/passwd"):
        with pytest.raises(InputError, match="read"):
            mask_of("mask", broken, 2, None, 5)


def test_equal_strokes_of_two_views_have_files_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    one, other = strokes_of(strokes(True)), strokes_of(strokes(True))
    assert one.parent != other.parent and one.read_bytes() == other.read_bytes()


def test_before_and_after_come_from_the_run_s_folder(tmp_path):
    assert compared(tmp_path, {"panels": ["before", "after"]}) is None
    frames = torch.zeros(4, 16, 32, 3, dtype=torch.uint8)
    write_clip(tmp_path / COMPARISON, frames, clip_from_frames(frames, 8))
    found = compared(tmp_path, {"panels": ["before", "after"]})
    assert found["panels"] == ["before", "after"] and found["sound"] is False
    assert found["video"]["path"] == str(tmp_path / COMPARISON)
    # Runs of before there were comparisons have none.
    assert compared(tmp_path, {}) is None


def test_the_forecast_says_what_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path / "none"))
    frames = torch.zeros(310, 16, 16, 3, dtype=torch.uint8)
    path = tmp_path / "long.mp4"
    write_clip(path, frames, clip_from_frames(frames, 10))

    def said(start=0.0, end=0.0, every=1, teacher="miniature"):
        cut = (start, 29.0 if teacher != "miniature" else end, every)
        return forecast_video(str(path), teacher, False, "quick", 0, 128, *cut)

    assert said().startswith("310 frames are more than the 300")
    # As long as nothing has run here, the examples that ship tell.
    assert re.fullmatch(
        r"155 frames\. About \d+ (s|min) and \d\.\d GB of memory where the examples were made\. "
        r"Nothing like it has run here yet\.",
        said(every=2),
    )
    assert said(teacher="wan-1.3b").endswith("nothing like it has run on this machine.")
    assert said(start=1, end=2).startswith("10 frames.")
    assert said(start=40).startswith("There are no two frames")
    assert forecast_video(None, "miniature", False, "quick", 0, 128, 0, 0, 1) == ""
    # While numbers are being typed they may be anything.
    assert said(start=-1.0).startswith("The part starts at -1.0 s.")
    odd = partial(forecast_video, str(path), "miniature", False, "quick")
    assert odd(0, 16, 0.0, 0.0, 2).startswith("Working at 16 pixels a side: give 32")
    assert odd(-5, 128, 0.0, 0.0, 2).startswith("-5 steps make no edit.")
    assert odd(10**30, 128, 0.0, 0.0, 2).endswith("Give at most 1,000,000.")
    assert forecast_mesh("miniature", False, "quick", -5, 4).startswith("-5 steps paint nothing.")
    path.write_text("no clip")
    assert said().startswith("long.mp4 is not a video that can be opened")


@pytest.mark.parametrize(
    "name, codec, shown",
    [("a.mp4", "libx264", True), ("a.webm", "libvpx-vp9", True), ("a.avi", "mpeg4", False)],
)
def test_the_forecast_says_what_a_browser_may_not_show(tmp_path, monkeypatch, name, codec, shown):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path / "none"))
    path = make_file(tmp_path / name, codec)
    said = forecast_video(str(path), "miniature", False, "quick", 0, 128, 0, 0, 1)
    assert said.startswith("6 frames. About ")
    assert said.endswith(" it can be edited all the same.") != shown
