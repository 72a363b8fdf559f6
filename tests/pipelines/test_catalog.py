"""The list of teachers, checkpoints that are not in it, prompts kept on disk."""

import hashlib
import json
import subprocess
import sys
import weakref
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from miniature.scenes import PATTERNS
from pipelines.clip.change import working_size
from pipelines.errors import InputError
from pipelines.teachers import embeddings, hub, prompts, weights
from pipelines.teachers.catalog import (
    ASSETS,
    MINIATURE,
    default_video_teacher,
    mesh_teacher,
    mesh_teachers,
    video_teacher,
    video_teachers,
)
from pipelines.teachers.loading import load_video_teacher
from pipelines.teachers.machine import machine
from pipelines.teachers.teacher import Recipe, needs
from pipelines.video import EditVideo, describe
from tests import tiny_teachers as tiny


def checkpoint(folder, kind, index=hub.INDEX):
    folder.mkdir()
    (folder / index).write_text(json.dumps({"_class_name": kind}))
    return str(folder)


@pytest.fixture
def made(tmp_path):
    """Folders whose index names a class; nothing else is in them."""
    kinds = {
        "wan": "WanPipeline",
        "cog": "CogVideoXPipeline",
        "scope": "TextToVideoSDPipeline",
        "animate": "AnimateDiffPipeline",
        "sd": "StableDiffusionPipeline",
        "x4": "StableDiffusionUpscalePipeline",
        "if_1": "IFPipeline",
        "if_2": "IFSuperResolutionPipeline",
        "flux": "FluxPipeline",
    }
    folders = {name: checkpoint(tmp_path / name, kind) for name, kind in kinds.items()}
    return folders | {"motion": checkpoint(tmp_path / "motion", "MotionAdapter", hub.SINGLE)}


def test_the_list_has_the_teachers_people_use():
    sources = {source for t in video_teachers().values() for source in t.sources}
    assert {
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        "guoyww/animatediff-motion-adapter-v1-5-2",
        "cerspense/zeroscope_v2_576w",
        "ali-vilab/text-to-video-ms-1.7b",
        "THUDM/CogVideoX-2b",
    } <= sources
    sources = {source for t in mesh_teachers().values() for source in t.sources}
    assert {
        "DeepFloyd/IF-I-XL-v1.0",
        "DeepFloyd/IF-I-L-v1.0",
        "DeepFloyd/IF-I-M-v1.0",
        "DeepFloyd/IF-II-L-v1.0",
        "DeepFloyd/IF-II-M-v1.0",
        "stabilityai/stable-diffusion-x4-upscaler",
    } <= sources


def test_what_may_not_be_sold_or_must_be_accepted_is_said():
    for name in ("zeroscope", "modelscope"):
        assert "CC-BY-NC" in video_teachers()[name].licence
    floyd = [t.licence for name, t in mesh_teachers().items() if name.startswith("if-")]
    assert all("gated" in licence and "non-commercial research" in licence for licence in floyd)
    everyone = [*video_teachers().values(), *mesh_teachers().values()]
    assert all(t.licence and t.about for t in everyone)
    drawn = [t.licence for t in everyone if any("stable-diffusion-v1-5" in s for s in t.sources)]
    assert len(drawn) == 4 and all("OpenRAIL-M" in licence for licence in drawn)


def test_what_a_large_teacher_asks_of_a_gpu_is_said_and_whether_that_was_measured():
    everyone = {**video_teachers(), **mesh_teachers()}
    measured = {"wan-1.3b", "animatediff", "if-xl"}
    for name, teacher in everyone.items():
        if name == MINIATURE:
            assert needs(teacher) == ""
        else:
            assert teacher.memory_gb > 0 and (name in measured) == teacher.memory_measured
            assert ("(estimated)" in needs(teacher)) == (name not in measured)


def test_wan_5b_works_at_the_size_that_it_was_made_for():
    assert working_size((1080, 1920), video_teachers()["wan-5b"].side, 32) == (704, 1280)
    assert working_size((1920, 1080), video_teachers()["wan-5b"].side, 32) == (1280, 704)


REVISED = {
    "cerspense/zeroscope_v2_576w@refs/pr/3": "zeroscope",
    "ali-vilab/text-to-video-ms-1.7b": "modelscope",
    "guoyww/animatediff-motion-adapter-v1-5-2@main": "animatediff",
}


