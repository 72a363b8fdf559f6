"""Both jobs from file to file on every family of teachers: tiny ones, saved and read from disk."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import trimesh

from pipelines import geometry, video
from pipelines.errors import InputError, RunFailed
from pipelines.events import Done, Note, Step
from pipelines.media import clip_from_frames, read_clip, save_png, write_clip
from pipelines.mesh import PaintMesh, paint_mesh
from pipelines.runs import run_folder
from pipelines.teachers import building, loading
from pipelines.teachers.building import Room
from pipelines.teachers.catalog import mesh_teachers, video_teacher, video_teachers
from pipelines.teachers.loaded import COMPILES
from pipelines.teachers.loading import load_mesh_teacher, load_video_teacher
from pipelines.teachers.prompts import video_prompts
from pipelines.teachers.thrift import Thrift, networks_of
from pipelines.video import EditVideo, edit_video
from sds.assd import Method
from sds.priors import compiled
from sds.priors import stable_diffusion as sd
from sds.priors.single_frames import SingleFrames
from tests import tiny_teachers as tiny

FRAMES = 6
"""Neither 4n + 1 nor 8n + 1."""
MADE = {
    "wan": tiny.wan,
    "wan_5b": tiny.wan_5b,
    "cogvideox": tiny.cogvideox,
    "modelscope": tiny.modelscope,
    "animatediff": tiny.animatediff,
    "sd": tiny.stable_diffusion,
    "motion": tiny.motion_adapter,
    "upscaler": tiny.upscaler,
    "if_1": tiny.if_stage_1,
    "if_2": tiny.if_stage_2,
}
VIDEO = {
    "wan": ("wan", "wan-1.3b"),
    "wan_5b": ("wan", "wan-1.3b"),
    "cogvideox": ("cogvideox", "cogvideox-2b"),
    "modelscope": ("unet3d", "zeroscope"),
    "modelscope+sd": ("unet3d", "zeroscope"),
    "animatediff": ("animatediff", "animatediff"),
    "sd+motion": ("animatediff", "animatediff"),
}
"""Checkpoints, their shape, and the teacher of the list whose recipe they take."""
MESH = {"if_1+if_2": (8, 16, None), "upscaler+sd": (16, 32, 16)}
"""Checkpoints, and the pixels their stages work at and are shown."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("teachers")


@pytest.fixture
def teacher_of(folder):
    """The name a user gives for checkpoints called "a" or "a+b"."""
    return lambda names: "+".join(tiny.save(MADE[n](), folder / n) for n in names.split("+"))


@pytest.fixture
def job(tmp_path):
    frames = torch.zeros(FRAMES, 40, 56, 3, dtype=torch.uint8)
    frames[..., 1] = torch.linspace(40, 120, 56).to(torch.uint8)
    for f in range(FRAMES):
        frames[f, 10:26, 6 + 4 * f : 22 + 4 * f] = torch.tensor([220, 20, 20], dtype=torch.uint8)
    write_clip(tmp_path / "clip.mp4", frames, clip_from_frames(frames, 12))
    words = ("a red ball", "a blue ball")
    return EditVideo(tmp_path / "clip.mp4", *words, tmp_path / "run", steps=2, side=32)


@pytest.mark.parametrize("names", VIDEO)
def test_the_video_job_runs_on_every_family(job, teacher_of, names):
    shape, like = VIDEO[names]
    given = video_teacher(teacher_of(names))
    assert given.shape == shape and given.recipe == video_teachers()[like].recipe
    events = list(edit_video(replace(job, teacher=given.name, strength=5.0)))
    done = events[-1]
    assert isinstance(done, Done) and not any(
        "Downloading" in e.text for e in events if isinstance(e, Note)
    )
    assert [e.index for e in events if isinstance(e, Step)] == [0, 1]
    result, source = read_clip(done.result), read_clip(job.clip)
    assert result.frames.shape == source.frames.shape and result.times == source.times
    assert done.metrics["psnr_outside_mask"] < 60
    said = done.settings
    assert said["teacher"] == given.name and said["side"] == 32
    assert Method(**said["method"]) == given.recipe.method
    assert (said["high"], said["low"], said["ode"]) == (
        given.recipe.high,
        given.recipe.low,
        given.recipe.ode,
    )


