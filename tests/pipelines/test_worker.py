"""Jobs on the worker: one thread each, one at a time, in a line that everyone in it sees."""

import gc
import re
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from pipelines import allocator, worker
from pipelines.errors import InputError, LineFull, RunFailed
from pipelines.events import Begun, Left, Note, Step, Waiting
from pipelines.runs import run_folder

LIMIT = 10
"""Seconds after which a job that should have ended has not."""


def counting(log, folder, count=3):
    """A job that logs each step and heeds its stop file, as every job does."""
    run_folder.open_folder(folder)
    for index in range(count):
        log.append(index)
        yield Step(index, count, float(index), 0.0, 0.0)
        if run_folder.stop_asked(folder):
            break
    log.append("written")


def wait_for(condition):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def nobody_in_line():
    """The job of the test before may still be on its way out, and this one's would wait for it."""
    wait_for(lambda: not worker._line)


def test_events_arrive_in_order_and_whole(tmp_path):
    log = []
    events = list(worker.stream(lambda: counting(log, tmp_path), tmp_path))
    assert [event.index for event in events] == [0, 1, 2]
    assert log == [0, 1, 2, "written"]
    assert not run_folder.stop_asked(tmp_path)


def test_what_a_job_held_when_it_failed_goes_with_its_error(tmp_path):
    """Not when rubbish is next collected: the next job needs the gigabytes of a card it may be."""
    held = []

    def job():
        step = torch.zeros(1)
        held.append(weakref.ref(step))
        yield Note("a step")
        raise RunFailed("It does not fit.")

    gc.disable()
    try:
        with suppress(RunFailed):
            list(worker.stream(job, tmp_path))
        wait_for(lambda: not worker._line)
        wait_for(lambda: held[0]() is None)
    finally:
        gc.enable()


def test_a_job_that_nobody_waits_for_any_more_ends_as_it_begins(tmp_path):
    log, left = [], threading.Event()

    def job():
        yield Note("reading")
        # The reader leaves while something is read that takes its time.
        assert left.wait(LIMIT)
        yield Begun(tmp_path)
        log.append("loading")
        yield Note("loaded")

    reader = worker.stream(job, tmp_path)
    assert next(reader) == Note("reading")
    reader.close()
    left.set()
    wait_for(lambda: not worker._line)
    assert log == []


@pytest.fixture
def reading(tmp_path):
    """A job that reads something large: its events from then on, its folder, what lets it go on."""
    folder, reads, go_on = tmp_path / "run", threading.Event(), threading.Event()

    def job():
        yield Note("reading")
        reads.set()
        assert go_on.wait(LIMIT)
        yield Note("unwrapping")
        folder.mkdir()
        yield Begun(folder)
        yield Note(str(run_folder.stop_asked(folder)))

    events = worker.stream(job, folder)
    assert next(events) == Note("reading") and reads.wait(LIMIT)
    return events, folder, go_on


def test_a_job_that_is_stopped_while_it_reads_never_begins(reading):
    events, folder, go_on = reading
    worker.stop(folder)
    go_on.set()
    assert list(events) == [Note("unwrapping"), Left()]
    assert not folder.exists()


def test_a_job_whose_reader_leaves_while_it_reads_never_begins(reading):
    events, folder, go_on = reading
    events.close()
    go_on.set()
    wait_for(lambda: not worker._line)
    assert not folder.exists()


def test_a_job_that_is_stopped_just_before_its_folder_is_there_stops_once_it_is(tmp_path):
    folder, reads, go_on = tmp_path / "run", threading.Event(), threading.Event()

    def job():
        reads.set()
        assert go_on.wait(LIMIT)
        folder.mkdir()
        yield Begun(folder)
        yield Note(str(run_folder.stop_asked(folder)))

    seen = []
    reader = threading.Thread(target=lambda: seen.extend(worker.stream(job, folder)))
    reader.start()
    assert reads.wait(LIMIT)
    worker.stop(folder)
    go_on.set()
    reader.join(LIMIT)
    assert seen == [Begun(folder), Note("True")]


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
    assert run_folder.stop_asked(tmp_path)


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


def test_what_cannot_be_prepared_is_printed_and_the_studio_opens(monkeypatch, capsys):
    def load():
        raise InputError("The hub cannot be reached.")

    monkeypatch.setattr(worker, "ZERO_GPU", True)
    worker.prepare(load)
    assert "InputError: The hub cannot be reached." in capsys.readouterr().err


@pytest.fixture
def running(tmp_path):
    """A job that has its turn until `running.set()`; set again at the end of the test."""
    go_on = threading.Event()

    def job():
        yield Note("first")
        assert go_on.wait(LIMIT)

    events = worker.stream(job, tmp_path / "running")
    assert next(events) == Note("first")
    yield go_on
    go_on.set()
    list(events)


def saying(text):
    yield Note(text)


def at_once(folder, text="mine"):
    return worker.stream(lambda: saying(text), folder)


def test_who_waits_is_told_how_many_are_ahead_and_that_again_and_again(
    running, tmp_path, monkeypatch
):
    monkeypatch.setattr(worker, "BEAT", 0.01)
    first, second = at_once(tmp_path / "1", "1"), at_once(tmp_path / "2", "2")
    assert [next(first) for _ in range(3)] == [Waiting(1)] * 3
    assert [next(second) for _ in range(3)] == [Waiting(2)] * 3
    running.set()
    assert [event for event in first if not isinstance(event, Waiting)] == [Note("1")]
    rest = list(second)
    assert rest[-1] == Note("2")
    places = [event.ahead for event in rest[:-1]]
    # The last to hear of the line is who has its turn.
    assert places == sorted(places, reverse=True) and set(places) <= {2, 1, 0} and places[-1] == 0


