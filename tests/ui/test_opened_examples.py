"""An example on the page is the run that made it."""

from inspect import signature

import pytest

from pipelines import mesh, video
from pipelines.runs.run_folder import read_settings
from ui import mesh_examples, mesh_run, video_examples, video_run

TABS = {"video": (video_examples, video_run, video), "mesh": (mesh_examples, mesh_run, mesh)}
ASIDE = {"out", "versions"}


@pytest.mark.parametrize("tab", TABS)
def test_an_example_asks_for_what_is_shown(tmp_path, monkeypatch, tab):
    monkeypatch.setenv("SCOREBRUSH_RUNS", str(tmp_path))
    examples, run, pipeline = TABS[tab]
    for example in examples.read_examples():
        found = examples.opened(example)
        assert set(found) == set(examples.OPENED)
        asked = {name: found[name] for name in signature(run.job_of).parameters}
        # As the page sends them.
        asked = {name: getattr(value, "value", value) for name, value in asked.items()}
        job = run.job_of(**asked)
        given, made = pipeline.describe(job), read_settings(example.result)
        # What an example says nothing of, there was no choice of when it was made.
        said = made.keys() - ASIDE
        assert {k: given[k] for k in said} == {k: made[k] for k in said}
        # Of the files that ship, not of copies that no example has.
        file = job.clip if tab == "video" else job.mesh
        assert file.is_file()