def test_joint_guidance_comes_from_the_image_model_or_from_the_video_model_itself(teacher_of):
    for names in VIDEO:
        teachers = load_video_teacher(teacher_of(names)).teachers
        assert isinstance(teachers.image, SingleFrames) == ("sd" not in names), names


def test_each_model_reads_the_prompts_with_its_own_encoder(teacher_of):
    apart = video_prompts(video_teacher(teacher_of("modelscope+sd")), "a cat", "a ball")
    assert apart.image is not None and apart.image.source.shape == (1, 77, 16)
    together = video_prompts(video_teacher(teacher_of("sd+motion")), "a cat", "a ball")
    assert together.image is None


def test_a_mask_and_equal_prompts_keep_frames_exactly_in_a_compressed_time(
    job, teacher_of, monkeypatch
):
    mask = torch.zeros(40, 56, 3, dtype=torch.uint8)
    mask[8:24, 4:24] = 255
    save_png(job.clip.with_name("mask.png"), mask)
    wan = replace(job, teacher=teacher_of("wan"), strength=5.0)
    masked = replace(wan, mask=job.clip.with_name("mask.png"), out=job.out / "masked")
    done = list(edit_video(masked))[-1]
    assert done.metrics["psnr_outside_mask"] is None
    changed = (read_clip(done.result).frames != read_clip(job.clip).frames).any(-1)
    assert all(changed.flatten(1).any(1))
    # Which is why such prompts are refused.
    monkeypatch.setattr(video, "check_asked", lambda *asked: None)
    every_part = Method(joint=0.5, fusion=0.5, smooth_along_flow=True, mask_k=-1.0, eta=0.5)
    asked_nothing = replace(wan, target=wan.source, method=every_part, out=job.out / "nothing")
    assert list(edit_video(asked_nothing))[-1].metrics["psnr_outside_mask"] is None


def test_all_parts_of_the_method_run_on_a_transformer(job, teacher_of):
    method = Method(joint=0.5, fusion=0.5, smooth_along_flow=True, mask_k=-1.0, eta=0.5)
    asked = replace(job, teacher=teacher_of("wan_5b"), method=method, ode=False, strength=5.0)
    done = list(edit_video(asked))[-1]
    assert done.metrics["psnr_outside_mask"] < 60 and done.settings["ode"] is False


