"""Whether ``emulator``, ``kernels`` and ``grader`` are the course's own packages.

Another distribution has a package called ``kernels``, too. This module imports the standard library
alone, so that it can say so where nothing else of the grader would even import.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

OURS = ("emulator", "kernels", "grader")
ROOT = Path(__file__).resolve().parent.parent


def found_at(name: str) -> Path | None:
    """The folder that ``import name`` takes; None when there is none."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def stranger(name: str) -> str | None:
    """What is wrong with a package and what to do; None when it is ours."""
    where = found_at(name)
    if where == ROOT / name:
        return None
    if where is None:
        return f"there is no package {name}: run `make setup`, and use .venv/bin/python"
    return (
        f"another package called {name} wins ({where}): use .venv/bin/python, unset PYTHONPATH, "
        "and uninstall the other one if it is in .venv"
    )


def complaint() -> str | None:
    """The first package that is not ours, in words."""
    return next((words for words in map(stranger, OURS) if words), None)
