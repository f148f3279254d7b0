"""What a launch cost and touched, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Dim3 = tuple[int, int, int]


@dataclass(frozen=True)
class Finding:
    """Something a checker saw a kernel do, named as compute-sanitizer names it."""

    check: str  # the tool that would have said so: "memcheck"
    kind: str  # "out-of-bounds read", "misaligned write", "trap"
    kernel: str
    file: str  # source file, "" when the PTX has no line information
    line: int  # source line, 0 when unknown
    source_text: str  # that line, stripped
    block: Dim3
    thread: Dim3
    address: int  # as the kernel used it: a device address, or an offset into shared or local
    nbytes: int
    message: str  # the whole finding in words

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class LineReport:
    """The counters of one source line."""

    file: str
    line: int
    text: str
    counters: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """What one launch cost. Counters carry Nsight Compute's metric names."""

    kernel: str
    grid: Dim3
    block: Dim3
    shared_bytes: int  # dynamic shared memory
    device: str
    counters: Mapping[str, float] = field(default_factory=dict)
    lines: tuple[LineReport, ...] = ()
    findings: tuple[Finding, ...] = ()
    time_us: float | None = None
    time_kind: str | None = None  # "modelled" or "measured"
    bounds: Mapping[str, float] = field(default_factory=dict)  # microseconds, by bound
    notes: tuple[str, ...] = ()  # what is approximate, and why
