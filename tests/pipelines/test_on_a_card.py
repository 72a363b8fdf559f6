"""Both jobs from file to file on a card that is not there: nothing of them stays on the host.

`tests/card.py` says what that shows and what it does not.
"""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pipelines.events import Done
from pipelines.mesh import paint_mesh
from pipelines.paint import painted
from pipelines.teachers import loading, machine, thrift
from pipelines.video import edit_video
from sds.assd import Method
from tests.card import Card, standing_in
from tests.pipelines.test_teachers_run import MESH, VIDEO, folder, job, painting, teacher_of

__all__ = ["folder", "job", "painting", "teacher_of"]

ALL_PARTS = Method(
    guidance_source=3.0, guidance_target=3.0, joint=0.5, fusion=0.5, smooth_along_flow=True
)
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
    ("names", "few_rows"),
    [*((names, False) for names in VIDEO), ("wan", True), ("sd+motion", True)],
)
def test_an_edit_stays_on_the_card(job, teacher_of, card, monkeypatch, names, few_rows):
    monkeypatch.setattr(thrift, "plan", lambda *_: thrift.LADDER[few_rows])
    with card("cuda:0"):
        assert isinstance(list(edit_video(replace(job, teacher=teacher_of(names))))[-1], Done)


@pytest.mark.parametrize("names", ["wan", "modelscope+sd", "sd+motion"])
def test_no_part_of_the_method_leaves_the_card(job, teacher_of, card, names):
    asked = replace(job, teacher=teacher_of(names), method=ALL_PARTS, steady=7)
    with card("cuda:0"):
        assert isinstance(list(edit_video(asked))[-1], Done)


@pytest.mark.parametrize("names", MESH)
def test_a_painting_stays_on_the_card(painting, teacher_of, card, monkeypatch, names):
    # Of the devices that torch knows by name, one whose gradients need no driver.
    monkeypatch.setattr(torch, "lazy", torch.cpu, raising=False)
    monkeypatch.setattr(painted, "TURNTABLE_FRAMES", 4)
    asked = replace(painting, teacher=teacher_of(names), steps=2, resolution=32)
    with card("lazy:0"):
        assert isinstance(list(paint_mesh(asked))[-1], Done)