def test_jobs_run_in_the_order_they_came(running, tmp_path):
    order = []

    def job(number):
        order.append(number)
        yield Note("on")

    def read(events):
        list(events)

    readers = []
    for number in range(8):
        events = worker.stream(lambda number=number: job(number), tmp_path / str(number))
        assert next(events) == Waiting(number + 1)
        readers.append(threading.Thread(target=read, args=(events,)))
    for reader in reversed(readers):
        reader.start()
    running.set()
    for reader in readers:
        reader.join(LIMIT)
    assert order == list(range(8))


def test_who_leaves_the_line_gives_up_the_place_at_once(running, tmp_path):
    began = []

    def job():
        began.append(True)
        yield Note("on")

    leaving = worker.stream(job, tmp_path / "leaving")
    staying = at_once(tmp_path / "staying")
    assert (next(leaving), next(staying)) == (Waiting(1), Waiting(2))
    leaving.close()
    assert next(staying) == Waiting(1)
    running.set()
    assert list(staying)[-1] == Note("mine")
    assert not began


def test_stop_takes_a_waiting_run_out_of_the_line_and_no_other(running, tmp_path):
    stopped, other = at_once(tmp_path / "stopped"), at_once(tmp_path / "other")
    assert (next(stopped), next(other)) == (Waiting(1), Waiting(2))
    worker.stop(tmp_path / "stopped")
    assert list(stopped) == [Left()]
    assert not (tmp_path / "stopped").exists()
    running.set()
    assert list(other)[-1] == Note("mine")


def test_stop_ends_the_running_job_and_not_who_waits_for_the_same_folder(tmp_path):
    log, go_on = [], threading.Event()

    def job():
        for event in counting(log, tmp_path, count=1000):
            yield event
            assert go_on.wait(LIMIT)

    events = worker.stream(job, tmp_path)
    next(events)
    worker.stop(tmp_path)
    go_on.set()
    assert len(list(events)) <= 1
    assert log[-1] == "written"


def test_stop_before_the_job_opens_its_folder_is_not_forgotten(tmp_path):
    """A run that is resumed has a folder already, and forgets the stop file that is in it."""
    log, began, go_on = [], threading.Event(), threading.Event()

    def job():
        began.set()
        assert go_on.wait(LIMIT)
        yield from counting(log, tmp_path, count=1000)

    seen = []
    events = worker.stream(job, tmp_path)
    reader = threading.Thread(target=lambda: seen.extend(events))
    reader.start()
    assert began.wait(LIMIT)
    worker.stop(tmp_path)
    go_on.set()
    reader.join(LIMIT)
    assert 1 <= len(seen) <= 2
    assert log[-1] == "written"


def test_stop_of_a_run_that_is_over_leaves_nothing_behind(tmp_path):
    list(worker.stream(lambda: counting([], tmp_path), tmp_path))
    worker.stop(tmp_path)
    assert not run_folder.stop_asked(tmp_path)


def test_line_has_an_end_and_says_so(running, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "LONGEST_LINE", 2)
    waiting = [at_once(tmp_path / str(n)) for n in range(2)]
    assert [next(events) for events in waiting] == [Waiting(1), Waiting(2)]
    with pytest.raises(LineFull, match="2 runs are waiting already"):
        next(at_once(tmp_path / "refused"))
    waiting[0].close()
    late = at_once(tmp_path / "late")
    assert next(late) == Waiting(2)
    running.set()
    assert list(late)[-1] == Note("mine")
    assert list(waiting[1])[-1] == Note("mine")


def test_one_jobs_error_reaches_nobody_else(running, tmp_path):
    def broken():
        yield Note("first")
        raise ZeroDivisionError("mine alone")

    jobs = [worker.stream(broken, tmp_path / "broken"), at_once(tmp_path / "whole")]
    for events in jobs:
        next(events)
    running.set()
    assert list(jobs[1])[-1] == Note("mine")
    with pytest.raises(ZeroDivisionError, match="mine alone"):
        list(jobs[0])


def test_who_comes_while_the_teachers_load_has_nobody_ahead(tmp_path):
    loading, go_on = threading.Event(), threading.Event()

    def load():
        loading.set()
        assert go_on.wait(LIMIT)

    worker.prepare(load)
    assert loading.wait(LIMIT)
    events = at_once(tmp_path)
    assert next(events) == Waiting(0)
    go_on.set()
    assert list(events)[-1] == Note("mine")


def test_preparing_waits_until_nobody_is_in_line(running, tmp_path):
    order = []
    events = worker.stream(lambda: counting(order, tmp_path, count=1), tmp_path)
    next(events)
    worker.prepare(lambda: order.append("loaded"))
    running.set()
    list(events)
    wait_for(lambda: "loaded" in order)
    assert order == [0, "written", "loaded"]


def memory_mb():
    """What this process holds in RAM now."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("reads /proc, which this system does not have")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status.read_text()).group(1)) / 1024


def test_memory_of_a_job_is_given_back_when_it_ends(tmp_path):
    """Also where a little of it is still in use, above all that is not."""
    if not allocator.configure():
        pytest.skip("only glibc keeps freed memory")
    kept = []

    def job():
        used = [torch.ones(2**18) for _ in range(300)]
        kept.append(torch.ones(2**10))
        yield Note(str(len(used)))

    try:
        before = memory_mb()
        list(worker.stream(job, tmp_path))
        wait_for(lambda: memory_mb() - before < 100)
    finally:
        allocator.configure(allocator.GLIBC_DEFAULT)
