"""Judging one task: record in a child, judge each case, put the verdict together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from grader.bench import Bench
from grader.cases import judge_case
from grader.lab import Task
from grader.sandbox import Failure, Recording, record_cases
from grader.submission import Submission
from grader.verdict import PASSED, CaseVerdict, TaskVerdict

FASTER = 1.05  # times the solution's speed: more than timings wander
Progress = Callable[[str], None]


def judge(task: Task, submission: Submission, bench: Bench, progress: Progress) -> TaskVerdict:
    """The verdict on one task."""
    rng = bench.rng(task.name, "sizes") if bench.hidden else None
    cases = task.cases(bench.device.kind, rng=rng)
    progress(f"{task.name}: compiling and recording {submission.main}")
    arguments = [(case, task.arguments(case)) for case in cases]
    recording = record_cases(submission, arguments, bench.root, bench.limits, bench.device.arch)
    if recording.failure is not None:
        return _unrecorded(task, submission, recording, recording.failure)
    verdicts: list[CaseVerdict] = []
    for case in cases:
        progress(f"{task.name}: {'hidden' if case.hidden else 'public'} case {case.name}")
        verdicts.append(judge_case(task, case, recording.outcome(case.name), bench))
    return _together(task, submission, recording, _excused(verdicts))


def _excused(verdicts: Sequence[CaseVerdict]) -> tuple[CaseVerdict, ...]:
    """On a GPU, counts do not speak against what is faster than the solution."""
    measured = [v.speed for v in verdicts if v.speed is not None and v.speed_kind == "measured"]
    if not measured or min(measured) < FASTER:
        return tuple(verdicts)
    return tuple(
        replace(v, passed=True, code=PASSED, message="", meaning="", findings=())
        if v.code == "too-costly"
        else v
        for v in verdicts
    )


def _unrecorded(
    task: Task, submission: Submission, recording: Recording, failure: Failure
) -> TaskVerdict:
    return TaskVerdict(
        task.name, task.title, str(submission.path), False, failure.code,
        failure.message.splitlines()[0], failure.message, failure.meaning,
        printed=recording.printed, findings=failure.findings, sandbox=recording.held,
        sha256=submission.sha256,
    )  # fmt: skip


def _together(
    task: Task, submission: Submission, recording: Recording, cases: tuple[CaseVerdict, ...]
) -> TaskVerdict:
    wrong = [case for case in cases if not case.passed]
    # what is wrong comes before what is slow
    slow = ("too-costly", "too-slow")
    first = next((c for c in wrong if c.code not in slow), wrong[0] if wrong else None)
    kinds = {case.speed_kind for case in cases if case.speed is not None}
    kind = "measured" if "measured" in kinds else "modelled" if kinds else None
    speeds = [c.speed for c in cases if c.speed is not None and c.speed_kind == kind]
    if first is None:
        summary = f"passed all {len(cases)} cases"
    else:
        summary = f"{len(wrong)} of {len(cases)} cases failed; {first.case}: " + (
            first.message.splitlines()[0] if first.message else first.code
        )
    return TaskVerdict(
        task.name, task.title, str(submission.path), first is None,
        first.code if first else PASSED, summary,
        first.message if first else "", first.meaning if first else "",
        speed=min(speeds) if speeds and not wrong else None,
        speed_kind=None if wrong else kind,
        printed=recording.printed, cases=cases, sandbox=recording.held, sha256=submission.sha256,
    )  # fmt: skip
