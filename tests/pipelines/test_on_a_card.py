"""Both jobs from file to file on a card that is not there: nothing of them stays on the host, and
no step makes the host wait.

`tests/card.py` says what that shows and what it does not. Where there is a card, it is asked too.
"""

import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pipelines.clip.edit import Edit
from pipelines.events import Done
from pipelines.media import save_png
from pipelines.mesh import Paint, paint_mesh
from pipelines.paint.views import Ahead
from pipelines.teachers import loading, machine, thrift
from pipelines.teachers.painting import Painting
from pipelines.video import edit_video
from sds import optimize
from sds.assd import Method
from tests.card import Card, hurried, standing_in
from tests.pipelines.test_teachers_run import MESH, VIDEO, folder, job, painting, teacher_of

__all__ = ["folder", "job", "painting", "teacher_of"]

STEPS = 4
ALL_PARTS = Method(
    guidance_source=3.0, guidance_target=3.0, joint=0.5, fusion=0.5, smooth_along_flow=True
)
SHARED = Method(guidance_source=3.0, guidance_target=3.0, smoothing="shared")
EDITS = [
    *((names, {}) for names in VIDEO),
    *((names, dict(method=ALL_PARTS, steady=7)) for names in ("wan", "modelscope+sd", "sd+motion")),
    *((names, dict(method=SHARED, moves=3)) for names in ("wan", "animatediff")),
]
PAINTINGS = {
    "own": {},
    "pattern": dict(unlike="blue", painting=Painting()),
    "phases": dict(painting=Painting(cascade="phases", field="texture", contrast=0.0)),
    "global": dict(everywhere=True, edit="", painting=Painting(field="fourier", contrast=0.0)),
}
FREE = 10**11
DRIVER = {
    "_lazy_init": lambda: None,
    "current_device": lambda: 0,
    "empty_cache": lambda: None,
    "Event": lambda: SimpleNamespace(record=lambda: None, synchronize=lambda: None),
    "get_device_name": lambda: "a card that is not there",
    "is_available": lambda: True,
    "is_bf16_supported": lambda **_: True,
    "is_current_stream_capturing": lambda: False,
    "is_initialized": lambda: False,
    "max_memory_allocated": lambda: 0,
    "mem_get_info": lambda: (FREE, FREE),
}
"""What is asked of torch.cuda."""
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to wait for")


@pytest.fixture
def card(monkeypatch):
    """Where jobs run, once it is called with the name of a device."""
    known = machine.machine

    def stand_in(device):
        here = torch.device(device), torch.float32
        for module in list(sys.modules.values()):
            if getattr(module, "machine", None) is known:
                monkeypatch.setattr(module, "machine", lambda: here)
        return standing_in(device)

    for name, answer in DRIVER.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(loading, "_last", {})
    return stand_in


@contextmanager
def hurried_driver(yes=True):
    """`hurried` on a real card."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error" if yes else "default")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def watched(monkeypatch, work, hurried):
    """The indices of the steps that `work` takes; those between the first and the last may not
    wait. A painting's views are made beside its steps, and may."""
    taken, honest, prepare = [], work.optimise, Ahead.prepare

    def optimise(self, since):
        steps = honest(self, since)
        while True:
            with hurried(0 < len(taken) < STEPS - 1):
                step = next(steps, None)
            if step is None:
                return
            taken.append(step.index)
            yield step

    def waiting(self, index):
        with hurried(False):
            prepare(self, index)

    monkeypatch.setattr(work, "optimise", optimise)
    monkeypatch.setattr(Ahead, "prepare", waiting)
    return taken


