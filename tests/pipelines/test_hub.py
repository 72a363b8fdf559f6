"""Checkpoints here and on the hub: what is fetched, and one sentence for all that can go wrong."""

import errno
import json
import shutil
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from fake_hub import SHA, FakeHub
from huggingface_hub import constants, errors
from huggingface_hub.utils import _http
from huggingface_hub.utils._http import default_client_factory

from pipelines.errors import InputError
from pipelines.teachers import catalog, hub, loading, weights
from pipelines.teachers.hub.parts import is_whole
from sds.priors import stable_diffusion as sd
from tests import tiny_teachers as tiny

REPO = "owner/tiny"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A pipeline as hub repositories are: both precisions, pickles, and what is not needed."""
    folder = tmp_path_factory.mktemp("checkpoint") / "sd"
    tiny.save(tiny.stable_diffusion(), folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.non_ema.safetensors"))
    for name in ("unet/diffusion_pytorch_model.bin", "sd.ckpt", "safety_checker/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not needed")
    return folder


@pytest.fixture
def fake(checkpoint, tmp_path, monkeypatch):
    """A hub that has the checkpoint, and an empty cache."""
    made = FakeHub({REPO: checkpoint})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [])
    monkeypatch.setattr(hub, "getproxies", lambda: {"no": "localhost"})
    # The library asks again five times before it gives up, and would wait 23 s between them.
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    huggingface_hub.set_client_factory(made.client)
    yield made
    huggingface_hub.close_session()
    huggingface_hub.set_client_factory(default_client_factory)


def test_a_checkpoint_is_fetched_once_and_only_what_is_needed(fake, checkpoint):
    assert hub.commit(REPO) is None
    wanted = hub.download(REPO, half=False)
    folder = hub.fetch(REPO, half=False)
    assert hub.commit(REPO) == SHA
    names = set(fake.fetched)
    assert "unet/diffusion_pytorch_model.safetensors" in names and "model_index.json" in names
    assert not any(word in name for name in names for word in (".bin", ".ckpt", "fp16", "non_ema"))
    assert not any("safety" in name for name in names)
    sizes = {name: (checkpoint / name).stat().st_size for name in names - {"model_index.json"}}
    assert wanted.bytes == sum(sizes.values())
    asked = fake.asked
    assert hub.fetch(REPO, half=False) == folder and hub.download(REPO, half=False) is None
    assert hub.is_here(REPO) and fake.asked == asked
    assert hub.identity(REPO, folder, ("unet",)) == f"{REPO} {SHA}"


def test_half_precision_is_taken_where_it_is_enough(fake):
    hub.fetch(REPO, half=True)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in fake.fetched
    assert "unet/diffusion_pytorch_model.safetensors" not in fake.fetched
    assert "vae/diffusion_pytorch_model.safetensors" in fake.fetched


def test_what_was_cut_short_is_fetched_on(fake):
    folder = hub.fetch(REPO, half=False)
    gone = folder / "vae" / "diffusion_pytorch_model.safetensors"
    size = gone.stat().st_size
    gone.resolve().unlink()
    gone.unlink()
    assert not hub.is_here(REPO)
    assert hub.download(REPO, half=False).bytes == size
    fake.fetched.clear()
    hub.fetch(REPO, half=False)
    assert fake.fetched == ["vae/diffusion_pytorch_model.safetensors"]


def test_the_log_says_licence_size_and_memory_before_a_download(fake, monkeypatch):
    teacher = catalog.mesh_teachers()["sd-x4"]
    monkeypatch.setattr(loading, "takes_half", lambda: False)
    pair = replace(teacher, stage_1=REPO, stage_2=REPO)
    (said,) = loading.announcements(pair)
    about = f"Downloading {REPO}, 0.0 GB. Licence: {teacher.licence}."
    assert said == f"{about} For a GPU with about {teacher.memory_gb} GB or more (estimated)."
    (said,) = loading.announcements(replace(pair, memory_gb=24, memory_measured=True))
    assert said == f"{about} For a GPU with 24 GB or more."
    (said,) = loading.announcements(replace(pair, memory_gb=None))
    assert said == about
    hub.fetch(REPO, half=False)
    assert loading.announcements(pair) == []


def gated(fake, monkeypatch):
    fake.gated.add(REPO)


def missing(fake, monkeypatch):
    fake.repos.clear()


def no_network(fake, monkeypatch):
    fake.down = True


def no_names(fake, monkeypatch):
    def unknown(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


def offline(fake, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.set_client_factory(default_client_factory)


def ill(fake, monkeypatch):
    fake.ill = True


def run_out(fake, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    fake.refuses = 401


def not_allowed(fake, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    fake.refuses = 403


def kept_out(fake, monkeypatch):
    """Whoever it is: a network may be refused as a whole."""
    monkeypatch.setattr(hub.said, "get_token", lambda: None)
    fake.refuses = 403


def full(fake, monkeypatch):
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def on_the_way(error):
    """What a download breaks off with."""

    def trouble(fake, monkeypatch):
        def broken(*args, **kind):
            if kind.get("dry_run"):
                return listed(*args, **kind)
            raise error

        listed = huggingface_hub.snapshot_download
        monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)

    return trouble


full_on_the_way = on_the_way(OSError(errno.ENOSPC, "No space left on device"))
full_without_a_number = on_the_way(OSError("cannot write: No space left on device"))
not_mine = on_the_way(PermissionError(errno.EACCES, "Permission denied"))
read_only = on_the_way(OSError(errno.EROFS, "Read-only file system"))
full_by_xet = on_the_way(RuntimeError("Data processing error: IO Error: (os error 28)\nat line 3"))
cut_by_xet = on_the_way(RuntimeError("Data processing error: CAS service error : timed out"))
cut_short = on_the_way(OSError("Consistency check failed: file should be of size 7 but has size 5"))


TROUBLE = {
    gated: "is gated: accept its licence at https://huggingface.co/owner/tiny.*hf auth.*HF_TOKEN",
    missing: "There is no model owner/tiny on the hub, or it is private.*hf auth login.*HF_TOKEN",
    no_network: "cannot be reached: connect to the internet.*--teacher miniature",
    no_names: "cannot be reached: connect to the internet.*--teacher miniature",
    offline: "cannot be reached: unset HF_HUB_OFFLINE.*--teacher miniature",
    ill: "hub answered 503.*try again later",
    run_out: "hub refused your token when asked for owner/tiny.*hf auth login.*HF_TOKEN",
    not_allowed: "hub refused your token when asked for owner/tiny.*hf auth login.*HF_TOKEN",
    kept_out: "hub answered 403.*try again later",
    full: r"no room for owner/tiny \(it takes 0\.0 GB\).*HF_HOME",
    full_on_the_way: r"no room for owner/tiny \(No space left on device\).*HF_HOME",
    full_without_a_number: r"no room for owner/tiny \(cannot write: No space left.*HF_HOME",
    not_mine: r"owner/tiny cannot be kept in .* \(Permission denied\): set HF_HOME",
    read_only: r"owner/tiny cannot be kept in .* \(Read-only file system\): set HF_HOME",
    full_by_xet: r"no room for owner/tiny \(Data processing error.*os error 28\)\).*HF_HOME",
    cut_by_xet: r"not be fetched to its end \(Data processing.*timed out\): try again",
    cut_short: r"not be fetched to its end \(Consistency check.*size 5\): try again",
}


@pytest.mark.parametrize("trouble", TROUBLE, ids=TROUBLE.values())
def test_trouble_with_the_hub_is_one_sentence_with_the_remedy(fake, monkeypatch, trouble):
    trouble(fake, monkeypatch)
    with pytest.raises(InputError, match=TROUBLE[trouble]) as told:
        hub.fetch(REPO, half=False)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("trouble", [gated, missing, no_network, no_names, offline, ill])
def test_what_is_here_needs_no_hub(fake, monkeypatch, trouble):
    folder = hub.fetch(REPO, half=False)
    trouble(fake, monkeypatch)
    assert hub.fetch(REPO, half=False) == folder


def test_without_names_nothing_is_tried(fake, monkeypatch):
    no_names(fake, monkeypatch)
    with pytest.raises(InputError):
        hub.fetch(REPO, half=False)
    assert fake.asked == 0
    # What a proxy can reach is its own affair.
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy"})
    hub.fetch(REPO, half=False)


def test_a_revision_can_be_named(fake):
    with pytest.raises(InputError, match="no revision 'other'"):
        hub.fetch(f"{REPO}@other", half=False)
    assert hub.fetch(f"{REPO}@{SHA}", half=False).name == SHA


def test_pickles_are_refused_with_the_way_around(fake, checkpoint, tmp_path):
    only = tmp_path / "pickled"
    shutil.copytree(checkpoint, only)
    for path in (only / "unet").glob("*.safetensors"):
        path.unlink()
    fake.repos[REPO] = only
    with pytest.raises(InputError, match=r"unet as a pickle only.*owner/tiny@refs/pr/NUMBER"):
        hub.fetch(REPO, half=False)
    with pytest.raises(InputError, match=r"unet as a pickle only.*save_pretrained"):
        hub.fetch(str(only), half=False)
    assert not any("unet" in name for name in fake.fetched)


def test_code_of_its_own_is_refused_by_name(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "mine")
    index = json.loads((checkpoint / "model_index.json").read_text())
    index["_class_name"] = ["my_pipeline", "MyPipeline"]
    (tmp_path / "mine" / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"code of its own \(MyPipeline\)"):
        catalog.video_teacher(str(tmp_path / "mine"))


@pytest.mark.parametrize("part, asks", [("unet", True), ("safety_checker", False)])
def test_code_of_a_part_is_not_run_and_asked_for_by_name(checkpoint, tmp_path, part, asks):
    """Where nobody uses the part, nobody minds."""
    mine, ran = tmp_path / "mine", tmp_path / "ran"
    shutil.copytree(checkpoint, mine)
    index = json.loads((mine / hub.INDEX).read_text())
    (mine / hub.INDEX).write_text(json.dumps(index | {part: ["my_module", "X"]}))
    for place in (mine / part, mine):
        (place / "my_module.py").write_text(f"open({str(ran)!r}, 'w')\nclass X: pass\n")
    if asks:
        with pytest.raises(InputError, match=r"code of its own \(X\), which is not run"):
            catalog.mesh_teacher(f"{mine}+{checkpoint}")
    else:
        assert hub.read_index(str(mine))["_class_name"] == "StableDiffusionPipeline"
    # Nor if it were let through.
    with suppress(ValueError, OSError):
        sd.load(str(mine))
    assert not ran.exists()


def test_parts_that_nobody_reads_are_not_fetched(fake):
    without = ("text_encoder", "tokenizer")
    all_of_it = hub.download(REPO, half=False).bytes
    assert hub.download(REPO, half=False, without=without).bytes < all_of_it
    folder = hub.fetch(REPO, half=False, without=without)
    assert not any(name.startswith(without) for name in fake.fetched)
    assert hub.is_here(REPO, without) and not hub.is_here(REPO)
    # A folder may do without them as well.
    assert hub.fetch(str(folder), half=False, without=without) == folder
    with pytest.raises(InputError, match="not whole: its text_encoder"):
        hub.fetch(str(folder), half=False)


def test_only_the_second_of_deepfloyd_s_stages_does_without_a_text_encoder():
    teachers = catalog.mesh_teachers()
    paper = teachers["if-xl"]
    assert paper.unread(paper.stage_2) == ("text_encoder", "tokenizer")
    assert paper.unread(paper.stage_1) == ()
    assert teachers["sd-x4"].unread(teachers["sd-x4"].stage_2) == ()


def test_a_folder_that_is_not_whole_is_refused(checkpoint, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(checkpoint, mine)
    assert hub.fetch(str(mine), half=False) == mine
    for path in (mine / "vae").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(InputError, match="not whole: its vae has no safetensors"):
        hub.fetch(str(mine), half=False)
    shutil.rmtree(mine / "vae")
    with pytest.raises(InputError, match="not whole"):
        hub.fetch(str(mine), half=False)


def test_a_folder_whose_weights_are_there_but_not_what_they_are_of_is_refused(checkpoint, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(checkpoint, mine)
    (mine / "vae" / "config.json").unlink()
    with pytest.raises(InputError, match="mine is not whole: files of its vae are missing"):
        hub.fetch(str(mine), half=False)


def test_an_index_that_cannot_be_read_is_of_no_model(checkpoint, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(checkpoint, mine)
    (mine / hub.INDEX).write_text("{")
    with pytest.raises(InputError, match=f"mine holds no model.*{hub.INDEX}"):
        hub.fetch(str(mine), half=False)


def test_a_model_in_one_file_is_refused_with_the_way_to_a_folder(tmp_path):
    model = tmp_path / "model.safetensors"
    model.touch()
    for given, said in ((model, "is a file"), (tmp_path, "holds no model")):
        with pytest.raises(InputError, match=rf"{said}.*from_single_file.*save_pretrained"):
            catalog.video_teacher(str(given))


def test_a_single_network_on_the_hub_is_known_by_its_configuration(fake, tmp_path):
    """It has no index of parts: the hub says that there is no such file."""
    fake.repos[REPO] = Path(tiny.save(tiny.motion_adapter(), tmp_path / "motion"))
    assert hub.read_index(REPO)["_class_name"] == "MotionAdapter"
    folder = hub.fetch(REPO, half=False)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("No model.")
    fake.repos["owner/notes"] = tmp_path / "notes"
    with pytest.raises(InputError, match="owner/notes holds no model in the format of diffusers"):
        hub.read_index("owner/notes")


def test_the_weights_of_a_checkpoint_on_the_hub_are_its_commit(fake):
    teacher = replace(catalog.mesh_teachers()["sd-x4"], stage_1=REPO, stage_2="owner/other")
    assert weights.weights(teacher) == {}
    hub.fetch(REPO, half=False)
    assert weights.weights(teacher) == {"stage_1": SHA}


def test_shards_are_counted(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    shards = [f"diffusion_pytorch_model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    name = "diffusion_pytorch_model.safetensors.index.json"
    (tmp_path / name).write_text(json.dumps(index))
    (tmp_path / shards[0]).touch()
    assert not is_whole(tmp_path, "unet/")
    (tmp_path / shards[1]).touch()
    assert is_whole(tmp_path, "unet/")


def test_parameters_are_counted_once_in_whatever_precisions(checkpoint, tmp_path):
    count = sum(p.numel() for p in tiny.stable_diffusion().unet.parameters())
    assert len([*(checkpoint / "unet").glob("*.safetensors")]) == 3
    assert hub.parameters(checkpoint / "unet") == count
    whole = (checkpoint / "text_encoder" / "model.safetensors").read_bytes()
    for damaged in (b"nonsense", whole[:-1]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            hub.parameters(tmp_path)


def test_an_identity_changes_with_the_files_it_is_of(tmp_path):
    (tmp_path / "text_encoder").mkdir()
    weights = tmp_path / "text_encoder" / "model.safetensors"
    weights.write_bytes(b"one")
    before = hub.identity(str(tmp_path), tmp_path, ("text_encoder",))
    assert before == hub.identity(str(tmp_path), tmp_path, ("text_encoder",))
    (tmp_path / "other.json").touch()
    assert before == hub.identity(str(tmp_path), tmp_path, ("text_encoder",))
    weights.write_bytes(b"three")
    assert before != hub.identity(str(tmp_path), tmp_path, ("text_encoder",))


def test_the_errors_are_those_the_library_raises(fake):
    """So that the sentences above are tested on the real thing."""
    fake.gated.add(REPO)
    with pytest.raises(errors.GatedRepoError):
        huggingface_hub.hf_hub_download(REPO, "model_index.json")
    with pytest.raises(errors.RepositoryNotFoundError):
        huggingface_hub.hf_hub_download("owner/nothing", "model_index.json")
    fake.down = True
    with pytest.raises(errors.LocalEntryNotFoundError):
        huggingface_hub.hf_hub_download(REPO, "model_index.json")
