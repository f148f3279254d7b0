"""A report as text: sections like a profiler's, plain names beside Nsight Compute's."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.counting import metrics
from emulator.report import Dim3, LineReport, Report

ALWAYS = {metrics.requests(d) for d in ("ld", "st")} | {metrics.sectors(d) for d in ("ld", "st")}
MARK = "~"  # before what is approximate


def summary(report: Report) -> str:
    """Time, bounds, occupancy, counters that are not zero, lines that touch memory, findings."""
    parts = [
        f"{report.kernel}, grid {_shape(report.grid)}, block {_shape(report.block)}, "
        + f"cluster {_shape(report.cluster)}, " * (report.cluster != (1, 1, 1))
        + f"on {report.device}"
    ]
    if report.time_us is not None:
        bounds = sorted(report.bounds.items(), key=lambda item: -item[1])
        why = ", ".join(f"{name} {us:.2f}" for name, us in bounds)
        time = f"time  {report.time_us:.2f} us, {report.time_kind}"
        parts.append(time + f"  ({why})" * bool(why))
    if report.occupancy is not None:
        parts.append(f"occupancy  {report.occupancy}")
    parts += _sections(report)
    for line in report.lines:
        if words := ", ".join(_costs(line)):
            parts.append(f"{line.file}:{line.line}  {words}")
            parts.append(f"    {line.text.strip()}")
    parts += [str(finding) for finding in report.findings]
    if any(name in report.approximate and value for name, value in report.counters.items()):
        parts.append(f"{MARK} approximate: an H100's counter may differ")
    return "\n".join([*parts, *report.notes])


def _sections(report: Report) -> Iterator[str]:
    shown = {name: value for name, value in report.counters.items() if value or name in ALWAYS}
    if not shown:
        return
    plain_width = max(len(metrics.plain_name(name)) for name in shown)
    width = max(len(name) for name in shown)
    for section in (*metrics.SECTIONS, ""):
        rows = [name for name, metric in metrics.METRICS.items()
                if metric.section == section and name in shown]  # fmt: skip
        if not section:
            rows = sorted(name for name in shown if name not in metrics.METRICS)
        if rows:
            yield section or "Other"
        for name in rows:
            mark = MARK if name in report.approximate else " "
            plain = metrics.plain_name(name)
            yield f"  {plain:{plain_width}} {mark} {name:{width}}  {_number(shown[name])}"


def _costs(line: LineReport) -> Iterator[str]:
    """What a line's accesses cost, in a few words each."""
    counters = line.counters
    for space in ("global", "local"):
        for direction in ("atom", "ld", "red", "st"):
            ratio = counters.get(metrics.sectors_per_request(direction, space))
            if ratio is not None:
                where = "" if space == "global" else f"{space} "
                yield f"{where}{direction} {ratio:.4g} sectors a request"
    for direction in metrics.SHARED_DIRECTIONS:
        if conflicts := counters.get(metrics.bank_conflicts(direction)):
            passes = counters[metrics.shared_wavefronts(direction)]
            yield f"shared {direction} {conflicts:,.0f} of {passes:,.0f} wavefronts by conflicts"
    if parted := counters.get(metrics.DIVERGENT_TARGETS):
        branches = counters[metrics.BRANCH_TARGETS]
        yield f"{parted:,.0f} of {branches:,.0f} branches parted lanes"


def _shape(axes: Dim3) -> str:
    x, y, z = axes
    return " x ".join(str(n) for n in ((x, y, z) if z > 1 else (x, y) if y > 1 else (x,)))


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"