@pytest.mark.parametrize("given", REVISED)
def test_a_teacher_of_the_list_at_another_revision_is_that_teacher(given):
    one = video_teachers()[REVISED[given]]
    assert video_teacher(given) == replace(one, name=given, video=given)
    both = f"{one.image}@abc+{given}"
    assert video_teacher(both) == replace(one, name=both, video=given, image=f"{one.image}@abc")


def test_so_is_a_cascade():
    one, given = mesh_teachers()["if-m"], "DeepFloyd/IF-I-M-v1.0@a+DeepFloyd/IF-II-M-v1.0"
    stages = given.split("+")
    assert mesh_teacher(given) == replace(one, name=given, stage_1=stages[0], stage_2=stages[1])


def test_every_recipe_is_one_that_its_shape_can_follow():
    assert all(hasattr(EditVideo, f.name) for f in fields(Recipe))
    for teacher in video_teachers().values():
        recipe = teacher.recipe
        assert 0 < recipe.low <= recipe.high < 1000
        flow = teacher.shape == "wan"
        assert flow or not (recipe.ode or recipe.method.eta)
        assert teacher.shape != "cogvideox" or recipe.method.fusion == 1
        assert (teacher.words is not None) == (teacher.name == MINIATURE)


@pytest.mark.parametrize(
    ("style", "rest"),
    [("red dotted", "red"), ("Red, dotted", "red"), ("red", ""), ("striped", ""), ("Dark red", "")],
)
def test_a_style_is_told_from_what_it_is_without_its_pattern(style, rest):
    assert mesh_teacher(MINIATURE).unlike(style) == rest
    assert mesh_teacher("if-xl").unlike(style) == ""


def test_the_built_in_teachers_patterns_are_among_its_words_and_the_worlds():
    teacher = mesh_teacher(MINIATURE)
    assert {*teacher.patterns, "plain"} == set(PATTERNS)
    assert set(teacher.patterns) <= set(teacher.words)


VIDEO = {
    "wan": "wan",
    "cog": "cogvideox",
    "scope": "unet3d",
    "scope+sd": "unet3d",
    "sd+scope": "unet3d",
    "animate": "animatediff",
    "motion+sd": "animatediff",
    "sd+motion": "animatediff",
}


@pytest.mark.parametrize("names", VIDEO)
def test_a_video_checkpoint_is_known_by_its_class(made, names):
    given = "+".join(made[name] for name in names.split("+"))
    teacher = video_teacher(given)
    assert teacher.shape == VIDEO[names] and teacher.name == given
    video = next(name for name in names.split("+") if name != "sd")
    assert teacher.video == made[video]
    assert teacher.image == (made["sd"] if "sd" in names else None)
    assert teacher.betas == ("linear" if video == "motion" else None)
    assert "card" in teacher.licence and teacher.memory_gb is None


@pytest.mark.parametrize("names", ["if_1+if_2", "if_2+if_1", "sd+x4", "x4+sd"])
def test_a_cascade_is_known_by_its_classes(made, names):
    teacher = mesh_teacher("+".join(made[name] for name in names.split("+")))
    stages = ("if_1", "if_2") if "if" in names else ("sd", "x4")
    assert teacher.sources == tuple(made[name] for name in stages)
    assert teacher.shape == ("deepfloyd" if "if" in names else "latent")


NO_VIDEO_TEACHERS = ["flux", "sd", "motion", "if_1", "wan+cog", "flux+sd", "x4+sd"]
NOT_BESIDE_AN_IMAGE_MODEL = ["wan+sd", "sd+cog", "animate+sd", "scope+motion+sd"]


@pytest.mark.parametrize("names", NO_VIDEO_TEACHERS + NOT_BESIDE_AN_IMAGE_MODEL)
def test_another_shape_is_refused_by_its_name_with_the_shapes_there_are(made, names):
    with pytest.raises(InputError, match="no video teacher") as told:
        video_teacher("+".join(made[name] for name in names.split("+")))
    for name in names.split("+"):
        assert hub.read_index(made[name])["_class_name"] in str(told.value)
    said = str(told.value)
    assert "WanPipeline, CogVideoXPipeline, TextToVideoSDPipeline or AnimateDiffPipeline" in said
    pairs = "VIDEO+IMAGE, a TextToVideoSDPipeline or MotionAdapter with a StableDiffusionPipeline"
    assert pairs in said


