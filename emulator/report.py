"""What a launch cost and touched, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulator.occupancy import Occupancy

if TYPE_CHECKING:
    from emulator.timeline import Timeline

Dim3 = tuple[int, int, int]


@dataclass(frozen=True)
class Side:
    """One of the two accesses of a race."""

    kind: str  # "read", "write" or "atomic"
    file: str
    line: int
    source_text: str
    block: Dim3
    thread: Dim3


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
    count: int = 1  # how often in this launch; thread and address are the first time's
    severity: str = "error"  # or "info": unordered, but the result is the same
    sides: tuple[Side, ...] = ()  # of a race; the finding's own line and thread are the second's

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
    approximate: frozenset[str] = frozenset()  # counters that an H100's may differ from
    occupancy: Occupancy | None = None
    cluster: Dim3 = (1, 1, 1)  # blocks
    timeline: Timeline | None = None  # of the block that was asked for

    def __str__(self) -> str:
        """The report for a terminal: time, occupancy, counters by section, and lines."""
        from emulator.summary import summary

        return summary(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows for a report that ends a cell."""
        printer.text(str(self))
