"""What is brushed on the page, as files of the server's."""

import os

from ui.brush import kept_folder


def test_what_was_brushed_goes_after_a_day_whoever_else_takes_it_away(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    young, old = kept_folder(), kept_folder()
    os.utime(old, (0, 0))
    # What another visitor's sweep has taken away since it was listed.
    gone = tmp_path / old.name.replace("-", "-gone-")
    gone.symlink_to(tmp_path / "nowhere")
    new = kept_folder()
    assert set(tmp_path.iterdir()) - {gone} == {young, new}
