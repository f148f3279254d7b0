"""The grader's answer, as plain data with one JSON form (verdict.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = "coalesce/verdict/1"
SCHEMA_FILE = Path(__file__).with_name("verdict.schema.json")

PASSED = "passed"
# Why a case or a task did not pass. Tests and translations hold on to these, not to the words.
CODES = {
    PASSED: "right, and at the cost it should have",
    "missing-file": "the file is not there, or cannot be read",
    "syntax-error": "Python could not read the file",
    "compile-error": "the CUDA compiler refused the kernel",
    "raised": "the file, or its solve, raised an exception",
    "no-solve": "the file has no function solve",
    "wrong-signature": "solve does not take the task's arguments",
    "wrong-return": "solve did not return arrays of the device",
    "bad-launch": "a launch with arguments, grid, block or shared memory that do not fit",
    "ended-early": "the program ended itself before it had answered",
    "timed-out": "the program ran longer than it may",
    "out-of-memory": "the program asked for more memory than it may have",
    "not-a-plan": "what came back is not a plan",
    "plan-too-large": "the plan asks for more memory, launches or code than the task may need",
    "unsupported": "the kernel uses an instruction that the software GPU does not have",
    "kernel-fault": "a kernel touched memory that is not its own, trapped or waits for ever",
    "kernel-timed-out": "a kernel ran longer than it may",
    "hazard": "threads meet in memory or at a barrier in no defined order, whatever the numbers",
    "wrong-count": "another number of arrays was returned",
    "wrong-shape": "an array of the wrong shape was returned",
    "wrong-dtype": "an array of the wrong type was returned",
    "not-written": "some elements were never written",
    "not-finite": "NaN or infinity where a number should be",
    "wrong-values": "wrong numbers",
    "input-changed": "the kernel wrote to its input",
    "not-repeatable": "right on the first inputs and wrong on others",
    "too-costly": "right, but it costs more than it should",
    "too-slow": "right, but slower than it should be",
}
PUBLIC, HIDDEN = "public", "hidden"


@dataclass(frozen=True)
class Measure:
    """One thing that was counted or timed, beside the reference solution's."""

    name: str
    label: str  # in words
    yours: float
    solution: float
    limit: float
    ok: bool


@dataclass(frozen=True)
class Finding:
    """Where a checker or the comparison saw something wrong."""

    kind: str
    message: str
    file: str = ""
    line: int = 0
    source: str = ""  # that line


@dataclass(frozen=True)
class CaseVerdict:
    """One case."""

    case: str
    kind: str  # public or hidden
    passed: bool
    code: str  # a key of CODES
    message: str = ""  # what was wrong, and where
    meaning: str = ""  # what it probably means
    findings: tuple[Finding, ...] = ()
    measures: tuple[Measure, ...] = ()
    speed: float | None = None  # the solution's time over this one's
    speed_kind: str | None = None  # "modelled" or "measured"
    gigabytes_per_s: float | None = None
    share_of_memory_bandwidth: float | None = None


@dataclass(frozen=True)
class TaskVerdict:
    """One task."""

    task: str
    title: str
    file: str
    passed: bool
    code: str
    summary: str  # one line
    message: str = ""
    meaning: str = ""
    hint: str = ""  # what to try next
    hints_left: int = 0
    speed: float | None = None  # over the counted cases, the least
    speed_kind: str | None = None
    printed: str = ""  # what the learner's program wrote, shortened
    cases: tuple[CaseVerdict, ...] = ()
    findings: tuple[Finding, ...] = ()  # outside any case, such as an exception's line
    sandbox: Mapping[str, str] = field(default_factory=dict)  # what protected the machine, and how
    sha256: str = ""  # of the files judged


@dataclass(frozen=True)
class Verdict:
    """The answer to one check or grade of a lab."""

    lab: str
    mode: str  # check or grade
    passed: bool
    device: str
    device_kind: str  # emulated or cuda
    seed: int
    seconds: float
    tasks: tuple[TaskVerdict, ...]
    schema: str = SCHEMA

    def to_json(self, indent: int | None = 2) -> str:
        """As text; not-a-number does not occur."""
        return json.dumps(_plain(asdict(self)), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """From text. Raises :class:`ValueError` for another schema."""
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ValueError(f"not a verdict of schema {SCHEMA}")
        tasks = tuple(_task(task) for task in data.pop("tasks"))
        return cls(tasks=tasks, **data)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        finite = value - value == 0
        return round(value, 6) if finite else None
    return value


def _task(data: dict[str, Any]) -> TaskVerdict:
    cases = tuple(_case(case) for case in data.pop("cases"))
    findings = tuple(Finding(**f) for f in data.pop("findings"))
    return TaskVerdict(cases=cases, findings=findings, **data)


def _case(data: dict[str, Any]) -> CaseVerdict:
    measures = tuple(Measure(**m) for m in data.pop("measures"))
    findings = tuple(Finding(**f) for f in data.pop("findings"))
    return CaseVerdict(measures=measures, findings=findings, **data)
