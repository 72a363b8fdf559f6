"""A job as JSON and as a command line, and back."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import command, mesh, video
from pipelines.errors import InputError
from pipelines.media import Cut
from pipelines.mesh import PaintMesh
from pipelines.runs import history
from pipelines.teachers.catalog import video_teachers
from pipelines.teachers.painting import PAPER, Painting
from pipelines.video import EditVideo
from sds.assd import Method

EDIT = EditVideo(Path("a b.mp4"), 'it\'s a "red" ball', "-x", Path("runs/x"))
PAINT = PaintMesh(Path("cow.obj"), "cow", "gold; rm -rf /", Path("out"))
MODULES = {EditVideo: video, PaintMesh: mesh}
JOBS = {
    "only what must be said": EDIT,
    "everything of a clip": replace(
        EDIT,
        teacher="miniature",
        compile=True,
        preset="quick",
        steps=3,
        seed=-4,
        strength=0.25,
        mask=Path("m.png"),
        mask_frame=2,
        mask_grow=-1.0,
        mask_invert=True,
        high=400,
        low=3,
        side=96,
        ode=True,
        moves=4,
        steady=3,
        cut=Cut(0.5, 2.0, 3),
        method=Method(joint=0.25, smooth_along_flow=True, mask_k=-9.0, smoothing="shared"),
    ),
    "only what must be said of a mesh": PAINT,
    "everything of a mesh": replace(
        PAINT,
        everywhere=True,
        compile=True,
        steps=7,
        mask=Path("x.png"),
        mask_view=(-30.0, 10.5),
        mask_replaces=True,
        unlike="pink",
        threshold=0.7,
        max_faces=500,
        up="z",
        painting=Painting(background=False, field="texture", rate=1e-3),
    ),
    "as the paper has it": replace(PAINT, edit="horns", plural=True, preset="paper"),
}


def test_what_an_edit_did_not_know_of_yet_was_off():
    said = video.describe(EDIT)
    del said["moves"], said["steady"]
    files = {"clip": EDIT.clip, "out": EDIT.out}
    known = {name: value for name, value in said.items() if name not in ("job", "versions")}
    recalled = video.recall(known, files)
    assert (recalled.moves, recalled.steady) == (0, 1)


def test_what_a_painting_did_not_know_of_yet_was_off():
    said = mesh.describe(replace(PAINT, preset="paper"))
    for name in ("crop", "attached", "style_guidance", "contrast"):
        del said["painting"][name]
    del said["up"]
    files = {"mesh": PAINT.mesh, "out": PAINT.out}
    known = {name: value for name, value in said.items() if name not in ("job", "versions")}
    assert (mesh.recall(known, files).painting, mesh.recall(known, files).up) == (PAPER, "y")


def parsed(line, kind):
    python, flag, module, *words = shlex.split(line)
    assert (python, flag) == ("python", "-m")
    assert module == {EditVideo: "pipelines.video", PaintMesh: "pipelines.mesh"}[kind]
    return command.parse(kind, module, MODULES[kind].usual, None, words)


def settled(job):
    """With the teacher's own settings where the job leaves them open."""
    return MODULES[type(job)].settled(job)


@pytest.mark.parametrize("name", JOBS)
def test_the_command_line_is_the_job(name):
    job = JOBS[name]
    for given in (job, settled(job)):
        assert settled(parsed(history.command_line(given), type(job))) == settled(job)


def test_the_command_line_has_the_defaults_of_the_teacher_it_names():
    words = ["c.mp4", "--source", "a", "--target", "b", "--out", "o", "--teacher", "wan-1.3b"]
    job = command.parse(EditVideo, "pipelines.video", video.usual, None, [*words, "--joint", "0.5"])
    recipe = video_teachers()["wan-1.3b"].recipe
    assert job.method == replace(recipe.method, joint=0.5)
    assert (job.high, job.low, job.ode, job.side) == (recipe.high, recipe.low, True, 632)
    line = history.command_line(job)
    assert "--joint 0.5" in line and "guidance" not in line and "--ode" not in line
    assert parsed(line, EditVideo) == job


def test_an_unknown_teacher_is_one_sentence_and_exit_2(capsys):
    with pytest.raises(SystemExit) as ended:
        command.parse(EditVideo, "pipelines.video", video.usual, None, ["--teacher", "nobody"])
    assert ended.value.code == 2
    assert "no video teacher called 'nobody'" in capsys.readouterr().err


def test_the_command_line_leaves_defaults_out():
    assert history.command_line(PAINT) == (
        "python -m pipelines.mesh cow.obj --object cow --style 'gold; rm -rf /' --out out"
    )


@pytest.mark.parametrize("name", JOBS)
def test_settings_are_the_job(name):
    job = JOBS[name]
    module = video if isinstance(job, EditVideo) else mesh
    said = json.loads(json.dumps(module.describe(job)))
    assert said == module.describe(job)
    assert said["steps"] == job.total_steps and said["out"] == job.out.name
    said = {key: value for key, value in said.items() if key not in ("job", "versions")}
    files = {"out": job.out, **({"clip": job.clip} if module is video else {"mesh": job.mesh})}
    assert module.recall(said, files) == settled(job)


def test_settings_hold_names_and_no_folders():
    job = replace(EDIT, clip=Path("/secret/place/clip.mp4"), mask=Path("/secret/m.png"))
    assert "secret" not in json.dumps(video.describe(job))


BAD = {
    "a number for words": {"source": 3},
    "words for a number": {"seed": "zero"},
    "a yes for a number": {"seed": True},
    "a fraction for a whole number": {"steps": 1.5},
    "no such choice": {"preset": "fastest"},
    "not a number": {"strength": float("nan")},
    "nothing where something must be": {"strength": None},
    "a setting of another version": {"sharpness": 1},
    "a method that is none": {"method": {"joint": "much"}},
    "a method of another version": {"method": {"sharpness": 1}},
    "a method that is a list": {"method": [1]},
}


@pytest.mark.parametrize("name", BAD)
def test_settings_that_no_job_has_are_refused(name):
    said = {"clip": "c.mp4", "source": "a", "target": "b", "out": "o"}
    assert video.recall(said, {}).method is None
    with pytest.raises(InputError):
        video.recall(said | BAD[name], {})


def test_settings_without_what_must_be_said_are_refused():
    with pytest.raises(InputError, match="not complete"):
        video.recall({"clip": "c.mp4", "source": "a"}, {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\..\\passwd"])
def test_a_name_never_leads_out_of_the_runs_folder(name):
    said = {"clip": name, "source": "a", "target": "b", "out": name}
    job = video.recall(said, {})
    assert job.clip == job.out == Path("passwd")
