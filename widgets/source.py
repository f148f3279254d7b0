"""A kernel's source as it is in the package, plain or with what each line cost beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from emulator import LineReport, Report
from kernels.runtime import KernelFunction
from widgets.live import Html
from widgets.look import BLUE, FAINT, MONO, ORANGE, RULE, TEXT, bar, faint, significant

LOADS, STORES = "ld", "st"
HEAD = (
    ("sectors / request", "left"),
    ("share of traffic", "left"),
    ("asked / moved", "right"),
    ("", "right"),
    ("source", "left"),
)
GAP = (  # lines that are left out
    '<tr style="background: none"><td colspan="4"></td><td style="text-align: left; '
    f'padding: 0 10px; color: {FAINT}">⋮</td></tr>'
)
PLENTY = 1.01  # times the fewest sectors that would do; above it a line is marked


class Source:
    """Source text to show, file by file: coloured by the front end, as any code block is."""

    def __init__(self, parts: Sequence[tuple[str, int, str]]) -> None:
        self.parts = tuple(parts)  # file, first line, text

    @property
    def text(self) -> str:
        """All of it, without the names of the files."""
        return "\n\n".join(text for _, _, text in self.parts)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(
            f"`{file}`, from line {line}\n```c++\n{text}\n```" for file, line, text in self.parts
        )

    def __repr__(self) -> str:
        return "\n\n".join(f"{file}, from line {line}\n{text}" for file, line, text in self.parts)


def show_source(kernel: KernelFunction, *functions: str) -> Source:
    """The source of ``kernel``, cut out of the file that it was compiled from.

    ``functions`` names further functions, such as a template that the kernel calls: of that file,
    or of headers of ours that it includes. Functions of headers are shown first. Raises ValueError
    for a function that none of them has.
    """
    files = {**kernel.program.headers, kernel.program.name: kernel.program.source}
    wanted: dict[str, list[tuple[int, int]]] = {file: [] for file in files}
    for name in (*functions, kernel.name):
        file, first, last = _definition(files, name)
        wanted[file].append((first, last))
    parts = []
    for file, spans in wanted.items():
        lines = files[file].splitlines()
        cut = ["\n".join(lines[first - 1 : last]) for first, last in sorted(spans)]
        if cut:
            parts.append((file, min(spans)[0], "\n\n".join(cut)))
    return Source(parts)


def _definition(files: dict[str, str], name: str) -> tuple[str, int, int]:
    """The file that defines a function, and the definition's first and last line."""
    for file, text in reversed(files.items()):  # the kernel's own file before what it includes
        try:
            first, last = function_lines(text, name)
        except ValueError:
            continue
        return file, first, last
    raise ValueError(f"there is no function {name!r} in {', '.join(reversed(files))}")


def function_lines(text: str, name: str) -> tuple[int, int]:
    """First and last line of a function's definition, with the comment right above it."""
    for found in re.finditer(rf"\b{re.escape(name)}\s*\(", text):
        rest = text[found.end() :]
        opens = re.match(r"[^;{}]*\{", rest)
        if opens is None:
            continue  # a declaration or a call
        depth, at = 1, found.end() + opens.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        lines = text.splitlines()
        first = text.count("\n", 0, found.start()) + 1
        while first > 1 and (above := lines[first - 2].strip()):
            if above[-1] in "};" or above[0] == "#":
                break
            first -= 1
        return first, text.count("\n", 0, at) + 1
    raise ValueError(f"the source has no function {name!r}")


def source_view(report: Report, kernel: KernelFunction | None = None) -> Html:
    """The source with each line's requests, sectors a request and share of the traffic.

    With ``kernel`` the whole function is shown, otherwise the lines that the report has. A line is
    marked where it moved more sectors than its bytes need.
    """
    counted = [line for line in report.lines if _sectors(line) > 0]
    total = sum(_sectors(line) for line in counted)
    found = {(line.file, line.line): line for line in report.lines}
    texts = {(line.file, line.line): line.text for line in report.lines}
    if kernel is not None:
        file, lines = kernel.program.name, kernel.program.source.splitlines()
        first, last = function_lines(kernel.program.source, kernel.name)
        texts |= {(file, number): lines[number - 1] for number in range(first, last + 1)}
    rows, words = [], []
    previous = None
    for key in sorted(texts):
        if previous is not None and (key[0], key[1] - 1) != previous:
            rows.append(GAP)
        previous = key
        line = found.get(key)
        rows.append(_row(key[1], texts[key], line, total))
        if line is not None and _sectors(line):
            words.append(f"{key[0]}:{key[1]}  {_ratios(line)} sectors a request  {line.text}")
    head = "".join(
        f'<th style="text-align: {side}; padding: 2px 10px; border-bottom: {RULE}; '
        f'white-space: nowrap">{name}</th>'
        for name, side in HEAD
    )
    html = (
        f'<div style="color: {TEXT}"><div><b>{escape(report.kernel)}</b>, '
        f"{significant(total)} sectors of 32 bytes on {escape(report.device)}</div>"
        '<table style="border-collapse: collapse; margin: 6px 0; color: inherit">'
        f'<thead><tr style="background: none">{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>" + "".join(faint(note) for note in report.notes)
    )
    return Html(html, "\n".join([report.kernel, *words]))


def _counter(line: LineReport, name: str, direction: str) -> float:
    return line.counters.get(f"{name}_op_{direction}.sum", 0.0)


def _sectors(line: LineReport) -> float:
    name = "l1tex__t_sectors_pipe_lsu_mem_global"
    return sum(_counter(line, name, direction) for direction in (LOADS, STORES))


def _asked(line: LineReport) -> float:
    name = "smsp__sass_data_bytes_mem_global"
    return sum(_counter(line, name, direction) for direction in (LOADS, STORES))


def _ratios(line: LineReport) -> str:
    """Sectors a request, of loads and of stores where a line has both."""
    shown = []
    for direction, word in ((LOADS, "ld"), (STORES, "st")):
        requests = _counter(line, "l1tex__t_requests_pipe_lsu_mem_global", direction)
        if requests:
            sectors = _counter(line, "l1tex__t_sectors_pipe_lsu_mem_global", direction)
            shown.append(f"{word} {significant(sectors / requests)}")
    return ", ".join(shown)


def _row(number: int, text: str, line: LineReport | None, total: float) -> str:
    cell = "padding: 0 10px; border: none; white-space: nowrap; line-height: 1.45"
    ratio = share = efficiency = ""
    edge = "transparent"
    if line is not None and (sectors := _sectors(line)):
        wasteful = sectors * 32 > _asked(line) * PLENTY
        edge = ORANGE if wasteful else BLUE
        ratio = f"<b>{escape(_ratios(line))}</b>"
        share = f"{bar(sectors / total, edge)} {sectors / total:.0%}"
        efficiency = f"{_asked(line) / (sectors * 32):.0%}"
    return (
        '<tr style="background: none">'
        f'<td style="{cell}; text-align: left; border-left: 5px solid {edge}">{ratio}</td>'
        f'<td style="{cell}; text-align: left">{share}</td>'
        f'<td style="{cell}; text-align: right">{efficiency}</td>'
        f'<td style="{cell}; text-align: right; color: {FAINT}; font-family: {MONO}">{number}</td>'
        f'<td style="{cell}; text-align: left; white-space: pre; font-family: {MONO}">'
        f"{escape(text)}</td></tr>"
    )