def test_the_card_and_the_host_do_not_mix(card):
    with card("cuda:0"):
        x = torch.arange(12.0, device="cuda:0").view(3, 4)
        host = torch.ones(4)
        assert isinstance(x, Card) and x.device.type == "cuda" and not isinstance(host, Card)
        with pytest.raises(RuntimeError, match="of the card and of the host"):
            x + host
        moved = host.to("cuda:0")
        assert isinstance(x + moved + 2, Card) and not isinstance(x.cpu(), Card)
        chosen = x[..., None, 1:][torch.tensor([2, 0]), :, -1]
        assert chosen.cpu().equal(torch.tensor([[11.0], [3.0]])) and float(x[1, 2]) == 6
        x[x > 5] = 0.0
        x[0] = moved
        assert x.sum().item() == 4 + 4 + 5
        with pytest.raises(TypeError, match="to numpy"):
            x.numpy()


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.item(),
        lambda x: bool(x.any()),
        lambda x: x.tolist(),
        lambda x: x.numpy(force=True),
        lambda x: x.cpu(),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: torch.ones(3).to("cuda:0"),
        lambda x: torch.tensor([1.0], device="cuda:0"),
        lambda x: x.nonzero(),
        lambda x: x[x > 1],
        lambda x: x.masked_select(x > 1),
        lambda x: x.unique(),
        lambda x: x.repeat_interleave(x.long()),
    ],
)
def test_what_the_host_waits_for_is_noticed(card, waits):
    with card("cuda:0"):
        with hurried():
            x = torch.arange(3.0).to("cuda:0", non_blocking=True)
            x[x.long()] = 2 * x
            with pytest.raises(RuntimeError, match="the host waits"):
                waits(x)
        assert x.tolist() == [0, 2, 4]


@pytest.mark.parametrize(("names", "how"), EDITS)
def test_an_edit_stays_on_the_card(job, teacher_of, card, monkeypatch, names, how):
    taken = watched(monkeypatch, Edit, hurried)
    asked = replace(job, teacher=teacher_of(names), steps=STEPS, **how)
    with card("cuda:0"):
        assert isinstance(list(edit_video(asked))[-1], Done)
    assert taken == list(range(STEPS))


@pytest.mark.parametrize("names", ["wan", "sd+motion"])
def test_few_rows_at_once_stay_there_too(job, teacher_of, card, monkeypatch, names):
    monkeypatch.setattr(thrift, "plan", lambda *_: thrift.LADDER[1])
    with card("cuda:0"):
        assert isinstance(list(edit_video(replace(job, teacher=teacher_of(names))))[-1], Done)


@pytest.mark.parametrize("names", MESH)
@pytest.mark.parametrize("how", PAINTINGS.values(), ids=PAINTINGS)
def test_a_painting_stays_on_the_card(painting, teacher_of, card, monkeypatch, names, how):
    # Of the devices that torch knows by name, one whose gradients need no driver.
    monkeypatch.setattr(torch, "lazy", torch.cpu, raising=False)
    # There, whether a step was finite would be read at once.
    monkeypatch.setattr(optimize, "_watch", lambda tensors: lambda: True)
    taken = watched(monkeypatch, Paint, hurried)
    mask = painting.out.parent / "mask.png"
    save_png(mask, torch.full((32, 32), 255, dtype=torch.uint8))
    asked = replace(painting, teacher=teacher_of(names), steps=STEPS, resolution=32, **how)
    asked = replace(asked, mask=None if asked.everywhere else mask)
    with card("lazy:0"):
        assert isinstance(list(paint_mesh(asked))[-1], Done)
    assert taken == list(range(STEPS))


@GPU
@pytest.mark.parametrize(("names", "how"), EDITS)
def test_no_step_of_an_edit_waits_for_a_gpu(job, teacher_of, monkeypatch, names, how):
    taken = watched(monkeypatch, Edit, hurried_driver)
    asked = replace(job, teacher=teacher_of(names), steps=STEPS, **how)
    assert isinstance(list(edit_video(asked))[-1], Done) and taken == list(range(STEPS))


@GPU
@pytest.mark.parametrize("names", MESH)
@pytest.mark.parametrize("how", PAINTINGS.values(), ids=PAINTINGS)
def test_no_step_of_a_painting_waits_for_a_gpu(painting, teacher_of, monkeypatch, names, how):
    taken = watched(monkeypatch, Paint, hurried_driver)
    asked = replace(painting, teacher=teacher_of(names), steps=STEPS, resolution=32, **how)
    assert isinstance(list(paint_mesh(asked))[-1], Done) and taken == list(range(STEPS))
