"""A verdict as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from grader.verdict import CaseVerdict, Measure, TaskVerdict, Verdict

WIDTH = 92
MOST_PRINTED_LINES = 20


def as_text(verdict: Verdict) -> str:
    """The whole verdict."""
    lines = [f"{verdict.lab}: {verdict.mode} on {verdict.device}", ""]
    for task in verdict.tasks:
        lines += [*_task(task, verdict.lab), ""]
    passed = sum(task.passed for task in verdict.tasks)
    end = f"{passed} of {len(verdict.tasks)} tasks passed in {verdict.seconds:.1f} s"
    if verdict.mode == "grade":
        end += f" (seed {verdict.seed})"
    return "\n".join([*lines, end])


def _task(task: TaskVerdict, lab: str) -> Iterator[str]:
    yield f"{'PASS' if task.passed else 'FAIL'}  {task.task}: {task.title}"
    if task.passed:
        yield f"      {task.summary}{speed_of(task)}"
    else:
        first = next((c for c in task.cases if not c.passed and c.message == task.message), None)
        if first is not None:
            yield f"      case {first.case} ({first.kind})"
        yield from _block(task.message)
        if task.meaning:
            yield from _block(f"What it probably means: {task.meaning}")
    yield from _cases(task)
    if task.printed.strip():
        yield "      Your program printed:"
        printed = task.printed.rstrip().splitlines()
        yield from (f"      | {line}" for line in printed[:MOST_PRINTED_LINES])
        if len(printed) > MOST_PRINTED_LINES:
            yield f"      | ... ({len(printed)} lines)"
    if task.hint:
        yield from _block(f"Hint: {task.hint}")
        if task.hints_left:
            yield f"      ({task.hints_left} more: python -m grader hint {lab} {task.task})"


def _cases(task: TaskVerdict) -> Iterator[str]:
    width = max((len(case.case) for case in task.cases), default=0)
    for case in task.cases:
        mark = "ok  " if case.passed else "FAIL"
        tail = "" if case.passed else f"  {case.code}"
        kind = "  hidden" if case.kind == "hidden" else ""
        yield f"      {mark}  {case.case:<{width}}{kind}{tail}{_rates(case)}"
        for measure in case.measures:
            yield f"              {_measure(measure)}"


def _measure(measure: Measure) -> str:
    ratio = f"{measure.yours / measure.solution:.2f}x" if measure.solution else ""
    mark = "" if measure.ok else "  <- over the limit"
    return (
        f"{measure.label:<28} {number(measure.yours):>12}   solution {number(measure.solution):>12}"
        f"  {ratio:>8}{mark}"
    )


def number(value: float) -> str:
    """A count or a time."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.1f}"


def _rates(case: CaseVerdict) -> str:
    if case.gigabytes_per_s is None or case.share_of_memory_bandwidth is None:
        return ""
    share = 100 * case.share_of_memory_bandwidth
    return f"  {case.gigabytes_per_s:,.0f} GB/s, {share:.0f}% of the memory's"


def speed_of(task: TaskVerdict) -> str:
    """How fast a task was, to follow its summary."""
    if task.speed is None:
        return ""
    return f"; {task.speed:.2f} times the solution's speed, {task.speed_kind}"


def _block(text: str) -> Iterator[str]:
    """Wrapped, but for lines that are laid out on purpose."""
    for line in text.splitlines():
        if line.startswith(" ") or len(line) <= WIDTH - 6:
            yield f"      {line}"
        else:
            yield from (f"      {part}" for part in textwrap.wrap(line, WIDTH - 6))
