"""What is in the repository: clean notebooks, no machine's own paths, a README that is true."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

GENERATED = ("constraints.txt", "environment.yml")
NOT_OURS = {".git", ".venv", "__pycache__", "build", "dist", "shared", "node_modules"}
CACHES = {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"}
HOME = re.compile(r"(?<![\w.])/(?:home|root|Users)/(?!learner\b)\w")


def files(root: Path) -> Iterator[Path]:
    """The repository's files, without what git ignores."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_OURS | CACHES]
        yield from (Path(folder) / name for name in names)


def test_notebooks_are_committed_without_outputs(repository: Path) -> None:
    notebooks = [path for path in files(repository) if path.suffix == ".ipynb"]
    assert notebooks
    for path in notebooks:
        for number, cell in enumerate(json.loads(path.read_text())["cells"]):
            if cell["cell_type"] == "code":
                clean = cell["outputs"] == [] and cell["execution_count"] is None
                assert clean, f"{path.name}, cell {number}: clear all outputs before committing"


def test_no_file_names_somebodys_home_folder(repository: Path) -> None:
    found = []
    for path in files(repository):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # pictures
        found += [f"{path.relative_to(repository)}: {match[0]}" for match in HOME.finditer(text)]
    assert found == []


def test_generated_files_say_so_and_how(repository: Path) -> None:
    for name in GENERATED:
        first = (repository / name).read_text().splitlines()[0]
        assert re.search(r"Generated .*`make (constraints|generate)`; do not edit", first), name


def test_the_readmes_make_targets_exist(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[`\s])", (repository / "README.md").read_text()))
    commands = {name for name in named if name in targets}
    in_code = set(re.findall(r"`make ([a-z]+)", (repository / "README.md").read_text()))
    assert in_code <= targets
    assert {"start", "test"} <= commands


def test_the_readmes_links_lead_somewhere(repository: Path) -> None:
    text = (repository / "README.md").read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [link for link in links if "://" not in link and not (repository / link).exists()]
    assert missing == []


def test_scripts_can_be_run(repository: Path) -> None:
    assert os.access(repository / ".ci/run", os.X_OK)
    assert (repository / ".ci/run").read_text().startswith("#!/usr/bin/env bash\n")
