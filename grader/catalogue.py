"""Which labs there are, and where their files lie."""

from __future__ import annotations

import difflib
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from grader.lab import Lab, Task

DEFINITION = "lab.py"  # beside the solutions


class UnknownName(LookupError):
    """No lab or task of that name; the message lists what there is."""


@dataclass(frozen=True)
class Course:
    """The folders of a course."""

    root: Path

    @property
    def labs(self) -> Path:
        """What learners edit."""
        return self.root / "labs"

    @property
    def solutions(self) -> Path:
        """The same, whole, and the definition of each lab."""
        return self.root / "solutions"

    def names(self) -> tuple[str, ...]:
        """Every lab, in the order of the course."""
        return tuple(sorted(path.parent.name for path in self.solutions.glob(f"*/{DEFINITION}")))

    def find(self, given: str) -> str:
        """The lab called ``given``: its name, its number, or a part that only it starts with.

        Raises :class:`UnknownName`, with the nearest name there is.
        """
        names = self.names()
        wanted = given.strip().strip("/").split("/")[-1].lower()
        if wanted in names:
            return wanted
        numbered = wanted.zfill(2) if wanted.isdigit() else wanted
        found = [
            name
            for name in names
            if name.startswith(numbered) or (wanted and name.partition("_")[2].startswith(wanted))
        ]
        if len(found) == 1 and wanted:
            return found[0]
        raise UnknownName(_unknown("lab", given, found if len(found) > 1 else names))

    def lab(self, given: str) -> Lab:
        """The definition of a lab. Raises :class:`UnknownName`."""
        return _load(self.solutions / self.find(given) / DEFINITION)


def course() -> Course:
    """The course that this grader belongs to. Raises :class:`FileNotFoundError`."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "solutions").is_dir():
        raise FileNotFoundError(
            f"there is no solutions folder in {root}: the grader runs from a clone of the course, "
            "set up by `make setup`"
        )
    return Course(root)


def find_task(lab: Lab, given: str) -> Task:
    """The task called ``given``, by name, file name, or a part that only it starts with."""
    wanted = Path(given).stem
    task = lab.task(wanted)
    if task is not None:
        return task
    found = [task for task in lab.tasks if wanted and task.name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    raise UnknownName(_unknown("task", given, [task.name for task in lab.tasks]))


def _unknown(what: str, given: str, names: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    hint = f" Did you mean {close[0]}?" if close else ""
    have = ", ".join(names) or "none"
    return f"there is no {what} {given!r}.{hint} There is: {have}"


@functools.cache
def _load(path: Path) -> Lab:
    spec = importlib.util.spec_from_file_location(f"coalesce_lab_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lab = module.LAB
    assert isinstance(lab, Lab), f"{path} must define LAB"
    assert lab.name == path.parent.name, f"{path} defines a lab called {lab.name}"
    return lab
