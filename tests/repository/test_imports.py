"""Imports point one way: emulator <- kernels <- widgets, grader <- notebooks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

COURSE = {"emulator", "kernels", "widgets", "grader"}
MAY_IMPORT = {
    "emulator": {"emulator"},
    "kernels": {"emulator", "kernels"},
    "widgets": {"emulator", "kernels", "widgets"},
    "grader": {"emulator", "kernels", "grader"},
}
NEVER = {"tests", "notebooks", "labs", "solutions", "benchmarks", "tools"}


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def imports_of(package: Path) -> dict[str, set[str]]:
    """Imported name -> files that import it."""
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for name in imported(path):
            found.setdefault(name, set()).add(str(path.relative_to(package.parent)))
    assert found, f"{package} holds no Python that imports anything"
    return found


def distribution(requirement: str) -> str:
    """Normalised name of the distribution that a requirement asks for."""
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()


@pytest.mark.parametrize("package", sorted(COURSE))
def test_a_package_imports_only_what_is_on_its_left(repository: Path, package: str) -> None:
    imports = imports_of(repository / package)
    wrong = {
        name: files
        for name, files in imports.items()
        if name in (COURSE - MAY_IMPORT[package]) | NEVER
    }
    assert not wrong


def test_the_emulator_needs_numpy_compilers_and_bindings_alone(
    repository: Path,
) -> None:
    own = {"emulator", "numpy", "ml_dtypes", "llvmlite", "numba", "cuda"}
    allowed = set(sys.stdlib_module_names) | own
    wrong = {n: f for n, f in imports_of(repository / "emulator").items() if n not in allowed}
    assert not wrong


def test_the_emulator_imports_with_the_rest_of_the_course_out_of_reach(repository: Path) -> None:
    program = """
import importlib, pkgutil, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"kernels", "widgets", "grader", "cupy", "IPython"}:
            raise ImportError(f"the emulator reached for {name}")
sys.meta_path.insert(0, Refuse())
import emulator
for module in pkgutil.walk_packages(emulator.__path__, "emulator."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", sorted(COURSE))
def test_everything_imported_is_declared_in_pyproject(repository: Path, package: str) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {distribution(line) for line in project["dependencies"]}
    declared |= {distribution(line) for extra in ("gpu12", "gpu13") for line in extras[extra]}
    if package in {"widgets", "grader"}:
        declared |= {distribution(line) for line in extras["course"]}
    providers = packages_distributions()
    wrong = {}
    for name, files in imports_of(repository / package).items():
        if name in sys.stdlib_module_names or name in COURSE or name in {"cupy", "cupyx"}:
            continue
        if not {distribution(d) for d in providers.get(name, [])} & declared:
            wrong[name] = files
    assert not wrong
