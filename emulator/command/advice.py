"""What stands out in a profile, in a sentence each: where to look first."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.command.wording import amount, fraction
from emulator.counting import metrics
from emulator.report import LineReport, Report

SECTOR_BYTES = 32
WORTH_SAYING = 1.5  # times what would do
FEW_LANES = 24.0
SHARE = 0.02  # of all requests, wavefronts or instructions: less is not worth a sentence


def advice(report: Report) -> list[str]:
    """Uncoalesced accesses, bank conflicts, divergence: those that cost something, worst first."""
    found = [said for line in report.lines for said in _about(line, report)]
    return [said for _, said in sorted(found, key=lambda item: -item[0])]


def _about(line: LineReport, report: Report) -> Iterator[tuple[float, str]]:
    where = f"{line.file}:{line.line}"
    for op, what in (("ld", "loads"), ("st", "stores")):
        requests = line.counters.get(metrics.requests(op), 0.0)
        sectors = line.counters.get(metrics.sectors(op), 0.0)
        needed = line.counters.get(metrics.bytes_asked(op), 0.0) / SECTOR_BYTES
        all_sectors = report.counters.get(metrics.sectors(op), 0.0)
        if sectors > WORTH_SAYING * max(needed, requests) and sectors > SHARE * all_sectors:
            touched, would_do = sectors / requests, max(needed / requests, 1.0)
            said = (
                f"{where}: a request of these global {what} touches {fraction(touched)} sectors; "
                f"{fraction(would_do)} would hold what it asks for"
            )
            yield sectors - needed, said
    wavefronts = line.counters.get(metrics.SHARED_WAVEFRONTS, 0.0)
    ideal = line.counters.get(metrics.SHARED_IDEAL, 0.0)
    if wavefronts > WORTH_SAYING * ideal:
        said = (
            f"{where}: bank conflicts make {amount(wavefronts)} wavefronts of shared memory out "
            f"of {amount(ideal)}, {fraction(wavefronts / ideal)} times as many"
        )
        yield wavefronts - ideal, said
    lanes = line.counters.get(metrics.THREADS_AN_INSTRUCTION, 32.0)
    instructions = line.counters.get(metrics.INSTRUCTIONS, 0.0)
    threads = report.block[0] * report.block[1] * report.block[2]
    total = report.counters.get(metrics.INSTRUCTIONS, 0.0)
    if lanes < min(FEW_LANES, threads / WORTH_SAYING) and instructions > SHARE * total:
        yield 0.0, f"{where}: {fraction(lanes)} of 32 lanes are active on average (divergence)"
