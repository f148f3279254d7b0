"""What launches cost on a device, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from emulator import Report
from kernels.launches import Step, profile, time
from kernels.runtime import Device, Timing
from widgets.live import Html, Live
from widgets.look import BLUE, ORANGE, bar, faint, significant, table
from widgets.recorded import Figure, Kind, Load, look_up, measured_beside_recorded

SECTOR = 32  # bytes
ELEMENTS_A_BLOCK = 4096  # of the talk's copies
BLOCKS_ON_CPU = 400  # the talk's number
TIMES_L2 = 3  # how much larger than its L2 cache a GPU's arrays together must be


def copy_blocks(device: Device) -> int:
    """Blocks of 4096 floats for a copy that is as large as the device makes sense of.

    The talk's 400 on the software GPU; on a GPU enough that L2 holds a small part of the two
    arrays.
    """
    if device.kind == "emulated":
        return BLOCKS_ON_CPU
    bytes_a_block = 2 * 4 * ELEMENTS_A_BLOCK
    return -(-TIMES_L2 * device.arch.l2_bytes // bytes_a_block)


@dataclass(frozen=True)
class Cost:
    """One launch: its counters, its time, and the bytes that its task needs to move."""

    label: str
    report: Report
    timing: Timing
    useful_bytes: float  # read and written once, as the task needs
    step: str = ""  # the kernel's name, under which figures of it are recorded
    case: str = "large"  # and the recorded case to hold it against
    device: str = ""  # that it was timed on

    @property
    def gigabytes_per_s(self) -> float:
        """Useful bytes a second, in GB/s: what the user of the kernel gets."""
        return self.timing.gigabytes_per_s(self.useful_bytes)

    def sectors_a_request(self, direction: str) -> float:
        """Mean sectors of a load ("ld") or a store ("st")."""
        name = f"l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_{direction}.ratio"
        return self.report.counters[name]

    @property
    def requests(self) -> float:
        """Loads and stores that warps made."""
        return self._both("l1tex__t_requests_pipe_lsu_mem_global")

    @property
    def bytes_moved(self) -> float:
        """Bytes of all sectors that requests touched."""
        return SECTOR * self._both("l1tex__t_sectors_pipe_lsu_mem_global")

    @property
    def efficiency(self) -> float:
        """Bytes asked for over bytes moved."""
        moved = self.bytes_moved
        return self._both("smsp__sass_data_bytes_mem_global") / moved if moved else 0.0

    def _both(self, name: str) -> float:
        counters = self.report.counters
        return counters[f"{name}_op_ld.sum"] + counters[f"{name}_op_st.sum"]


def cost(
    device: Device,
    step: Step,
    *arguments: Any,
    useful_bytes: float,
    label: str = "",
    case: str = "large",
) -> Cost:
    """Profile and time the launch of ``step(device, *arguments)``.

    ``useful_bytes`` are what the task itself has to read and write. ``case`` is the recorded case
    that comes nearest. On the software GPU one run gives counters and time.
    """
    report = profile(device, step, *arguments)
    if device.kind == "emulated" and report.time_us is not None:
        timing = Timing.of([report.time_us], "modelled")
    else:
        timing = time(device, step, *arguments)
    name = step.__name__
    return Cost(label or name, report, timing, useful_bytes, name, case, device.name)


def cost_table(costs: Sequence[Cost], load: Load | None = None) -> Html:
    """Counters and times of ``costs``, beside recorded bandwidths when ``load`` gives a record.

    Raises ValueError when times are of different kinds.
    """
    kinds = {one.timing.kind for one in costs}
    if len(kinds) != 1:
        raise ValueError(f"one table holds times of one kind, not of {sorted(kinds)}")
    kind = kinds.pop()
    fastest = max(one.gigabytes_per_s for one in costs)
    found = [look_up(load, one.step, one.case) for one in costs] if load else []
    known = any(figure.value is not None for figure in found)
    head = ["", "requests", "sectors / load", "sectors / store", "asked / moved",
            f"time, {kind}", f"GB/s, {kind}", "", *["GB/s, recorded"] * known]  # fmt: skip
    rows, words = [], []
    for index, one in enumerate(costs):
        cells = [
            f"{one.requests:,.0f}",
            significant(one.sectors_a_request("ld")),
            significant(one.sectors_a_request("st")),
            f"{significant(one.efficiency * 100)} %",
            f"{significant(one.timing.median_us)} µs",
            significant(one.gigabytes_per_s),
        ]
        colour = BLUE if one.efficiency > 0.99 else ORANGE
        drawn = bar(one.gigabytes_per_s / fastest, colour, "110px")
        theirs = [found[index].shown] if known else []
        rows.append([f"<code>{escape(one.label)}</code>", *cells, drawn, *theirs])
        words.append("  ".join([one.label, *cells, *theirs]))
    notes = [f"Counters: {costs[0].report.device}. Times: {costs[0].device}, {kind}."]
    notes += dict.fromkeys(figure.note for figure in found)
    text = ["  ".join(name for name in head if name), *words, *notes]
    return Html(
        table(head, rows, numbers=(*range(1, 7), 8)) + "".join(faint(note) for note in notes),
        "\n".join(text),
    )


def cost_chart(title: str, costs: Sequence[Cost], load: Load) -> Live:
    """Bandwidths of ``costs`` as bars, beside the recorded ones."""
    figures: list[Figure] = []
    missing: dict[str, None] = {}
    for one in costs:
        kind: Kind = "measured" if one.timing.kind == "measured" else "modelled"
        figures.append(Figure(one.label, one.gigabytes_per_s, kind, one.device))
        theirs = look_up(load, one.step, one.case)
        if theirs.value is None:
            missing[theirs.note] = None
        else:
            recorded = (theirs.device, theirs.date, theirs.command)
            figures.append(Figure(one.label, theirs.value, "recorded", *recorded))
    return measured_beside_recorded(title, "GB/s", figures, notes=tuple(missing))
