"""What went wrong while a plan was replayed, in the lesson's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from grader.compare import Mismatch
from grader.costs import worst_line
from grader.lab import Case, Task
from grader.verdict import CaseVerdict, Finding, Measure
from kernels.runtime import (
    ArgumentError,
    CompileError,
    DeviceError,
    DeviceFault,
    LaunchError,
    LaunchTimeout,
    PlanError,
    Report,
    UnsupportedInstruction,
)

# What replaying a plan may raise, all of it because of the plan.
REPLAY_ERRORS = (
    DeviceFault, LaunchTimeout, UnsupportedInstruction, LaunchError, ArgumentError, DeviceError,
    PlanError, CompileError, MemoryError,
)  # fmt: skip

FAULTS = {
    "out-of-bounds read": (
        "A thread read what is not there. Is there a guard, if (i < n), round the read as well as "
        "the write? In the last block some threads have no element."
    ),
    "out-of-bounds write": (
        "A thread wrote outside the array. Is there a guard, if (i < n)? In the last block some "
        "threads have no element."
    ),
    "out-of-bounds read of shared memory": "The shared array is smaller than what is read from it.",
    "out-of-bounds write of shared memory": "The shared array is too small for what is put there.",
    "misaligned read": (
        "A vector type must start at a multiple of its size: a float4 at 16 bytes. Not every array "
        "does: the elements before the first aligned one need handling on their own."
    ),
    "misaligned write": (
        "A vector type must start at a multiple of its size: a float4 at 16 bytes. Source and "
        "destination can be misaligned by different amounts."
    ),
    "deadlock": (
        "Every thread of a block has to reach __syncthreads(): no return and no if before it that "
        "only some threads take. A loop that waits for a value needs a thread that writes it."
    ),
    "write to constant memory": "Constant memory and parameters can only be read.",
}


HAZARDS = {
    "racecheck": (
        "Threads run in any order. If one writes where another reads or writes, a barrier that "
        "both reach has to lie between: is there a __syncthreads(), or within a warp a "
        "__syncwarp()? Or it is one atomic operation. Or an index is wrong, and they should never "
        "meet. Numbers that are right all the same are right by luck."
    ),
    "synccheck": "All threads that a barrier waits for have to reach it, and no others.",
}


def replay_error(error: Exception, case: Case, task: Task) -> CaseVerdict:
    """A verdict for what a replay raised."""
    findings: tuple[Finding, ...] = ()
    meaning = ""
    message = str(error)
    match error:
        case DeviceFault(finding=found):
            code = "kernel-fault"
            key = found.kind
            meaning = task.lessons.get(key) or FAULTS.get(key, "")
            findings = (
                Finding(found.kind, found.message, found.file, found.line, found.source_text),
            )
        case LaunchTimeout():
            code, meaning = "kernel-timed-out", "Does every loop in the kernel end?"
        case UnsupportedInstruction():
            code = "unsupported"
            meaning = (
                "This is a limit of the software GPU, not necessarily an error of yours: on a GPU "
                "the kernel may be right."
            )
        case LaunchError() | ArgumentError() | DeviceError():
            code = "bad-launch"
        case CompileError():
            code = "compile-error"
        case MemoryError():
            code = "plan-too-large"
        case _:
            code = "not-a-plan"
    return failed(case, code, message, meaning, findings)


def with_hazards(
    problem: CaseVerdict | None, reports: Sequence[Report], case: Case, task: Task
) -> CaseVerdict | None:
    """What is wrong with a run, and the first hazard in it: that alone is wrong, too."""
    hazards = (one for report in reports for one in report.findings if one.severity == "error")
    if (found := next(hazards, None)) is None:
        return problem
    where = Finding(found.kind, found.message, found.file, found.line, found.source_text)
    if problem is None:
        meaning = task.lessons.get(found.kind) or HAZARDS[found.check]
        return failed(case, "hazard", found.message, meaning, [where])
    return replace(
        problem,
        message=f"{problem.message}\nIt may come of this: {found.message}",
        findings=(*problem.findings, where),
    )


def failed(
    case: Case,
    code: str,
    message: str,
    meaning: str = "",
    findings: Sequence[Finding] = (),
) -> CaseVerdict:
    """A case that did not pass."""
    kind = "hidden" if case.hidden else "public"
    return CaseVerdict(case.name, kind, False, code, message, meaning, tuple(findings))


def mismatched(mismatch: Mismatch, case: Case, task: Task) -> CaseVerdict:
    """A case with wrong outputs: where, and what that means."""
    pattern = mismatch.pattern
    parts = [mismatch.message]
    meaning = ""
    findings: tuple[Finding, ...] = ()
    if pattern is not None:
        if pattern.where:
            parts.append(f"Where: {pattern.where}.")
        meaning = task.lessons.get(pattern.kind) or pattern.meaning
        findings = (Finding(pattern.kind, pattern.where),)
    if mismatch.examples:
        parts.append(f"For example:\n{mismatch.examples}")
    if mismatch.code == "wrong-values" and pattern and pattern.kind in ("imprecise", "scattered"):
        parts.append(f"Tolerance: {task.tolerance}")
    return failed(case, mismatch.code, "\n".join(parts), meaning, findings)


def too_costly(
    verdict: CaseVerdict, case: Case, task: Task, measures: Sequence[Measure],
    reports: Sequence[Report],
) -> CaseVerdict:  # fmt: skip
    """A right answer that moves or does too much: how much, which line, and why."""
    worst = next(m for m in measures if not m.ok)  # limits are in the order of the lesson
    lessons: Mapping[str, str] = {limit.measure: limit.lesson for limit in task.limits}
    line = worst_line(reports, worst.name)
    ratio = worst.yours / max(worst.solution, 1.0)
    message = (
        f"The numbers are right, but they cost too much: {worst.yours:,.0f} {worst.label}, "
        f"{ratio:.1f} times the reference solution's {worst.solution:,.0f} "
        f"({worst.limit:,.0f} are allowed)."
    )
    if line is not None:
        message += f"\n{line.message}\n    {line.source}"
    return replace(
        verdict,
        passed=False,
        code="too-costly",
        message=message,
        meaning=lessons[worst.name],
        findings=(line,) if line else (),
    )
