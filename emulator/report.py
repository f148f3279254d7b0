"""What a launch cost and touched, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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

    def __str__(self) -> str:
        """The report for a terminal: time, counters, and the lines that touch global memory."""
        parts = [
            f"{self.kernel}, grid {_shape(self.grid)}, block {_shape(self.block)}, on {self.device}"
        ]
        if self.time_us is not None:
            bounds = sorted(self.bounds.items(), key=lambda item: -item[1])
            why = ", ".join(f"{name} {us:.2f}" for name, us in bounds)
            parts.append(
                f"time  {self.time_us:.2f} us, {self.time_kind}" + f"  ({why})" * bool(why)
            )
        width = max((len(name) for name in self.counters), default=0)
        parts += [f"{name:{width}}  {_number(v)}" for name, v in sorted(self.counters.items())]
        for line in self.lines:
            ratios = [
                f"{_direction(name)} {value:.4g} sectors a request"
                for name, value in sorted(line.counters.items())
                if name.startswith("l1tex__average_t_sectors_per_request")
            ]
            if ratios:
                parts.append(f"{line.file}:{line.line}  {', '.join(ratios)}")
                parts.append(f"    {line.text.strip()}")
        parts += [str(finding) for finding in self.findings]
        return "\n".join([*parts, *self.notes])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows for a report that ends a cell."""
        printer.text(str(self))


def _shape(axes: Dim3) -> str:
    x, y, z = axes
    return " x ".join(str(n) for n in ((x, y, z) if z > 1 else (x, y) if y > 1 else (x,)))


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"


def _direction(name: str) -> str:
    return name.split("_op_")[1].split(".")[0]
