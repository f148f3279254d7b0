"""A report's counters as tables, in Nsight Compute's order: what bounds it first, then memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emulator.command.wording import amount, fraction
from emulator.counting import metrics
from emulator.report import Report

OPERATIONS = {
    "ld": "load", "st": "store", "atom": "atomic", "red": "reduction",
    "ldgsts": "async copy", "ldgsts_cache_access": "async copy",
}  # fmt: skip
SPACES = {"global": metrics.MEMORY, "local": metrics.LOCAL, "shared": metrics.SHARED}
# What is counted of each operation on memory: its row's name, and the counter's pattern.
MEMORY_ROWS = (
    ("instructions", r"smsp__inst_executed_op_(?P<space>shared)_(?P<op>\w+)\.sum"),
    ("requests", r"l1tex__t_requests_pipe_lsu_mem_(?P<space>global|local)_op_(?P<op>\w+)\.sum"),
    ("sectors of 32 bytes", r"l1tex__t_sectors_pipe_lsu_mem_"
                            r"(?P<space>global|local)_op_(?P<op>\w+)\.sum"),
    ("sectors a request", r"l1tex__average_t_sectors_per_request_pipe_lsu_mem_"
                          r"(?P<space>global|local)_op_(?P<op>\w+)\.ratio"),
    ("wavefronts", r"l1tex__data_pipe_lsu_wavefronts_mem_(?P<space>shared)_op_(?P<op>\w+)\.sum"),
    ("bank conflicts", r"l1tex__data_bank_conflicts_pipe_lsu_mem_(?P<space>shared)_op_"
                       r"(?P<op>\w+)\.sum"),
    ("bytes asked for", r"smsp__sass_data_bytes_mem_(?P<space>\w+?)_op_(?P<op>\w+)\.sum"),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A section: ``columns`` name the cells after each row's name; none for one plain value."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def tables(report: Report) -> list[Table]:
    """The sections of a report that have something to say."""
    found = [_time(report)] if report.time_us is not None else []
    left = {name: value for name, value in report.counters.items() if value}
    memory = {title: _memory(space, left) for space, title in SPACES.items()}
    for names, _ in memory.values():
        for name in names:
            left.pop(name)
    titles = dict.fromkeys(
        (*metrics.SECTIONS, *(metrics.METRICS[n].section for n in left if n in metrics.METRICS))
    )
    for title in titles:
        if title in memory and memory[title][1] is not None:
            table = memory[title][1]
            assert table is not None
            found.append(table)
        plain = tuple(
            (_row_name(name, report), (value_text(name, left[name]),))
            for name, metric in metrics.METRICS.items()
            if metric.section == title and name in left
        )
        if plain:
            more = title in memory and memory[title][1] is not None
            found.append(Table("" if more else title, (), plain))
    unknown = tuple(
        (name, (value_text(name, value),))
        for name, value in left.items()
        if name not in metrics.METRICS
    )
    return [*found, *([Table("Other", (), unknown)] if unknown else [])]


def text(all_tables: Sequence[Table]) -> str:
    """Tables for a terminal: numbers right-aligned under their columns."""
    rows = [row for table in all_tables for row in table.rows]
    first = max((len(name) for name, _ in rows), default=0)
    lines: list[str] = []
    for table in all_tables:
        if table.title and lines:
            lines.append("")
        widths = _widths(table)
        head = "".join(f"  {c:>{w}}" for c, w in zip(table.columns, widths, strict=False))
        if table.title:
            lines.append(f"{table.title:{first + 2}}{head}".rstrip())
        for name, cells in table.rows:
            shown = "".join(f"  {c:>{w}}" for c, w in zip(cells, widths, strict=False))
            lines.append(f"  {name:{first}}{shown}".rstrip())
    return "\n".join(lines)


def value_text(name: str, value: float) -> str:
    """A counter's value with its unit where the name has one."""
    if metrics.plain_name(name).endswith(", %"):
        return f"{fraction(value)} %"
    return fraction(value) if name.endswith(".ratio") else amount(value)


def _time(report: Report) -> Table:
    bounds = sorted(report.bounds.items(), key=lambda item: -item[1])
    assert report.time_us is not None
    rows = [(f"duration ({report.time_kind})", (f"{report.time_us:,.2f} us",))]
    rows += [(f"bound by {name}", (f"{us:,.2f} us",)) for name, us in bounds]
    return Table("Time", (), tuple(rows))


def _memory(space: str, counters: Mapping[str, float]) -> tuple[list[str], Table | None]:
    """The counters of one space's operations: a row a quantity, a column an operation."""
    names: list[str] = []
    cells: dict[str, dict[str, str]] = {}
    for row, pattern in MEMORY_ROWS:
        for name, value in counters.items():
            match = re.fullmatch(pattern, name)
            if match and match["space"] == space and match["op"] in OPERATIONS:
                names.append(name)
                cells.setdefault(row, {})[OPERATIONS[match["op"]]] = value_text(name, value)
    columns = tuple(
        dict.fromkeys(o for o in OPERATIONS.values() if any(o in row for row in cells.values()))
    )
    if not columns:
        return names, None
    rows = tuple((row, tuple(found.get(o, "0") for o in columns)) for row, found in cells.items())
    return names, Table(SPACES[space], columns, rows)


def _row_name(name: str, report: Report) -> str:
    about = "~ " if name in report.approximate else ""
    return about + metrics.plain_name(name).removesuffix(", %")


def _widths(table: Table) -> list[int]:
    count = max((len(cells) for _, cells in table.rows), default=0)
    return [
        max(12, *(len(cells[at]) for _, cells in table.rows),
            len(table.columns[at]) if at < len(table.columns) else 0)
        for at in range(count)
    ]  # fmt: skip


def by_name(report: Report) -> Iterator[tuple[str, str]]:
    """Every counter under Nsight Compute's own name."""
    for name, value in sorted(report.counters.items()):
        yield name, value_text(name, value)
