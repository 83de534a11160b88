"""A room of lib imports only from floors below it, and the modules of a room form no circle."""

import graphlib
from pathlib import Path

import pytest

from tests.library import imports, modules

FLOORS = {
    # Floor 0 has steps: each of these may use those before it.
    "commands": 0,
    "files": 0,
    "settings": 0,
    "downloads": 0.1,
    "display": 0.1,
    "corpora": 0.2,
    "model": 1,
    "tokenization": 1,
    "generation": 2,
    "training": 2.1,  # it writes the folders that pretrained reads
    "scaling": 2,
    "pretrained": 2,
    "reasoning": 3,
    "experiments": 4,
    "diagrams": 4,
    "widgets": 5,
    "exercises": 5,
}


def room(module: str) -> str:
    """`lib.model.config` and `lib.model` are in "model"; `lib` itself is in no room: ""."""
    return module.partition(".")[2].partition(".")[0]


def floor(module: str) -> float:
    """A command, `__main__`, stands above its room: it may use its peers, and no one imports it."""
    return FLOORS.get(room(module), 0) + 0.5 * module.endswith(".__main__")


def violations(files: dict[str, Path]) -> list[str]:
    found = []
    for module, path in files.items():
        here = room(module)
        for target in sorted(imports(path, module, set(files))):
            there = room(target)
            if target.split(".")[0] != "lib":
                found.append(f"{module} imports {target}, which is not part of the library")
            elif not here:
                found.append(f"{module} imports {target}; lib itself imports nothing")
            elif here != there and there and FLOORS.get(there, 9) >= floor(module):
                found.append(
                    f"{module} (floor {floor(module):g}) imports {target} "
                    f"(floor {FLOORS.get(there)})"
                )
    return found


def circle(files: dict[str, Path]) -> list[str]:
    graph = {module: imports(path, module, set(files)) for module, path in files.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_every_room_stands_on_a_floor():
    rooms = {room(module) for module in modules()} - {""}
    assert rooms <= set(FLOORS), "a new room needs a floor in this file"


def test_rooms_import_only_from_floors_below():
    assert violations(modules()) == []


def test_modules_form_no_circle():
    assert circle(modules()) == []


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("model/a.py", "from lib.generation import b", "lib.model.a (floor 1) imports"),
        ("model/a.py", "def f():\n    import lib.generation.b", "lib.model.a (floor 1) imports"),
        ("model/a.py", "from ..generation.b import g", "lib.model.a (floor 1) imports"),
        ("generation/b.py", "from lib.pretrained import load", "lib.generation.b (floor 2)"),
        ("model/a.py", "from tools import course", "not part of the library"),
        ("model/__main__.py", "from lib.generation import b", "(floor 1.5) imports"),
        ("__init__.py", "from lib.model import a", "lib itself imports nothing"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, file, line, message):
    for name in ("__init__", "model/__init__", "model/a", "generation/b", "pretrained"):
        path = tmp_path / "lib" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "lib" / file).write_text(line)
    assert any(message in violation for violation in violations(modules(tmp_path)))


def test_a_circle_is_found(tmp_path):
    (tmp_path / "lib" / "model").mkdir(parents=True)
    for name, line in {
        "__init__": "from lib.model.a import x",
        "a": "from lib.model import b",
        "b": "from . import a",
    }.items():
        (tmp_path / "lib" / "model" / f"{name}.py").write_text(line)
    assert set(circle(modules(tmp_path))) == {"lib.model.a", "lib.model.b"}