@pytest.mark.parametrize("look_up, names", [(video_teacher, "scope"), (mesh_teacher, "if_1+if_2")])
def test_two_checkpoints_of_one_class_are_refused(made, tmp_path, look_up, names):
    first = names.split("+")[0]
    kind = hub.read_index(made[first])["_class_name"]
    twice = [checkpoint(tmp_path / "again", kind), *(made[name] for name in names.split("+"))]
    with pytest.raises(InputError, match=f"{first} are both a {kind}. Give one of them"):
        look_up("+".join(twice))


def test_so_are_two_revisions_of_a_teacher_of_the_list(monkeypatch):
    monkeypatch.setattr(hub, "read_index", lambda _: {"_class_name": "TextToVideoSDPipeline"})
    one = video_teachers()["zeroscope"].video
    with pytest.raises(InputError, match=f"{one}@a and {one}@b are both a TextToVideoSDPipeline"):
        video_teacher(f"{one}@a+{one}@b")


def test_two_transformers_are_refused_before_they_are_fetched(made):
    index = {"_class_name": "WanPipeline", "boundary_ratio": 0.875}
    (Path(made["wan"]) / hub.INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"two transformers.*a single one"):
        video_teacher(made["wan"])
    (Path(made["wan"]) / hub.INDEX).write_text(json.dumps(index | {"boundary_ratio": None}))
    assert video_teacher(made["wan"]).shape == "wan"


@pytest.mark.parametrize("names", ["flux", "sd", "if_1", "if_1+x4", "sd+if_2", "wan"])
def test_half_a_cascade_or_a_mixed_one_is_refused(made, names):
    with pytest.raises(InputError, match=r"IFPipeline\+IFSuperResolutionPipeline"):
        mesh_teacher("+".join(made[name] for name in names.split("+")))


def test_names_and_folders_that_are_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no video teacher called 'nobody'.*Choose one of: mini"):
        video_teacher("nobody")
    for name in ("", f"{tmp_path}+", "+"):
        with pytest.raises(InputError, match="no mesh teacher called"):
            mesh_teacher(name)
    with pytest.raises(InputError, match="no model in the format of diffusers"):
        video_teacher(str(tmp_path))
    with pytest.raises(InputError, match="neither a teacher of the list, nor a folder"):
        video_teacher("a/b/c")


