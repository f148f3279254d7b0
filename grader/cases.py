"""Judging one case: replay its plan, compare, count or time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from grader.bench import Bench, answers, reference_plan
from grader.compare import compare
from grader.costs import measure, totals
from grader.explain_case import (
    REPLAY_ERRORS,
    failed,
    mismatched,
    replay_error,
    too_costly,
    with_hazards,
)
from grader.lab import Array, Case, Expected, Task, array_specs
from grader.replay import race, replay, too_large
from grader.sandbox import Failure
from grader.verdict import HIDDEN, PASSED, PUBLIC, CaseVerdict, Finding, Measure
from kernels.runtime import Plan, PlanError

MAX_PLAN_BYTES = 32 << 20
WATCHED = ("racecheck", "synccheck")
SOLUTION = 1  # its place among the plans that are timed
GPU_ERRORS = ("CUDARuntimeError", "CUDADriverError")  # CuPy's, which need not be installed
GPU_STOPPED = (
    "The software GPU found nothing wrong on small sizes. Does an index overflow 32 bits on large "
    "ones? After this the GPU has to be opened anew, so cases that follow fail as well."
)


def judge_case(task: Task, case: Case, outcome: bytes | Failure, bench: Bench) -> CaseVerdict:
    """The verdict on one case, from its plan or from why there is none."""
    if isinstance(outcome, Failure):
        return failed(case, outcome.code, outcome.message, outcome.meaning, outcome.findings)
    if len(outcome) > MAX_PLAN_BYTES:
        return failed(case, "plan-too-large", f"{len(outcome):,} bytes came back as the plan")
    try:
        plan = Plan.from_bytes(outcome)
    except PlanError as error:
        return failed(case, "not-a-plan", f"What came back is not a plan: {error}.")
    problem = _against_task(task, case, plan, bench)
    if problem is not None:
        return problem
    try:
        verdict = _run_and_count(task, case, plan, bench)
        if bench.device.kind == "cuda" and (verdict.passed or verdict.code == "too-costly"):
            verdict = _run_on_gpu(task, case, plan, bench, verdict)
    except REPLAY_ERRORS as error:
        return replay_error(error, case, task)
    except RuntimeError as error:
        if type(error).__name__ not in GPU_ERRORS:
            raise
        return failed(case, "kernel-fault", f"The GPU stopped: {error}.", GPU_STOPPED)
    return verdict


def _against_task(task: Task, case: Case, plan: Plan, bench: Bench) -> CaseVerdict | None:
    """What can be said of a plan before it runs."""
    specs = [
        (s.shape, np.dtype(s.dtype), s.offset * np.dtype(s.dtype).itemsize)
        for s in array_specs(task.arguments(case))
    ]
    if [(b.shape, b.dtype, b.offset) for b in plan.inputs] != specs:
        return failed(case, "not-a-plan", "The plan's inputs are not those of the task.")
    expected = answers(task, case, bench, "form")[1]
    if len(plan.outputs) != len(expected):
        return failed(
            case, "wrong-count",
            f"solve returned {len(plan.outputs)} arrays; the task asks for {len(expected)}.",
        )  # fmt: skip
    for view, one in zip(plan.outputs, expected, strict=True):
        if view.shape != one.values.shape:
            return failed(
                case, "wrong-shape",
                f"solve returned an array of shape {view.shape}; it must be {one.values.shape}.",
            )  # fmt: skip
        if view.dtype != np.dtype(one.dtype):
            return failed(
                case, "wrong-dtype",
                f"solve returned an array of {view.dtype}; it must be {one.dtype}.",
                "The grader compares in the type that the task states; convert in the kernel.",
            )  # fmt: skip
    needed = sum(b.nbytes for b in plan.inputs) + sum(v.nbytes for v in plan.outputs)
    large = too_large(plan, needed)
    return failed(case, "plan-too-large", f"The plan is refused: {large}.") if large else None


def _run_and_count(task: Task, case: Case, plan: Plan, bench: Bench) -> CaseVerdict:
    """Two runs on the software GPU, with different inputs; the second counts.

    The first of a case that is not counted, which is a small one, is watched for hazards.
    """
    if "emulated" not in case.devices:
        return CaseVerdict(case.name, _kind(case), True, PASSED)
    earlier: list[tuple[Expected, ...]] = []
    seconds = bench.kernel_seconds
    for run in range(2):
        inputs, expected = answers(task, case, bench, run)
        counters = case.counted and run == 1
        checks = () if case.counted or run else WATCHED
        done = replay(
            plan, bench.model, inputs, seconds=seconds, counters=counters, checks=checks
        )  # fmt: skip
        problem = _wrong(task, case, inputs, done.inputs, expected, done.outputs, earlier)
        problem = with_hazards(problem, done.reports, case, task)
        if problem is not None:
            return problem
        earlier.append(expected)
    verdict = CaseVerdict(case.name, _kind(case), True, PASSED)
    if not case.counted:
        return verdict
    inputs, _ = answers(task, case, bench, 1)
    solution = replay(
        reference_plan(task, case, bench), bench.model, inputs,
        seconds=seconds, counters=True,
    )  # fmt: skip
    measures = measure(task.limits, totals(done), totals(solution))
    verdict = replace(verdict, measures=measures)
    modelled = sum(r.time_us or 0.0 for r in done.reports)
    if modelled:
        speed = sum(r.time_us or 0.0 for r in solution.reports) / modelled
        verdict = replace(verdict, speed=speed, speed_kind="modelled")
    if not all(m.ok for m in measures):
        return too_costly(verdict, case, task, measures, done.reports)
    return verdict


def _wrong(
    task: Task,
    case: Case,
    given: Sequence[Array],
    after: Sequence[Array],
    expected: Sequence[Expected],
    outputs: Sequence[Array],
    earlier: Sequence[Sequence[Expected]],
) -> CaseVerdict | None:
    """What is wrong with a run's outputs, or with what it did to its inputs."""
    specs = array_specs(task.arguments(case))
    changed = [
        spec.name
        for spec, before, now in zip(specs, given, after, strict=True)
        if before.tobytes() != now.tobytes()
    ]
    if changed:
        return failed(
            case, "input-changed", f"The kernel wrote to its input {changed[0]!r}.",
            "Inputs belong to the caller: write to an array of device.empty().",
        )  # fmt: skip
    return _wrong_outputs(task, case, expected, outputs, earlier)


