"""One check or grade of a lab: every task judged, one verdict."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grader.bench import Bench
from grader.catalogue import Course
from grader.hints import hints
from grader.judge import Progress, judge
from grader.lab import Lab, Task
from grader.submission import SubmissionError, read_submission
from grader.verdict import TaskVerdict, Verdict
from kernels.runtime import Device

CHECK_SEED = 20231022  # a check says the same about the same file, every time


def run(
    course: Course,
    lab: Lab,
    tasks: Sequence[Task],
    folder: Path,
    device: Device,
    mode: str,
    *,
    seed: int | None = None,
    progress: Progress = lambda _: None,
) -> Verdict:
    """Judge ``tasks`` of a lab on the files in ``folder``.

    ``mode`` "check" judges the public cases, on the same inputs each time; "grade" also hidden
    ones, whose sizes and inputs come from ``seed``, or are drawn anew.
    """
    started = time.monotonic()
    if seed is None:
        seed = CHECK_SEED if mode == "check" else int.from_bytes(os.urandom(6), "little")
    bench = Bench(course.root, course.solutions / lab.name, device, seed, mode == "grade")
    verdicts = tuple(_judge(lab, task, folder, bench, progress) for task in tasks)
    return Verdict(
        lab.name, mode, all(v.passed for v in verdicts), device.name, device.kind, seed,
        time.monotonic() - started, verdicts,
    )  # fmt: skip


def _judge(lab: Lab, task: Task, folder: Path, bench: Bench, progress: Progress) -> TaskVerdict:
    try:
        submission = read_submission(folder, task.name)
    except SubmissionError as error:
        message = f"{error}."
        return TaskVerdict(
            task.name, task.title, str(folder / f"{task.name}.py"), False, "missing-file", message,
            message, "`python -m grader make-labs` writes the starters that are not there.",
        )  # fmt: skip
    verdict = judge(task, submission, bench, progress)
    if verdict.passed or not verdict.cases:  # before it runs, its own message helps most
        return verdict
    shown = hints(lab.name, task, at_least=1)
    return replace(verdict, hint=shown.latest, hints_left=shown.left)
