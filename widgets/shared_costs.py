"""What launches cost in shared memory, side by side, and transposes beside copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

from widgets.costs import Cost
from widgets.live import Html
from widgets.look import BLUE, GREEN, ORANGE, bar, faint, significant, table
from widgets.recorded import Load, look_up

# what an access does -> counters of how many there were, and of their wavefronts
KINDS = {
    "read": ("smsp__inst_executed_op_shared_ld.sum",
             "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum"),
    "write": ("smsp__inst_executed_op_shared_st.sum",
              "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum"),
    "atomic": ("smsp__inst_executed_op_shared_atom.sum",
               "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_atom.sum"),
}  # fmt: skip


def shared_table(costs: Sequence[Cost], load: Load | None = None) -> Html:
    """Sectors, wavefronts and times of ``costs``, beside recorded bandwidths from ``load``.

    Raises ValueError when times are of different kinds.
    """
    times = {one.timing.kind for one in costs}
    if len(times) != 1:
        raise ValueError(f"one table holds times of one kind, not of {sorted(times)}")
    time = times.pop()
    kinds = [k for k, (accesses, _) in KINDS.items() if any(_of(c, accesses) for c in costs)]
    found = [look_up(load, one.step, one.case) for one in costs] if load else []
    known = any(figure.value is not None for figure in found)
    fastest = max(one.gigabytes_per_s for one in costs)
    head = ["", "sectors / load", "sectors / store", *(f"wavefronts / {k}" for k in kinds),
            "by conflicts", f"time, {time}", f"GB/s, {time}", "",
            *["GB/s, recorded"] * known]  # fmt: skip
    rows, words = [], []
    for index, one in enumerate(costs):
        wavefronts = _of(one, "memory_l1_wavefronts_shared")
        wasted = wavefronts - _of(one, "memory_l1_wavefronts_shared_ideal")
        cells = [
            _ratio(one.sectors_a_request("ld")),
            _ratio(one.sectors_a_request("st")),
            *(_ratio(_each(one, kind)) for kind in kinds),
            f"{wasted / wavefronts:.0%}" if wavefronts else "",
            f"{significant(one.timing.median_us)} µs",
            significant(one.gigabytes_per_s),
        ]
        drawn = bar(one.gigabytes_per_s / fastest, ORANGE if wasted > 0 else BLUE, "110px")
        theirs = [found[index].shown] if known else []
        rows.append([f"<code>{escape(one.label)}</code>", *cells, drawn, *theirs])
        words.append("  ".join([one.label, *cells, *theirs]))
    notes = [f"Counters: {costs[0].report.device}. Times: {costs[0].device}, {time}."]
    notes += dict.fromkeys(figure.note for figure in found)
    text = ["  ".join(name for name in head if name), *words, *notes]
    numbers = [i for i, name in enumerate(head) if i and name]
    return Html(
        table(head, rows, numbers=numbers) + "".join(faint(note) for note in notes),
        "\n".join(text),
    )


def _of(cost: Cost, counter: str) -> float:
    return cost.report.counters.get(counter, 0.0)


def _each(cost: Cost, kind: str) -> float:
    accesses, wavefronts = KINDS[kind]
    return _of(cost, wavefronts) / _of(cost, accesses) if _of(cost, accesses) else 0.0


def _ratio(value: float) -> str:
    return significant(value) if value else ""


class _Transpose(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def case(self) -> str: ...
    @property
    def gigabytes_per_s(self) -> float: ...
    @property
    def of_copy(self) -> float | None: ...


class _Transposes(Protocol):
    @property
    def origin(self) -> Any: ...
    @property
    def transposes(self) -> Sequence[_Transpose]: ...


def transposes_beside_copies(
    load: Callable[[], _Transposes], names: Sequence[str] = ("transpose_best", "torch")
) -> Html:
    """Recorded transposes of every size as shares of a copy; a sentence where none is recorded."""
    try:
        record = load()
    except LookupError as missing:
        text = f"Not recorded yet: {missing}"
        return Html(faint(text), text)
    by_case: dict[str, dict[str, _Transpose]] = {}
    for figure in record.transposes:
        by_case.setdefault(figure.case, {})[figure.name] = figure
    head = ["rows x columns", "copy, GB/s"]
    for name in names:
        head += [f"{name}, GB/s", "of the copy", ""]
    rows, words = [], []
    for case, figures in by_case.items():
        cells = [escape(case), _speed(figures, "copy_best")]
        for name in names:
            share = figures[name].of_copy if name in figures else None
            colour = GREEN if (share or 0) >= 0.95 else BLUE
            drawn = "" if share is None else bar(share, colour)
            cells += [_speed(figures, name), "" if share is None else f"{share:.0%}", drawn]
        rows.append(cells)
        words.append("  ".join(cell for cell in cells if not cell.startswith("<")))
    made = record.origin
    note = f"Recorded: {made.device}, {made.date}, by: {made.command}"
    numbers = [i for i, name in enumerate(head) if i and name]
    text = "\n".join(["  ".join(name for name in head if name), *words, note])
    return Html(table(head, rows, numbers=numbers) + faint(note), text)


def _speed(figures: Mapping[str, _Transpose], name: str) -> str:
    return significant(figures[name].gigabytes_per_s) if name in figures else ""
