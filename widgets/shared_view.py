"""A kernel's source with what each line cost in shared memory beside it."""

from __future__ import annotations

from html import escape

from emulator import LineReport, Report
from kernels.runtime import KernelFunction
from widgets.live import Html
from widgets.look import BLUE, FAINT, MONO, ORANGE, RULE, TEXT, bar, significant
from widgets.source import function_lines

HEAD = (
    ("wavefronts<br>/ access", "left"),
    ("without<br>conflicts", "right"),
    ("share", "left"),
    ("", "right"),
    ("source", "left"),
)
DIRECTIONS = ("ld", "st", "atom")


def shared_view(report: Report, kernel: KernelFunction, *functions: str) -> Html:
    """The kernel's lines with their accesses to shared memory; orange ones have conflicts.

    ``functions`` names functions of its file to show in its place, such as a template in which it
    does all of its work.
    """
    source = kernel.program.source
    lines = source.splitlines()
    found = {line.line: line for line in report.lines if line.file == kernel.program.name}
    total = sum(_wavefronts(line) for line in found.values())
    rows, words = [], []
    for name in functions or (kernel.name,):
        first, last = function_lines(source, name)
        for number in range(first, last + 1):
            line = found.get(number)
            rows.append(_row(number, lines[number - 1], line, total))
            if line is not None and _wavefronts(line):
                words.append(
                    f"{number}  {significant(_wavefronts(line) / _accesses(line))} wavefronts an "
                    f"access  {lines[number - 1]}"
                )
    head = "".join(
        f'<th style="text-align: {side}; padding: 2px 6px; border-bottom: {RULE}; '
        f'white-space: nowrap">{name}</th>'
        for name, side in HEAD
    )
    html = (
        f'<div style="color: {TEXT}"><div><b>{escape(report.kernel)}</b>, '
        f"{significant(total)} wavefronts of shared memory on {escape(report.device)}</div>"
        '<table style="border-collapse: collapse; margin: 6px 0; color: inherit">'
        f'<thead><tr style="background: none">{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )
    return Html(html, "\n".join([report.kernel, *words]))


def _accesses(line: LineReport) -> float:
    return sum(line.counters.get(f"smsp__inst_executed_op_shared_{d}.sum", 0.0) for d in DIRECTIONS)


def _wavefronts(line: LineReport) -> float:
    return line.counters.get("memory_l1_wavefronts_shared", 0.0)


def _row(number: int, text: str, line: LineReport | None, total: float) -> str:
    cell = "padding: 0 6px; border: none; white-space: nowrap; line-height: 1.45"
    ratio = ideal = share = ""
    edge = "transparent"
    if line is not None and (wavefronts := _wavefronts(line)):
        free = line.counters.get("memory_l1_wavefronts_shared_ideal", 0.0)
        edge = ORANGE if wavefronts > free else BLUE
        ratio = f"<b>{significant(wavefronts / _accesses(line))}</b>"
        ideal = significant(free / _accesses(line))
        share = f"{bar(wavefronts / total, edge, '50px')} {wavefronts / total:.0%}"
    return (
        '<tr style="background: none">'
        f'<td style="{cell}; text-align: left; border-left: 5px solid {edge}">{ratio}</td>'
        f'<td style="{cell}; text-align: right">{ideal}</td>'
        f'<td style="{cell}; text-align: left">{share}</td>'
        f'<td style="{cell}; text-align: right; color: {FAINT}; font-family: {MONO}">{number}</td>'
        f'<td style="{cell}; text-align: left; white-space: pre; font-family: {MONO}">'
        f"{escape(text)}</td></tr>"
    )
