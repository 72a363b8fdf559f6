"""The folder as it is runs as a Hugging Face Space: what its README says of it holds.

Source: https://huggingface.co/docs/hub/spaces-config-reference
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LARGEST = 10 * 2**20
"""Bytes of a file."""
START = 30
"""Seconds a Space may take to show its page, on two cores."""


@pytest.fixture(scope="module")
def space():
    text = (ROOT / "README.md").read_text()
    _, front, rest = text.split("---\n", 2)
    assert rest.lstrip().startswith("# ")
    return yaml.safe_load(front)


def lines(name):
    """The requirements in a file, its comments and includes left out."""
    found = (line.strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in found if line and line[0] not in "#-"]


def test_settings_are_those_the_hub_knows(space):
    assert set(space) == {
        "title",
        "emoji",
        "colorFrom",
        "colorTo",
        "sdk",
        "sdk_version",
        "python_version",
        "app_file",
        "license",
        "short_description",
        "tags",
    }
    assert {space["colorFrom"], space["colorTo"]} <= COLOURS
    assert len(space["short_description"]) <= 60
    assert not space["emoji"].isascii()
    assert all(isinstance(tag, str) for tag in space["tags"])


def test_it_is_the_gradio_that_was_tested(space):
    assert space["sdk"] == "gradio"
    tested = {each.name: each for each in lines("constraints.txt")}["gradio"]
    assert str(tested.specifier) == f"=={space['sdk_version']}"
    assert (ROOT / space["app_file"]).is_file()


def test_python_is_one_the_code_takes_and_a_word_not_a_number(space):
    # A bare 3.10 in YAML is the number 3.1.
    assert isinstance(space["python_version"], str)
    asked = re.search(r'requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text())
    assert Version(space["python_version"]) in Requirement(f"python{asked.group(1)}").specifier


def test_licence_is_the_one_of_the_repository(space):
    assert space["license"] == "apache-2.0"
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_requirements_leave_the_platform_its_own_versions():
    for each in lines("requirements.txt"):
        assert all(one.operator == ">=" for one in each.specifier), each
    torch = {each.name: each for each in lines("requirements.txt")}["torch"]
    # ZeroGPU has its own torch, the oldest of them 2.8.
    assert Version("2.8.0") in torch.specifier


def test_versions_that_were_tested_are_versions_that_are_asked_for():
    tested = {each.name: each for each in lines("constraints.txt")}
    for each in (*lines("requirements.txt"), *lines("requirements-dev.txt")):
        (version,) = tested[each.name].specifier
        assert Version(version.version) in each.specifier, each


def test_every_file_is_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files belong to the Space is not known")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(files) > 100
    assert [file.name for file in files if file.exists() and file.stat().st_size > LARGEST] == []


def test_the_built_in_weights_are_small():
    sizes = [path.stat().st_size for path in (ROOT / "assets").rglob("*.safetensors")]
    assert len(sizes) > 5 and max(sizes) < 10e6 and sum(sizes) < 60e6


def test_page_is_there_in_time(running_studio):
    """In seconds of one core, since the machine may be busy; two are faster."""
    if running_studio.start_seconds is None:
        pytest.skip("this system does not say what a process has used")
    assert running_studio.start_seconds < START
