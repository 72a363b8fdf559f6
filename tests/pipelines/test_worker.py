"""Jobs on the worker: one thread each, one at a time, stopped when nobody reads them."""

import threading
import time

import pytest
import torch

from pipelines import runs, worker
from pipelines.events import Note, Step

LIMIT = 10
"""Seconds after which a job that should have ended has not."""


def counting(log, folder, count=3):
    """A job that logs each step and heeds its stop file, as every job does."""
    runs.open_folder(folder)
    for index in range(count):
        log.append(index)
        yield Step(index, count, float(index), 0.0)
        if runs.stop_asked(folder):
            break
    log.append("written")


def wait_for(condition):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_events_arrive_in_order_and_whole(tmp_path):
    log = []
    events = list(worker.stream(lambda: counting(log, tmp_path), tmp_path))
    assert [event.index for event in events] == [0, 1, 2]
    assert log == [0, 1, 2, "written"]
    assert not runs.stop_asked(tmp_path)


def test_job_stays_on_one_thread_that_is_not_the_readers(tmp_path):
    threads = []

    def job():
        for _ in range(3):
            threads.append(threading.get_ident())
            yield Note("on")
        threads.append(threading.get_ident())

    list(worker.stream(job, tmp_path))
    assert len(threads) == 4
    assert set(threads).isdisjoint({threading.get_ident()})
    assert len(set(threads)) == 1


def test_reader_keeps_its_own_autograd(tmp_path):
    def job():
        with torch.no_grad():
            yield Note(str(torch.is_grad_enabled()))

    said = [(event.text, torch.is_grad_enabled()) for event in worker.stream(job, tmp_path)]
    assert said == [("False", True)]


def test_what_a_job_raises_reaches_its_reader_after_its_events(tmp_path):
    def job():
        yield Note("first")
        raise ZeroDivisionError("the job's own")

    events = worker.stream(job, tmp_path)
    assert next(events) == Note("first")
    with pytest.raises(ZeroDivisionError, match="the job's own"):
        next(events)
    assert list(worker.stream(lambda: counting([], tmp_path), tmp_path))


def test_what_making_the_job_raises_reaches_its_reader(tmp_path):
    def refuse():
        raise ZeroDivisionError("never began")

    with pytest.raises(ZeroDivisionError, match="never began"):
        next(worker.stream(refuse, tmp_path))


def test_closing_stops_the_job_after_its_step_and_lets_it_write(tmp_path):
    log, go_on = [], threading.Event()

    def job():
        for event in counting(log, tmp_path, count=1000):
            yield event
            assert go_on.wait(LIMIT)

    events = worker.stream(job, tmp_path)
    next(events)
    events.close()
    go_on.set()
    wait_for(lambda: "written" in log)
    # One step at most was under way when the reader left.
    assert log in ([0, "written"], [0, 1, "written"])
    assert runs.stop_asked(tmp_path)


def test_closing_does_not_wait_for_the_step_under_way(tmp_path):
    ended, go_on = [], threading.Event()

    def job():
        yield Note("first")
        assert go_on.wait(LIMIT)
        ended.append(True)

    events = worker.stream(job, tmp_path)
    next(events)
    events.close()
    assert not ended
    go_on.set()
    wait_for(lambda: ended)


def test_two_streams_never_overlap(tmp_path):
    running, most = [], []

    def job():
        running.append(1)
        for _ in range(20):
            most.append(len(running))
            time.sleep(0.002)
            yield Note("on")
        running.pop()

    readers = [
        threading.Thread(target=lambda: list(worker.stream(job, tmp_path))) for _ in range(3)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(LIMIT)
    assert len(most) == 60
    assert max(most) == 1


def test_stream_nobody_reads_never_begins(tmp_path):
    began = []

    def job():
        began.append(True)
        yield Note("on")

    worker.stream(job, tmp_path).close()
    list(worker.stream(lambda: counting([], tmp_path), tmp_path))
    assert not began


def test_preparing_returns_at_once_and_goes_before_the_next_job(tmp_path):
    order, go_on = [], threading.Event()

    def load():
        assert go_on.wait(LIMIT)
        order.append("loaded")

    worker.prepare(load)
    assert order == []
    go_on.set()
    for _ in worker.stream(lambda: counting(order, tmp_path, count=1), tmp_path):
        pass
    assert order == ["loaded", 0, "written"]
