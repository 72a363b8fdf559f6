"""Who may import whom (one direction), and through which door each third party enters."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "app.py": {"ui", "pipelines"},
    "ui": {"ui", "pipelines"},
    "pipelines": {"pipelines", "sds"},
    "sds": {"sds"},
    "miniature": {"miniature", "sds", "pipelines"},
}
INSIDE = {
    "media": set(),
    "render": set(),
    "geometry": {"media", "render"},
    "teachers": {"media"},
    "clip": {"media", "teachers"},
    "paint": {"geometry", "media", "render", "teachers"},
}
"""Of the rooms of pipelines, those that one may enter beside its own."""
DOORS = {
    "gradio": ("app.py", "ui/"),
    "diffusers": ("sds/priors/", "miniature/"),
    "transformers": ("sds/priors/", "miniature/"),
    "huggingface_hub": ("pipelines/teachers/hub/",),
    "safetensors": ("pipelines/teachers/embeddings.py",),
    "av": ("pipelines/media/",),
    "imageio": ("pipelines/media/",),
    "cv2": ("pipelines/clip/flow.py",),
    "trimesh": ("pipelines/geometry/",),
    "xatlas": ("pipelines/geometry/",),
    "spaces": ("pipelines/worker.py",),
    "scipy": ("pipelines/render/bake.py", "pipelines/geometry/"),
    "embreex": (),
    "torchvision": (),
}


def sources() -> list[Path]:
    found = [ROOT / "app.py"]
    for room in ("ui", "pipelines", "sds", "miniature"):
        found += sorted((ROOT / room).rglob("*.py"))
    return found


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way_and_through_the_doors(path):
    here = str(path.relative_to(ROOT))
    ours = imported(path) & (set(ROOMS) | {"app"})
    allowed = ROOMS[here.split("/")[0]]
    assert ours <= allowed, f"{here} may not import {ours - allowed}"
    for package, doors in DOORS.items():
        if package in imported(path):
            assert here.startswith(doors) if doors else False, f"{here} imports {package}"


def modules(path: Path) -> set[str]:
    """What a file imports by its full name, `from a import b` as a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", INSIDE)
def test_the_rooms_of_pipelines_are_not_entered_in_circles(room):
    rooms = {path.name for path in (ROOT / "pipelines").iterdir() if path.is_dir()}
    found = sorted((ROOT / "pipelines" / room).rglob("*.py"))
    assert found
    for path in found:
        ours = {name.split(".")[1] for name in modules(path) if name.startswith("pipelines.")}
        assert ours & rooms <= INSIDE[room] | {room}, path.name


def test_the_walk_sees_every_room():
    seen = {str(p.relative_to(ROOT)).split("/")[0] for p in sources()}
    assert seen == set(ROOMS)
