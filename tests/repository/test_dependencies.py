"""pyproject.toml says what is needed, constraints.txt which version; environment.yml follows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import conda_environment
import pytest
from cuda_variant import Variant, constraints_for
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from resolve_constraints import merge

PYTHONS = ("3.11.2", "3.11.7", "3.12.1", "3.13.0", "3.14.0")
LINE = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; .+)?")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def constraints(repository: Path) -> str:
    return (repository / "constraints.txt").read_text()


def pins(constraints: str, variant: Variant, python: str) -> dict[str, str]:
    """Name -> version as pip applies them; fails where a name is pinned twice."""
    linux = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    found: dict[str, str] = {}
    for line in constraints_for(constraints, variant).splitlines():
        if line.startswith("#") or not line:
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(linux):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for {variant.extras}, {python}"
            found[name] = str(requirement.specifier).removeprefix("==")
    return found


def test_constraints_are_exact_pins_without_addresses_or_hashes(constraints: str) -> None:
    lines = [line for line in constraints.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert "://" not in constraints and "--" not in constraints


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("cuda", [12, 13])
def test_every_requirement_has_one_pin_that_satisfies_it(
    project: dict[str, Any], constraints: str, cuda: int, python: str
) -> None:
    variant = Variant(cuda, gpu=True, reason="")
    pinned = pins(constraints, variant, python)
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in variant.extras:
        asked += project["project"]["optional-dependencies"][extra]
    for line in asked:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name != "coalesce-course":
            assert name in pinned, f"{line} has no pin: run `make constraints`"
            assert requirement.specifier.contains(pinned[name]), line


def test_everything_installed_for_the_course_is_pinned_at_its_version(constraints: str) -> None:
    try:
        installed_cuda = int(distribution("cuda-bindings").version.partition(".")[0])
    except PackageNotFoundError:
        pytest.fail("set-up did not install cuda-bindings")
    variant = Variant(installed_cuda, gpu=True, reason="")
    python = ".".join(map(str, sys.version_info[:3]))
    pinned = pins(constraints, variant, python)
    todo = [("coalesce-course", extra) for extra in ("", "course", "test", f"cuda{installed_cuda}")]
    seen = set(todo)
    while todo:
        name, extra = todo.pop()
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            needed = canonicalize_name(requirement.name)
            if needed != "coalesce-course":
                assert pinned.get(needed) == distribution(needed).version, f"{needed}, for {name}"
            for wanted in (needed, ""), *((needed, e) for e in requirement.extras):
                if wanted not in seen:
                    seen.add(wanted)
                    todo.append(wanted)
    assert len(seen) > 80


def test_a_package_that_differs_between_cuda_versions_is_pinned_for_each() -> None:
    resolved = {
        12: {"bindings==12.9": "", "numpy==2.4": "python_version < '3.12'", "nvrtc-cu12==12.9": ""},
        13: {"bindings==13.5": "", "numpy==2.4": "python_version < '3.12'", "nvrtc==13.5": ""},
    }
    assert merge(resolved) == [
        "bindings==12.9 ; extra == 'cuda12'",
        "bindings==13.5 ; extra == 'cuda13'",
        "numpy==2.4 ; python_version < '3.12'",
        "nvrtc-cu12==12.9",
        "nvrtc==13.5",
    ]


def test_environment_yml_is_what_pyproject_says(
    repository: Path, project: dict[str, Any], constraints: str
) -> None:
    wanted = conda_environment.environment(project, constraints)
    assert (repository / "environment.yml").read_text() == wanted
    check = [sys.executable, repository / "tools/conda_environment.py", "--check"]
    assert subprocess.run(check, check=False).returncode == 0


def test_environment_yml_names_every_dependency_a_reader_without_a_gpu_needs(
    repository: Path, project: dict[str, Any]
) -> None:
    text = (repository / "environment.yml").read_text()
    extras = project["project"]["optional-dependencies"]
    core = {Requirement(line).name for line in project["project"]["dependencies"]}
    for extra in ("cuda13", "course", "test"):
        core |= {Requirement(line).name for line in extras[extra]}
    assert core <= set(re.findall(r'^ +- "([\w.-]+)', text, re.MULTILINE))
    assert "--constraint constraints.txt" in text
    assert re.search(r'"cuda-bindings==13\.', text), "pip reads no pin that is marked with an extra"
    assert "Generated" in text.splitlines()[0]