@pytest.mark.parametrize(
    ("gpu", "may_fetch", "here", "name"),
    [
        (False, True, True, MINIATURE),
        (True, True, False, "wan-1.3b"),
        (True, False, True, "wan-1.3b"),
        (True, False, False, MINIATURE),
    ],
)
def test_the_default_is_wan_where_there_is_a_gpu_and_it_can_be_had(
    monkeypatch, gpu, may_fetch, here, name
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(hub, "may_fetch", lambda: may_fetch)
    monkeypatch.setattr(hub, "is_here", lambda source: here)
    assert default_video_teacher() == name


# Which weights they are.


def test_settings_say_which_weights_the_built_in_teachers_are_made_of():
    def digest(folder):
        files = sorted((ASSETS / MINIATURE / folder).rglob("*.safetensors"))
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

    video = {"video": digest("motion"), "image": digest("image")}
    assert weights.weights(video_teacher(MINIATURE)) == video
    cascade = {"stage_1": digest("cascade/stage_1"), "stage_2": digest("cascade/stage_2")}
    assert weights.weights(mesh_teacher(MINIATURE)) == cascade
    said = describe(EditVideo(Path("a.mp4"), "a", "b", Path("run"), teacher=MINIATURE))
    assert said["versions"]["weights"] == video


def test_other_files_are_other_weights_and_very_large_ones_are_not_read(tmp_path, monkeypatch):
    folder = tiny.save(tiny.wan(), tmp_path / "wan")
    teacher = video_teacher(folder)
    before = weights.weights(teacher)
    assert list(before) == ["video"]
    path = next(Path(folder).glob("transformer/*.safetensors"))
    path.write_bytes(path.read_bytes() + b"more")
    assert weights.weights(teacher)["video"] != before["video"]
    path.write_bytes(path.read_bytes() + b"and more")
    monkeypatch.setattr(weights, "MOST", 10)
    assert weights.weights(teacher) == {}


# Prompts kept on disk.


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBRUSH_CACHE", str(tmp_path))
    return tmp_path / "embeddings"


def test_an_encoder_is_asked_once_for_a_text(kept):
    asked = []

    def encode(texts):
        asked.append(list(texts))
        return torch.tensor([[[float(len(text))] * 3] * 2 for text in texts], dtype=torch.bfloat16)

    first = embeddings.embedded("model", ["a", "bb", ""], encode)
    assert first.shape == (3, 2, 3) and first.dtype == torch.float32
    again = embeddings.embedded("model", ["", "ccc", "a"], encode)
    assert asked == [["a", "bb", ""], ["ccc"]]
    assert torch.equal(again, torch.stack([first[2], torch.full((2, 3), 3.0), first[0]]))
    embeddings.embedded("another model", ["a"], encode)
    assert asked[-1] == ["a"]
    assert {path.suffix for path in kept.iterdir()} == {".safetensors"}


def test_a_damaged_file_is_made_again_and_an_unwritable_folder_is_no_harm(kept, monkeypatch):
    def encode(texts):
        return torch.ones(len(texts), 1, 1)

    embeddings.embedded("model", ["a"], encode)
    (file,) = kept.iterdir()
    file.write_bytes(b"nonsense")
    assert embeddings.embedded("model", ["a"], encode).item() == 1
    assert file.stat().st_size > 20
    monkeypatch.setenv("SCOREBRUSH_CACHE", str(file))
    assert embeddings.embedded("model", ["a"], encode).item() == 1


def test_a_disk_that_takes_no_embedding_is_no_harm(kept, monkeypatch):
    honest = embeddings.save_file

    def save_file(tensors, path):
        with pytest.raises(SafetensorError) as told:
            honest(tensors, path / "nowhere")
        raise told.value

    monkeypatch.setattr(embeddings, "save_file", save_file)
    assert embeddings.embedded("model", ["a"], lambda texts: torch.ones(1, 1, 1)).item() == 1
    assert list(kept.iterdir()) == []


def test_the_cache_is_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("SCOREBRUSH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert embeddings.cache_folder() == tmp_path / "scorebrush" / "embeddings"


def test_the_second_run_loads_no_encoder(kept, monkeypatch):
    from sds.priors import texts

    asked = []
    honest = texts.embed
    monkeypatch.setattr(texts, "embed", lambda *given: asked.append(given[1]) or honest(*given))
    words = ("a red ball", "a blue ball")
    first = prompts.video_prompts(video_teacher(MINIATURE), *words)
    again = prompts.video_prompts(video_teacher(MINIATURE), *reversed(words))
    assert len(asked) == 1
    assert torch.equal(first.source, again.target) and torch.equal(first.empty, again.empty)


@pytest.fixture
def encoders(monkeypatch):
    """Every text encoder that is loaded, held weakly."""
    from sds.priors import deepfloyd, wan
    from sds.priors import stable_diffusion as sd

    seen = []

    def watch(honest):
        def load(*given):
            pipe = honest(*given)
            seen.append(weakref.ref(pipe.text_encoder))
            return pipe

        return load

    for family in (deepfloyd, wan, sd):
        monkeypatch.setattr(family, "load_text", watch(family.load_text))
    return seen


@pytest.mark.parametrize("names", ["wan", "sd+motion", "miniature", "if_1+if_2", "miniature mesh"])
def test_an_encoder_is_gone_once_it_has_read(kept, encoders, tmp_path, names):
    made = {"wan": tiny.wan, "sd": tiny.stable_diffusion, "motion": tiny.motion_adapter}
    made |= {"if_1": tiny.if_stage_1, "if_2": tiny.if_stage_2}
    name = names.split()[0]
    if name != MINIATURE:
        name = "+".join(tiny.save(made[part](), tmp_path / part) for part in names.split("+"))
    if "if" in names or "mesh" in names:
        said = prompts.mesh_prompts(mesh_teacher(name), ["a red mushroom"])
    else:
        said = prompts.video_prompts(video_teacher(name), "a red ball", "a blue ball")
    # `prompts` lets go by itself: of what holds itself too.
    assert encoders and not any(encoder() for encoder in encoders)
    assert said is not None


@pytest.mark.parametrize(("free", "place"), [(2.6, "meta"), (2.4, "cpu")])
def test_an_encoder_is_on_the_card_where_it_fits_as_it_runs_there(
    kept, monkeypatch, tmp_path, free, place
):
    """Wan2.1's is kept in fp32, 23 GB, and takes half of that."""
    from sds.priors import texts

    folder = tiny.save(tiny.wan(), tmp_path / "wan")
    count = sum(p.numel() for p in tiny.wan().text_encoder.parameters())
    assert hub.parameters(tmp_path / "wan" / "text_encoder") == count
    asked = []
    monkeypatch.setattr(prompts, "LARGE", 0)
    monkeypatch.setattr(prompts, "machine", lambda: (torch.device("meta"), torch.bfloat16))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free * count, 4 * count))
    monkeypatch.setattr(texts, "embed", lambda *given: asked.append(given) or torch.zeros(3, 1, 1))
    prompts.video_prompts(video_teacher(folder), "a cat", "a dog")
    assert asked[0][2:] == (torch.device(place), torch.bfloat16)


