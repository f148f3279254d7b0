"""Wrong kernels are refused, each for its own reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from grader.bench import Bench
from grader.catalogue import course
from grader.judge import judge
from grader.submission import read_submission
from kernels.runtime import open_device

HERE = Path(__file__).parent
STARTER = re.compile(r"(?ms)^\s*(?://|#) STARTER$.*?(?=^\s*(?://|#) END SOLUTION$)")
MUTANTS = [
    (folder.parent.name, mutant)
    for folder in sorted(HERE.glob("*/mutants.toml"))
    for mutant in tomllib.loads(folder.read_text())["mutant"]
]


def mutate(solutions: Path, replaced: dict[str, dict[str, str]], into: Path) -> None:
    """Copy a lab's solutions with some of their text replaced."""
    for path in solutions.iterdir():
        if path.suffix in (".py", ".cu") and path.name != "lab.py":
            text = STARTER.sub("", path.read_text())
            for old, new in replaced.get(path.name, {}).items():
                assert text.count(old) == 1, f"{path.name} has {text.count(old)} times {old!r}"
                text = text.replace(old, new)
            (into / path.name).write_text(text)


@pytest.mark.parametrize(("lab", "mutant"), MUTANTS, ids=[m["name"] for _, m in MUTANTS])
def test_a_mutant_is_refused_for_its_reason(
    lab: str, mutant: dict[str, Any], tmp_path: Path
) -> None:
    where = course()
    task = where.lab(lab).task(mutant["task"])
    assert task is not None
    mutate(where.solutions / lab, mutant["replace"], tmp_path)
    endless = mutant["code"] == "kernel-timed-out"
    bench = Bench(
        where.root, where.solutions / lab, open_device("emulated"), 7, True,
        kernel_seconds=2 if endless else 60,
    )  # fmt: skip
    verdict = judge(task, read_submission(tmp_path, task.name), bench, lambda _: None)
    words = f"{verdict.message}\n{verdict.meaning}"
    assert (verdict.passed, verdict.code) == (False, mutant["code"]), words
    missing = [phrase for phrase in mutant["says"] if phrase.lower() not in words.lower()]
    assert not missing, words


def test_there_are_enough_of_them() -> None:
    for lab in course().names():
        tasks = {task.name for task in course().lab(lab).tasks}
        mutants = [mutant for name, mutant in MUTANTS if name == lab]
        assert len(mutants) >= 10
        assert {mutant["task"] for mutant in mutants} == tasks
