"""Views that are made ahead of their step are those that would have been made in time."""

from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from miniature.meshes import sample_mesh, surface
from pipelines.paint.look import look
from pipelines.paint.views import Ahead, Views
from pipelines.render import sphere_views
from sds.draws import sent
from sds.optimize import step_generator

CPU = torch.device("cpu")


def views_of(device):
    shape = surface(sample_mesh("tune", 1, "robot")).to(device)

    def make(index):
        generator = step_generator(0, index)
        cameras = sphere_views(3, generator)
        behind = sent(torch.rand(3, 3, generator=generator), device)
        view = look(shape, cameras, 64, behind)
        return Views(view, view.points.uv[:, :1].clone(), generator)

    return make


def held(value):
    """All tensors in a tree of dataclasses."""
    if isinstance(value, Tensor):
        return [value]
    parts = [getattr(value, f.name) for f in fields(value)] if is_dataclass(value) else []
    return [tensor for part in parts for tensor in held(part)]


def test_each_steps_views_are_made_once_and_forgotten():
    made = []
    ahead = Ahead(lambda index: made.append(index) or None, CPU)
    ahead.take(3)
    ahead.prepare(4)
    assert made == [3, 4]
    ahead.take(4)
    assert made == [3, 4]
    ahead.take(4)
    ahead.prepare(6)
    ahead.take(5)
    assert made == [3, 4, 4, 6, 5]


def test_none_are_none():
    ahead = Ahead(lambda index: None, CPU)
    ahead.prepare(0)
    assert ahead.take(0) is None


def test_all_that_lies_on_the_device_is_known():
    views = views_of(CPU)(0)
    assert {id(x) for x in views.tensors} == {id(x) for x in held(views)}
    assert len(views.tensors) == 8


def test_the_step_waits_for_the_stream_its_views_are_made_on(monkeypatch):
    """The order of what is asked of the driver; without it a step would read what is not there."""
    said = []
    now = ["main"]

    class Stream:
        def __init__(self, name):
            self.name = name

        def wait_stream(self, other):
            said.append((self.name, "waits for", other.name))

    @contextmanager
    def stream(which):
        now.append(which.name)
        yield
        now.pop()

    def make(index):
        said.append((now[-1], "makes", index))
        return made

    made = views_of(CPU)(0)
    main = Stream("main")
    for name, stands_in in {
        "Stream": lambda device, priority: Stream("side"),
        "current_stream": lambda device: main,
        "stream": stream,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stands_in)
    kept = []
    monkeypatch.setattr(Tensor, "record_stream", lambda x, reader: kept.append((id(x), reader)))
    ahead = Ahead(make, SimpleNamespace(type="cuda"))
    ahead.prepare(0)
    assert said == [("side", "waits for", "main"), ("side", "makes", 0)] and not kept
    assert ahead.take(0) is made
    assert said[2:] == [("main", "waits for", "side")]
    assert kept == [(id(x), main) for x in made.tensors]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to be busy")
def test_they_are_the_same_beside_a_busy_gpu():
    device = torch.device("cuda")
    make = views_of(device)
    ahead = Ahead(make, device)
    work = torch.randn(4096, 4096, device=device)
    for index in range(5):
        for _ in range(20):
            work = (work @ work).tanh()
        ahead.prepare(index)
        found = [x.clone() for x in ahead.take(index).tensors]
        wanted = make(index).tensors
        assert all(a.equal(b) for a, b in zip(found, wanted, strict=True))