def test_what_runs_in_fp32_on_a_card_is_not_rounded_to_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert machine() == (torch.device("cuda"), torch.bfloat16)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.fixture
def on_a_card(kept, monkeypatch, tmp_path):
    """A large encoder, and a card that it fits once what torch keeps for later is given back."""
    folder = tiny.save(tiny.wan(), tmp_path / "wan")
    free = [0]
    monkeypatch.setattr(prompts, "LARGE", 0)
    monkeypatch.setattr(prompts, "machine", lambda: (torch.device("meta"), torch.bfloat16))
    monkeypatch.setattr(prompts, "let_go", lambda: free.__setitem__(0, 10**12))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free[0], 10**12))
    return video_teacher(folder)


def runs_out(places, short):
    """An encoder that finds no memory on some devices; `places` are those it was asked on."""

    def embed(folder, texts, place, dtype):
        places.append(place.type)
        if place.type in short:
            raise torch.OutOfMemoryError("CUDA out of memory: 2 GiB")
        return torch.zeros(len(texts), 1, 1)

    return embed


def test_idle_memory_is_given_back_before_an_encoder_is_sent_to_the_cpu(on_a_card, monkeypatch):
    places = []
    monkeypatch.setattr("sds.priors.texts.embed", runs_out(places, short=()))
    prompts.video_prompts(on_a_card, "a cat", "a dog")
    assert places == ["meta"]


def test_an_encoder_that_runs_out_of_memory_reads_on_the_cpu(on_a_card, monkeypatch):
    places = []
    monkeypatch.setattr("sds.priors.texts.embed", runs_out(places, short=("meta",)))
    prompts.video_prompts(on_a_card, "a cat", "a dog")
    assert places == ["meta", "cpu"]


def test_an_encoder_that_fits_nowhere_is_asked_once_on_each(on_a_card, monkeypatch):
    places = []
    monkeypatch.setattr("sds.priors.texts.embed", runs_out(places, short=("meta", "cpu")))
    with pytest.raises(torch.OutOfMemoryError):
        prompts.video_prompts(on_a_card, "a cat", "a dog")
    assert places == ["meta", "cpu"]


def test_an_encoder_that_runs_out_of_memory_on_the_cpu_is_not_asked_again(on_a_card, monkeypatch):
    places = []
    monkeypatch.setattr(prompts, "machine", lambda: (torch.device("cpu"), torch.float32))
    monkeypatch.setattr("sds.priors.texts.embed", runs_out(places, short=("cpu",)))
    with pytest.raises(torch.OutOfMemoryError):
        prompts.video_prompts(on_a_card, "a cat", "a dog")
    assert places == ["cpu"]


def test_the_last_teacher_stays_and_another_takes_its_place():
    first = load_video_teacher(MINIATURE)
    assert load_video_teacher(MINIATURE) is first
    with pytest.raises(InputError):
        load_video_teacher("nobody")
    assert load_video_teacher(MINIATURE) is first


def test_asking_which_teachers_there_are_imports_no_library_of_models():
    """The page and the help of the commands must not wait for it."""
    code = (
        "import sys; from pipelines import mesh, video; video.usual('wan-1.3b'); "
        "print({'diffusers', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
