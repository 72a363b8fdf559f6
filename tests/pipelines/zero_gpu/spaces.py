"""A stand-in for the `spaces` package on ZeroGPU, faithful in what the worker relies on.

A decorated generator runs in a forked process; arguments and values pass through pipes, pickled;
the time asked for is a function of the arguments; of an error only its class name comes back.
"""

import multiprocessing
import sys

assert "torch" not in sys.modules, "spaces must be imported before torch"

_fork = multiprocessing.get_context("fork")
reserved = []
"""Seconds that were asked for, one for each call."""


def GPU(task, *, duration):
    def handler(*args):
        reserved.append(duration(*args))
        sent, values = _fork.SimpleQueue(), _fork.SimpleQueue()
        process = _fork.Process(target=_iterate, args=(task, sent, values), daemon=True)
        process.start()
        sent.put(args)
        while True:
            kind, value = values.get()
            if kind == "error":
                raise RuntimeError(f"ZeroGPU worker error: {value}")
            if kind == "end":
                break
            yield value
        process.join()

    return handler


def _iterate(task, sent, values):
    try:
        for value in task(*sent.get()):
            values.put(("value", value))
    except Exception as error:
        values.put(("error", type(error).__name__))
    else:
        values.put(("end", None))