def _wrong_outputs(
    task: Task,
    case: Case,
    expected: Sequence[Expected],
    outputs: Sequence[Array],
    earlier: Sequence[Sequence[Expected]] = (),
) -> CaseVerdict | None:
    for number, (one, got) in enumerate(zip(expected, outputs, strict=True)):
        name = "the output" if len(expected) == 1 else f"output {number + 1}"
        before_this = [answers[number] for answers in earlier]
        mismatch = compare(one, got, earlier=before_this, name=name)
        if mismatch is not None:
            return mismatched(mismatch, case, task)
    return None


def _run_on_gpu(
    task: Task, case: Case, plan: Plan, bench: Bench, verdict: CaseVerdict
) -> CaseVerdict:
    """The same on the GPU; large cases against the clock, interleaved with the solution."""
    device = bench.device
    inputs, expected = answers(task, case, bench, 2)
    done = replay(plan, device, inputs, seconds=bench.kernel_seconds)
    problem = _wrong(task, case, inputs, done.inputs, expected, done.outputs, [])
    if problem is not None:
        return problem
    if "emulated" in case.devices:
        return verdict  # too small to time
    solution = reference_plan(task, case, bench)
    expected_of: dict[int, tuple[Expected, ...]] = {}
    problems: list[CaseVerdict] = []

    def fresh(which: int, number: int) -> tuple[Array, ...]:
        if which == SOLUTION:  # inputs of its own: its answers, in the same memory, are of no use
            return task.make_inputs(case, bench.rng(task.name, case.name, "solution", number))
        values, expected_of[number] = answers(task, case, bench, 3 + number)
        return values

    def check(which: int, number: int, outputs: list[Array]) -> None:
        if which != SOLUTION and not problems:
            wrong = _wrong_outputs(task, case, expected_of[number], outputs)
            problems.extend([wrong] if wrong else [])

    yours, theirs = race(device, [plan, solution], fresh, check)
    if problems:
        return replace(problems[0], code="not-repeatable")
    rate = task.moved_bytes(case) / yours.median_us * 1e6
    limit = task.slowest * theirs.median_us
    timed = Measure(
        "microseconds", "microseconds", yours.median_us, theirs.median_us, limit,
        yours.median_us <= limit,
    )  # fmt: skip
    verdict = replace(
        verdict,
        measures=(*verdict.measures, timed),
        speed=theirs.median_us / yours.median_us,
        speed_kind="measured",
        gigabytes_per_s=rate / 1e9,
        share_of_memory_bandwidth=rate / device.arch.dram_bytes_per_s,
    )
    return verdict if timed.ok else _too_slow(verdict, timed, task)


def _too_slow(verdict: CaseVerdict, timed: Measure, task: Task) -> CaseVerdict:
    return replace(
        verdict,
        passed=False,
        code="too-slow",
        message=(
            f"The numbers are right, but it takes {timed.yours:.1f} us where the reference "
            f"solution takes {timed.solution:.1f} us ({timed.limit:.1f} us are allowed)."
        ),
        meaning=task.limits[0].lesson if task.limits else "",
        findings=(Finding("time", f"{timed.yours / timed.solution:.2f} times the solution's"),),
    )


def _kind(case: Case) -> str:
    return HIDDEN if case.hidden else PUBLIC