WRONG = {
    "fusion where words and picture share attention": (
        "cogvideox",
        {"method": Method(fusion=0.5)},
        "--fusion 1",
    ),
    "eta without a flow": ("modelscope", {"method": Method(eta=1.0)}, "Leave them out"),
    "an ode without a flow": ("modelscope", {"ode": True}, "Leave them out"),
    "no size": ("wan", {"side": 8}, "32 to 4096"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_family_cannot_do_is_said_before_anything_is_written(job, teacher_of, name):
    names, changes, sentence = WRONG[name]
    with pytest.raises(InputError, match=sentence):
        list(edit_video(replace(job, teacher=teacher_of(names), **changes)))
    assert not job.out.exists()


def test_a_prompt_too_long_for_its_encoder_is_said_in_a_sentence(job, teacher_of):
    with pytest.raises(InputError, match=r"reads 77; shorten it"):
        list(edit_video(replace(job, teacher=teacher_of("animatediff"), target="a" * 200)))
    assert not job.out.exists()


def test_a_level_of_nothing_but_noise_is_refused(job, teacher_of):
    job = replace(job, teacher=teacher_of("cogvideox"), steps=1)
    with pytest.raises(InputError, match=r"999 .* nothing but noise\. Lower --high"):
        list(edit_video(replace(job, high=999)))
    assert not job.out.exists()
    assert isinstance(list(edit_video(replace(job, high=998)))[-1], Done)


@pytest.fixture
def painting(tmp_path):
    trimesh.creation.box((1, 2, 1)).export(tmp_path / "box.obj")
    return PaintMesh(tmp_path / "box.obj", "box", "red", tmp_path / "run", edit="lid")


def test_a_teacher_that_cannot_be_used_leaves_no_run_behind(job, painting, tmp_path):
    wan, one, two = (Path(tiny.save(MADE[n](), tmp_path / n)) for n in ("wan", "if_1", "if_2"))
    for part in (wan / "transformer", two / "unet"):
        weights = next(part.glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:1000])
    edit, paint = replace(job, teacher=str(wan)), replace(painting, teacher=f"{one}+{two}")
    for events, out in ((edit_video(edit), edit.out), (paint_mesh(paint), paint.out)):
        with pytest.raises(InputError, match="cannot be used"):
            list(events)
        assert not out.exists()


@pytest.mark.parametrize("names", MESH)
def test_the_mesh_job_runs_on_every_family(painting, teacher_of, names):
    size_1, size_2, low = MESH[names]
    teacher = teacher_of(names)
    job = replace(painting, teacher=teacher)
    like = mesh_teachers()["if-xl" if "if" in names else "sd-x4"]
    how = replace(like.painting, views=1, detail_from=0.5)
    events = list(paint_mesh(replace(job, steps=2, resolution=32, painting=how)))
    assert isinstance(events[-1], Done)
    assert geometry.read_mesh(events[-1].result).faces == 12
    cascade = load_mesh_teacher(teacher).cascade
    assert (cascade.size_1, cascade.size_2, cascade.size_low) == (size_1, size_2, low)
    assert (cascade.encode_1 is None) == ("if" in names)
    assert cascade.top_level == (999 if "if" in names else 350)


def test_a_first_stage_larger_than_the_second_is_shown_what_it_works_at(painting, tmp_path):
    """Stable Diffusion 2 at 768 pixels, and an upscaler to 512."""
    folders = [
        tiny.save(tiny.stable_diffusion_of(32), tmp_path / "large"),
        tiny.save(tiny.upscaler(), tmp_path / "upscaler"),
    ]
    job = replace(painting, teacher="+".join(folders), steps=2, resolution=32)
    how = replace(mesh_teachers()["sd-x4"].painting, views=1, detail_from=0.5)
    assert isinstance(list(paint_mesh(replace(job, painting=how)))[-1], Done)
    cascade = load_mesh_teacher(job.teacher).cascade
    assert cascade.size_1 > cascade.size_2


def test_the_second_stage_of_deepfloyd_needs_no_text_encoder(painting, tmp_path):
    one, two = (Path(tiny.save(MADE[n](), tmp_path / n)) for n in ("if_1", "if_2"))
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(two / part)
    assert load_mesh_teacher(f"{one}+{two}").cascade.size_2 == 16
    # Half a file is a sentence too.
    weights = next((two / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    load_mesh_teacher("miniature")
    with pytest.raises(InputError, match="cannot be used"):
        load_mesh_teacher(f"{one}+{two}")


def test_what_lies_beside_a_pipeline_does_not_decide_how_it_is_read(tmp_path):
    """Parts in half precision only, and a checkpoint in one file, as people keep them."""
    folder = Path(tiny.save(tiny.stable_diffusion(), tmp_path / "sd"))
    for path in folder.glob("*/*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    (folder / "v1-5-pruned.safetensors").write_bytes(b"another program's")
    for dtype in (torch.float32, torch.float16):
        assert sd.load(str(folder), dtype).unet.dtype == dtype


def test_another_job_s_teacher_makes_room_where_one_does_not_fit(monkeypatch):
    """The first rung of the ladder that fits beside it is not the one that fits without it."""
    monkeypatch.setattr(loading, "_last", {})
    load_video_teacher("miniature")
    planned = []

    def plan(free, weights, needs):
        planned.append(len(loading._last))
        return Thrift(few_rows=len(planned) == 1)

    monkeypatch.setattr(building.thrift, "plan", plan)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 0))
    card = SimpleNamespace(type="cuda")
    network = torch.nn.Linear(1, 1)
    asked = (mesh_teachers()["if-xl"], card, torch.float32, Room(loading._make_room), network)
    assert building._planned(*asked) == (Thrift(), card)
    assert planned == [1, 0]


def test_animatediff_and_its_image_model_take_their_common_weights_once(teacher_of, monkeypatch):
    planned = []
    monkeypatch.setattr(
        building.thrift, "plan", lambda free, weights, needs: planned.append(weights) or Thrift()
    )
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 0))
    monkeypatch.setattr(loading, "_last", {})
    for name in ("miniature", teacher_of("sd+motion")):
        teachers = load_video_teacher(name).teachers
        image, motion = teachers.image.network, teachers.video.network
        shared = {p.data_ptr() for p in image.parameters()}
        assert len(shared) > 50 and shared < {p.data_ptr() for p in motion.parameters()}
        asked = (video_teacher(name), SimpleNamespace(type="cuda"), torch.float16, Room(int))
        assert building._planned(*asked, motion, image)[0] == Thrift()
        assert planned.pop() == [sum(2 * p.numel() for p in motion.parameters()), 0]


