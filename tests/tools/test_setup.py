"""The files that install the course agree with each other, and make says what is missing."""

import re
import subprocess
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.course import ROOT, tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [Requirement(r) for r in [*PROJECT["dependencies"], *chain(*EXTRAS.values())]]


def pins(path):
    """Requirements in a file of pins, by name: one package may have a pin for each Python."""
    found = {}
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            found.setdefault(pin.name, []).append(pin)
    return found


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_constraints_pin_what_is_needed(python, system):
    """Each direct dependency has one pin, within its range, on each Python and system."""
    where = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": system}
    constraints = pins("constraints.txt")
    for needed in NEEDED:
        if needed.name == PROJECT["name"] or (needed.marker and not needed.marker.evaluate(where)):
            continue
        chosen = [
            pin
            for pin in constraints.get(needed.name, [])
            if pin.marker is None or pin.marker.evaluate(where)
        ]
        assert len(chosen) == 1, needed.name
        version = str(chosen[0].specifier).removeprefix("==")
        assert needed.specifier.contains(version), f"{needed} does not admit {version}"


def test_constraints_leave_cuda_to_torch():
    constraints = pins("constraints.txt")
    assert str(constraints["torch"][0].specifier) == "==2.13.0"
    assert [n for n in constraints if n.startswith(("nvidia", "cuda")) or n == "triton"] == []


def test_ranges_admit_what_colab_has():
    has = pins(".github/colab.txt")
    for needed in NEEDED:
        for pin in has.get(needed.name, []):
            version = str(pin.specifier).removeprefix("==").replace("*", "0")
            assert needed.specifier.contains(version), f"{needed} would replace {version} on Colab"


def test_environment_for_conda_and_binder():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    (python,) = re.findall(r"^  - python=(\d+\.\d+)$", text, re.MULTILINE)
    assert SpecifierSet(PROJECT["requires-python"]).contains(Version(python))
    assert re.search(r"^  - pip:\n      - -e \.$", text, re.MULTILINE), "as repo2docker reads it"
    assert re.search(r"^  - pytorch-cpu$", text, re.MULTILINE)
    (lab,) = re.findall(r"^  - jupyterlab(.+)$", text, re.MULTILINE)
    (needed,) = [r for r in map(Requirement, EXTRAS["dev"]) if r.name == "jupyterlab"]
    assert SpecifierSet(lab) == needed.specifier, "without it a conda user could open no notebook"
    named = {d.split("=")[0].split(">")[0] for d in re.findall(r"^  - ([\w.<>=,-]+)$", text, re.M)}
    assert named == {"conda-forge", "python", "pytorch-cpu", "jupyterlab", "pip"}
    for hides_it in ("binder", ".binder"):
        assert not (ROOT / hides_it).exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "There is no ./python here. Install Python 3.10 to 3.13"),
        (
            "case $1 in --version) echo Python 3.8.1 ;; *) exit 1 ;; esac",
            "./python is Python 3.8.1",
        ),
        ("case $2 in *ensurepip*) exit 1 ;; esac", "lacks its venv module"),
    ],
)
def test_make_says_what_is_missing(tmp_path, script, message):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"))
    if script:
        (tmp_path / "python").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "python").chmod(0o755)
    result = subprocess.run(
        ["make", "lab", "PYTHON=./python"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / ".venv").exists()
