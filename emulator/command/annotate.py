"""The source beside what each of its lines did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emulator.command.wording import amount, fraction
from emulator.counting import metrics
from emulator.report import LineReport, Report

AROUND = 2  # lines without counters shown beside those with
OPERATIONS = ("ld", "st", "atom", "red", "ldgsts_cache_access")
SHARED_OPERATIONS = ("ld", "st", "atom", "red")


@dataclass(frozen=True)
class Line:
    """A source line and its numbers; ``number`` 0 stands for lines that were left out."""

    number: int
    text: str
    instructions: float = 0.0
    share: float = 0.0  # of the launch's warp instructions, 0 to 1
    lanes: float = 0.0  # active, of 32, on average
    sectors: Mapping[str, float] | None = None  # a request, by operation
    wavefronts: float = 0.0  # of shared memory
    ideal: float = 0.0  # those without bank conflicts
    counters: Mapping[str, float] | None = None

    @property
    def excess(self) -> float:
        """Wavefronts an access that the banks serve one after another: 1 without conflicts."""
        return self.wavefronts / self.ideal if self.ideal else 0.0


@dataclass(frozen=True)
class Listing:
    """The lines of one file that a kernel's instructions came from, and those around them."""

    file: str
    lines: tuple[Line, ...]


def listings(report: Report, sources: Mapping[str, str]) -> list[Listing]:
    """Annotated source, the file with most instructions first."""
    total = report.counters.get(metrics.INSTRUCTIONS, 0.0) or 1.0
    files: dict[str, list[LineReport]] = {}
    for line in report.lines:
        files.setdefault(line.file, []).append(line)

    def weight(file: str) -> float:
        return sum(line.counters.get(metrics.INSTRUCTIONS, 0.0) for line in files[file])

    return [
        Listing(file, tuple(_lines(files[file], sources.get(file, "").splitlines(), total)))
        for file in sorted(files, key=weight, reverse=True)
    ]


def _lines(reports: Sequence[LineReport], text: Sequence[str], total: float) -> Iterator[Line]:
    by_number = {line.line: line for line in reports if _did_something(line)}
    shown = sorted(
        {
            number
            for at in by_number
            for number in range(at - AROUND, at + AROUND + 1)
            if 1 <= number <= len(text) or number == at
        }
    )
    before = 0
    for number in shown:
        if before and number == before + 2:
            yield Line(number - 1, _at(text, number - 1))
        elif before and number > before + 1:
            yield Line(0, "")
        before = number
        found = by_number.get(number)
        if found is None:
            yield Line(number, _at(text, number))
        else:
            yield _annotated(found, total)


def _at(text: Sequence[str], number: int) -> str:
    return text[number - 1].expandtabs(4).rstrip() if number <= len(text) else ""


def _did_something(line: LineReport) -> bool:
    return line.counters.get(metrics.INSTRUCTIONS, 0.0) > 0


def _annotated(line: LineReport, total: float) -> Line:
    counters = line.counters
    instructions = counters.get(metrics.INSTRUCTIONS, 0.0)
    sectors = {
        "cp" if op.startswith("ldgsts") else op: counters[metrics.sectors_per_request(op)]
        for op in OPERATIONS
        if counters.get(metrics.requests(op))
    }
    return Line(
        line.line,
        line.text.expandtabs(4).rstrip(),
        instructions,
        instructions / total,
        counters.get(metrics.THREADS_AN_INSTRUCTION, 0.0),
        sectors,
        counters.get(metrics.SHARED_WAVEFRONTS, 0.0),
        counters.get(metrics.SHARED_IDEAL, 0.0),
        counters,
    )


def cells(line: Line) -> tuple[str, ...]:
    """Instructions, their share, lanes, sectors a request, wavefronts: "" where there are none."""
    if not line.instructions:
        return ("",) * 5
    sectors = " ".join(f"{op} {fraction(value)}" for op, value in (line.sectors or {}).items())
    shared = ""
    if line.wavefronts:
        shared = amount(line.wavefronts)
        if line.wavefronts > line.ideal:
            shared += f" ({fraction(line.excess)}x)"
    return (
        amount(line.instructions), f"{100 * line.share:.1f}", fraction(line.lanes), sectors, shared,
    )  # fmt: skip


HEADINGS = ("instr", "%", "lanes", "sectors/req", "wavefronts (x ideal)")


def text(all_listings: Sequence[Listing]) -> str:
    """Annotated source for a terminal."""
    parts: list[str] = []
    for listing in all_listings:
        rows = [(line, cells(line)) for line in listing.lines]
        widths = [
            max(len(heading), *(len(row[at]) for _, row in rows))
            for at, heading in enumerate(HEADINGS)
        ]
        head = "  ".join(f"{h:>{w}}" for h, w in zip(HEADINGS, widths, strict=True))
        blank = " " * (6 + len(head))
        parts.append(f"{' ' * 6}{head}  | {listing.file}")
        for line, row in rows:
            if not line.number:
                parts.append(f"{blank}  | ...")
                continue
            shown = "  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True))
            parts.append(f"{line.number:5} {shown}  | {line.text}".rstrip())
        parts.append("")
    return "\n".join(parts).rstrip()
