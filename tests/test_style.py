"""Rules of CONTRIBUTING.md that a program can check."""

import ast
import subprocess
import sys

import pytest

from tests.library import ROOT, modules, public_definitions, tree

MODULES = modules()
# What `import` of the lower floors must not bring in: they are slow, or not needed to compute.
HEAVY = {"transformers", "matplotlib", "IPython", "ipywidgets", "scipy", "huggingface_hub"}
LIGHT_ROOMS = ("lib.model", "lib.tokenization", "lib.corpora", "lib.downloads")


def functions_of(definition: ast.AST) -> list[ast.FunctionDef]:
    """The function itself, or the public methods of a class and its __init__."""
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return [definition]
    return [
        node
        for node in definition.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.name == "__init__" or not node.name.startswith("_"))
    ]


@pytest.mark.parametrize("name", MODULES)
def test_module_is_one_readable_idea(name):
    path = MODULES[name]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300, f"{path.name} has {len(lines)} lines; split it"
    assert not lines or ast.get_docstring(tree(path)), "the module needs a docstring"
    assert "from __future__ import annotations" not in lines, "it hides types from shape checks"


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name):
    missing = []
    for definition in public_definitions(MODULES[name]):
        needs = [definition] if isinstance(definition, ast.ClassDef) else []
        # torch documents forward; what a class makes of its arguments its own docstring says.
        needs += [f for f in functions_of(definition) if f.name not in ("forward", "__init__")]
        missing += [f"{definition.name}: {n.name}" for n in needs if not ast.get_docstring(n)]
    assert missing == []


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_type_hints(name):
    missing = []
    for definition in public_definitions(MODULES[name]):
        for function in functions_of(definition):
            arguments = function.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            if isinstance(definition, ast.ClassDef) and named[0].arg in ("self", "cls"):
                named = named[1:]
            where = f"{definition.name}: {function.name}"
            missing += [f"{where}({a.arg})" for a in named if a.annotation is None]
            if function.returns is None and function.name != "__init__":
                missing.append(f"{where} ->")
    assert missing == []


@pytest.mark.parametrize("room", [room for room in LIGHT_ROOMS if room in MODULES])
def test_lower_floors_are_cheap_to_import(room):
    program = f"import sys, {room}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert HEAVY & {name.split(".")[0] for name in result.stdout.split()} == set()
