"""What the tests of every lab do with what is written for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader.bench import Bench
from grader.catalogue import Course, course
from grader.judge import judge
from grader.lab import Task
from grader.starters import starters
from grader.submission import read_submission
from grader.verdict import TaskVerdict
from kernels.runtime import open_device


def task_of(lab: str, name: str) -> Task:
    """A task of a lab."""
    task = course().lab(lab).task(name)
    assert task is not None
    return task


def graded(lab: str, name: str, folder: Path, seed: int = 5) -> TaskVerdict:
    """The verdict on what a folder has for a task, hidden cases and all."""
    where = course()
    solutions = where.solutions / where.lab(lab).name
    bench = Bench(where.root, solutions, open_device("emulated"), seed, True)
    return judge(task_of(lab, name), read_submission(folder, name), bench, lambda _: None)


def passes(lab: str, name: str, text: str, folder: Path) -> None:
    """Another answer than the solution is right and cheap enough, too."""
    (folder / f"{name}.py").write_text(text)
    verdict = graded(lab, name, folder)
    assert verdict.passed, verdict.message


def costs(lab: str, name: str, line: str, says: Sequence[str], folder: Path) -> None:
    """The starter of a task is right, and is told which line costs too much, in these words."""
    for starter in starters(Course(course().root)):
        if starter.path.parent.name == course().lab(lab).name:
            (folder / starter.path.name).write_text(starter.text)
    verdict = graded(lab, name, folder)
    assert verdict.code == "too-costly", verdict.message
    words = " ".join(f"{verdict.message}\n{verdict.meaning}".split())
    assert line in words, words
    assert not [phrase for phrase in says if phrase not in words], words
    assert all(case.passed for case in verdict.cases if not case.measures)