def compiled_networks(teachers):
    """Of each network, whether its blocks are compiled."""
    found = [
        {b._compiled_call_impl is not None for b in compiled.blocks(n)}
        for n in networks_of(teachers)
    ]
    return [one for (one,) in found]


def notes_of(events):
    return [event.text for event in events if isinstance(event, Note)]


def test_each_edit_is_compiled_or_not_as_it_asks(job, teacher_of, monkeypatch):
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    asked = replace(job, teacher=teacher_of("modelscope+sd"))
    loaded = load_video_teacher(asked.teacher)
    for run, compile in enumerate((False, True, False)):
        events = list(edit_video(replace(asked, compile=compile, out=job.out / str(run))))
        assert load_video_teacher(asked.teacher, compile) is loaded
        assert compiled_networks(loaded.teachers) == [compile, compile]
        assert events[-1].settings["compile"] is compile
        assert (COMPILES in notes_of(events)) is compile


def test_a_painting_is_compiled_where_it_asks(painting, teacher_of, monkeypatch):
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    asked = replace(painting, teacher=teacher_of("if_1+if_2"), steps=1, resolution=32)
    how = replace(mesh_teachers()["if-xl"].painting, views=1, detail_from=0.0)
    events = list(paint_mesh(replace(asked, painting=how, compile=True)))
    assert events[-1].settings["compile"] and COMPILES in notes_of(events)
    assert compiled_networks(load_mesh_teacher(asked.teacher, True).cascade) == [True, True]
    assert compiled_networks(load_mesh_teacher(asked.teacher).cascade) == [False, False]


def no_compiler(*_):
    raise RuntimeError("No working C++ compiler found")


def test_without_a_compiler_nothing_is_begun(job, painting, monkeypatch):
    monkeypatch.setattr(compiled, "_BACKEND", no_compiler)
    edit = replace(job, teacher="miniature", compile=True)
    paint = replace(painting, object="mushroom", edit="cap", compile=True)
    for events in (edit_video(edit), paint_mesh(paint)):
        with pytest.raises(InputError, match=r"without --compile\..*No working C"):
            list(events)
    assert not job.out.exists() and not painting.out.exists()


def test_a_block_that_cannot_be_compiled_ends_the_run_in_a_sentence(job, teacher_of, monkeypatch):
    calls = []

    def first_only(graph, _):
        calls.append(graph)
        return graph if len(calls) == 1 else no_compiler()

    monkeypatch.setattr(compiled, "_BACKEND", first_only)
    asked = replace(job, teacher=teacher_of("wan"), compile=True)
    with pytest.raises(RunFailed, match=r"could not be compiled\. Install"):
        list(edit_video(asked))
    assert run_folder.read_status(job.out).state == "failed"
