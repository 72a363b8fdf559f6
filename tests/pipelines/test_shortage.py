"""Memory that runs out by other names, and a teacher whose weights do not fit when it is loaded."""

import weakref
from types import SimpleNamespace

import pytest
import torch

from pipelines.errors import RunFailed
from pipelines.events import Done
from pipelines.teachers import building, fitting, loading
from pipelines.teachers.building import Room
from pipelines.teachers.catalog import mesh_teachers
from pipelines.teachers.shortage import shortage
from pipelines.teachers.teacher import MeshTeacher
from pipelines.teachers.thrift import LADDER, Thrift, lighter, said
from tests.pipelines.test_thrift import GB, short_run

TORCH = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
OTHERS = [
    CUBLAS,
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    # Of convolutions (Conv_v8.cpp of torch), without cudnn.benchmark and with it.
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8"),
    RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
]


@pytest.mark.parametrize("error", [TORCH, *OTHERS], ids=str)
def test_a_shortage_is_known_by_its_class_or_its_words(error):
    assert shortage(error) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RunFailed("There is not enough memory. It said: CUBLAS_STATUS_ALLOC_FAILED"),
    ],
    ids=str,
)
def test_anything_else_is_raised_as_it_is(error):
    with pytest.raises(type(error)) as told:
        shortage(error)
    assert told.value is error


def test_what_this_machine_says_of_a_shortage_is_known():
    with pytest.raises(RuntimeError) as told:
        torch.empty(10**15)
    assert shortage(told.value) == str(told.value)


def test_a_run_goes_on_where_a_library_of_the_gpu_found_no_memory(tmp_path):
    events = list(short_run(tmp_path, at=(2,), error=CUBLAS))
    assert isinstance(events[-1], Done)


def test_before_the_first_step_a_shortage_is_a_sentence():
    with pytest.raises(RunFailed, match="not enough memory to begin"), fitting.shortage_is_said():
        raise CUBLAS
    with pytest.raises(ZeroDivisionError), fitting.shortage_is_said():
        raise ZeroDivisionError


class Heavy:
    """A teacher in memory."""

    def __init__(self):
        self.thrift, self.compile, self.device = Thrift(), False, torch.device("cuda")

    def settle(self, after, compile):
        self.thrift, self.compile = after, compile


class Builds:
    """Builds teachers that do not fit the first few times."""

    def __init__(self, failures, error=TORCH):
        self.failures, self.error = failures, error
        self.asked, self.before = [], None

    def __call__(self, teacher, room):
        assert self.before is None or self.before() is None, "the first try holds on to memory"
        self.asked.append(room.lighter)
        made = Heavy()
        self.before = weakref.ref(made)
        if len(self.asked) <= self.failures:
            # A new one: an error that is kept holds on to where it was raised.
            raise type(self.error)(str(self.error))
        return made, lighter(Thrift()) if room.lighter else Thrift()


@pytest.fixture
def kept(monkeypatch):
    """The teachers in memory, of which there is one of the other job."""
    monkeypatch.setattr(loading, "_last", {str: ("another job's", Heavy())})
    return loading._last


@pytest.mark.parametrize("error", [TORCH, CUBLAS], ids=["torch", "cuBLAS"])
def test_weights_that_do_not_fit_are_loaded_once_more_with_fewer_on_the_card(kept, error):
    teacher, builds = mesh_teachers()["if-m"], Builds(1, error)
    loaded = loading._kept(teacher, builds, compile=False)
    assert builds.asked == [False, True] and loaded.thrift.in_turn
    assert kept == {type(teacher): (teacher, loaded)}


def test_weights_that_fit_are_loaded_once_beside_the_other_jobs(kept):
    teacher, builds = mesh_teachers()["if-m"], Builds(0)
    assert loading._kept(teacher, builds, compile=False).thrift == Thrift()
    assert builds.asked == [False] and set(kept) == {str, type(teacher)}


def test_the_last_teacher_is_gone_before_the_next_is_built(kept):
    first, second, builds = mesh_teachers()["if-m"], mesh_teachers()["if-l"], Builds(0)
    loading._kept(first, builds, compile=False)
    # It looks whether the one before is there still.
    loaded = loading._kept(second, builds, compile=False)
    assert kept[type(first)] == (second, loaded) and len(builds.asked) == 2


def test_a_teacher_that_is_kept_is_compiled_or_not_as_asked(kept):
    teacher, builds = mesh_teachers()["if-m"], Builds(0)
    loaded = loading._kept(teacher, builds, compile=False)
    for compile in (True, False):
        assert loading._kept(teacher, builds, compile) is loaded and loaded.compile is compile
    assert builds.asked == [False]


def test_a_teacher_that_never_fits_is_said_to_be_too_large(kept):
    teacher, builds = mesh_teachers()["if-m"], Builds(9)
    with (
        pytest.raises(
            RunFailed, match=r"not enough memory for the teacher if-m.*smaller.*said: CU"
        ),
        fitting.shortage_is_said(),
    ):
        loading._kept(teacher, builds, compile=False)
    assert builds.asked == [False, True] and kept == {}


def test_a_defect_is_no_shortage(kept):
    builds = Builds(1, RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        loading._kept(mesh_teachers()["if-m"], builds, compile=False)
    assert builds.asked == [False]


def test_another_jobs_teacher_goes_before_a_run_does_without_anything(kept):
    loaded = loading._kept(mesh_teachers()["if-m"], Builds(0), compile=False)
    other = weakref.ref(kept[str][1])
    assert loading.step_down(loaded) == [loading.LET_GO] and loaded.thrift == Thrift()
    assert other() is None and list(kept) == [MeshTeacher]
    assert loading.step_down(loaded) == said(LADDER[1]) and loaded.thrift == LADDER[1]


@pytest.mark.parametrize("planned", LADDER)
def test_a_teacher_that_was_rounded_on_the_way_is_not_the_next_runs(kept, planned):
    """What stays exact is kept, and so is what would be rounded again."""
    kept.clear()

    def build(*_):
        return Heavy(), planned

    teacher = mesh_teachers()["if-m"]
    loaded = loading._kept(teacher, build, compile=False)
    while loading.step_down(loaded):
        again = loading._kept(teacher, build, compile=False)
        assert (again is loaded) == (loaded.thrift.fp8 == planned.fp8)
        if again is not loaded:
            assert again.thrift == planned
            break


def test_fewer_weights_means_a_rung_that_has_fewer():
    assert [lighter(rung) for rung in LADDER] == [*LADDER[2:3] * 2, *LADDER[3:], LADDER[-1]]


def test_a_teacher_that_did_not_fit_as_planned_is_made_ready_in_the_computers_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 * GB, 80 * GB))
    card, network = SimpleNamespace(type="cuda"), torch.nn.Linear(1, 1)
    asked = (mesh_teachers()["if-xl"], card, torch.float32)
    room = Room(lambda: None)
    assert building._planned(*asked, room, network) == (Thrift(), card)
    tight = Room(lambda: None, lighter=True)
    assert building._planned(*asked, tight, network) == (LADDER[2], torch.device("cpu"))
