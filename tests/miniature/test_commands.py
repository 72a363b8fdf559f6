"""Every command says what it does when asked, and does nothing else."""

import runpy
import sys

import pytest

from pipelines import media

COMMANDS = ("evaluate", "examples", "picture", "train")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    monkeypatch.setattr(media, "write_preview", lambda *given: pytest.fail("did it"))
    # Run anew, also where another test has imported it.
    monkeypatch.delitem(sys.modules, f"miniature.{name}", raising=False)
    with pytest.raises(SystemExit) as left:
        runpy.run_module(f"miniature.{name}", run_name="__main__")
    assert left.value.code == 0
    assert f"usage: python -m miniature.{name}" in capsys.readouterr().out
