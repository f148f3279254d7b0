"""A roofline: what a chip can do at most for each byte that has to come, and what kernels reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, Protocol

import ipywidgets
import numpy as np
import plotly.graph_objects as go

from emulator import H100, Arch, Report
from emulator.counting import metrics
from widgets.live import Live
from widgets.look import BLUE, GREEN, GREY, ORANGE, SKY, bar, faint, significant, table
from widgets.picture import WIDTH, keep, live
from widgets.recorded import COLOURS, Kind, Origin

Unit = Literal["FP32", "tensor, f16"]
SYMBOLS: dict[Kind, str] = {"measured": "circle", "modelled": "diamond", "recorded": "square"}
LEVELS = ("DRAM", "L2")
NEAR = 0.12  # powers of ten: points that cannot be told apart
SECTOR = 32  # bytes
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Point:
    """A kernel on one input."""

    label: str
    flops: float  # that the task takes, whatever was executed
    us: float
    kind: Kind
    dram_bytes: float
    l2_bytes: float | None = None  # None where nobody counted them
    unit: Unit = "FP32"
    device: str = ""

    @property
    def teraflops(self) -> float:
        """FLOP a second, in 10^12."""
        return self.flops / self.us / 1e6

    def nbytes(self, level: str) -> float | None:
        """Bytes that came from ``level``, or went there."""
        return self.dram_bytes if level == "DRAM" else self.l2_bytes


def ceilings(arch: Arch) -> dict[Unit, float]:
    """TFLOPS that each unit does at most, at the table's clock."""
    tensor = float(arch.tensor_flops_per_clock) * arch.sm_count * arch.clock_hz
    return {"FP32": arch.fp32_flops / 1e12, "tensor, f16": tensor / 1e12}


def slopes(arch: Arch) -> dict[str, float]:
    """TB/s that each level delivers; DRAM's is what a copy reaches."""
    return {
        "DRAM": arch.dram_bytes_per_s * arch.dram_efficiency / 1e12,
        "L2": arch.l2_bytes_per_clock * arch.clock_hz / 1e12,
    }


def roof(arch: Arch, unit: Unit, level: str, intensity: float) -> float:
    """TFLOPS at most with ``intensity`` FLOP for each byte from ``level``."""
    return min(ceilings(arch)[unit], slopes(arch)[level] * intensity)


def point_of(report: Report, label: str, flops: float, unit: Unit = "FP32") -> Point:
    """What a profiled launch reached. Raises ValueError for a report without a time."""
    if report.time_us is None:
        raise ValueError(f"the report of {report.kernel} has no time; profile it on a device")
    found = report.counters
    return Point(
        label, flops, report.time_us, "measured" if report.time_kind == "measured" else "modelled",
        found[metrics.DRAM_READ] + found[metrics.DRAM_WRITTEN],
        SECTOR * found[metrics.L2_SECTORS], unit, report.device,
    )  # fmt: skip


class Roofline(Live):
    """The widget: which bytes are counted; the plot; a table."""

    def __init__(self, points: Sequence[Point], arch: Arch, notes: Sequence[str]) -> None:
        self.points, self.arch, self.notes = tuple(points), arch, tuple(notes)
        self.level = ipywidgets.ToggleButtons(options=LEVELS, description="Bytes from")
        self.figure = _new_figure(self)
        self.numbers = ipywidgets.HTML(self._numbers())
        self.numbers.add_class("coalesce-roofline")
        self.level.observe(self._update, names="value")
        super().__init__(
            ipywidgets.VBox([self.level, self.figure, self.numbers]),
            lambda: f"<b>{escape(_title(arch))}</b>" + self._numbers(),
        )

    @property
    def shown(self) -> list[tuple[Point, float]]:
        """(point, FLOP a byte) of those whose bytes from the chosen level are known."""
        found = ((p, p.nbytes(self.level.value)) for p in self.points)
        return [(p, p.flops / nbytes) for p, nbytes in found if nbytes]

    def _update(self, _: Any) -> None:
        _draw(self.figure, self)
        keep(self.figure)
        self.numbers.value = self._numbers()

    def _numbers(self) -> str:
        level = self.level.value
        rows = []
        for number, (p, intensity) in enumerate(self.shown, 1):
            most = roof(self.arch, p.unit, level, intensity)
            bound = "memory" if most < ceilings(self.arch)[p.unit] else p.unit
            cells = [
                str(number), escape(p.label), significant(intensity), significant(most), bound,
                significant(p.teraflops), f"{p.teraflops / most:.1%}",
                bar(p.teraflops / most, COLOURS[p.kind]), p.kind,
            ]  # fmt: skip
            rows.append(
                [cell.replace(" ", "\u00a0") if "<" not in cell else cell for cell in cells]
            )
        head = [
            "", "", f"FLOP a {level} byte", "roof, TFLOPS", "set by", "TFLOPS", "of the roof",
            "", "",
        ]  # fmt: skip
        left = len(self.points) - len(rows)
        notes = list(self.notes)
        if left:
            notes.append(f"{left} without a count of bytes from {level} are left out.")
        notes += dict.fromkeys(f"{p.kind.title()}: {p.device}." for p, _ in self.shown if p.device)
        notes.append(f"Roofs: {self.arch.name}, by the chip's table.")
        return table(head, rows, numbers=(2, 3, 5, 6)) + "".join(faint(n) for n in notes)


def _title(arch: Arch) -> str:
    return f"Roofline, {arch.name}"


def _new_figure(widget: Roofline) -> go.FigureWidget:
    figure = go.Figure()
    for level, colour in zip(LEVELS, (BLUE, SKY), strict=True):
        figure.add_scatter(mode="lines", name=f"{level}", line={"color": colour, "width": 2})
    for colour, unit in ((ORANGE, "FP32"), (GREEN, "tensor, f16")):
        figure.add_scatter(mode="lines", name=unit, line={"color": colour, "width": 2})
    figure.add_scatter(
        mode="markers+text", textposition="middle right", textfont={"size": 14}, showlegend=False
    )
    figure.update_layout(
        title={"text": _title(widget.arch), "font": {"size": 15}, "x": 0.0, "xanchor": "left"},
        width=WIDTH, height=430, margin={"l": 60, "r": 20, "t": 60, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13}, hovermode="closest",
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
    )  # fmt: skip
    line = {"type": "log", "gridcolor": "rgba(128,128,128,0.25)", "dtick": 1, "fixedrange": True}
    figure.update_layout(
        xaxis={**line, "title": {"text": "FLOP a byte", "standoff": 4}},
        yaxis={**line, "title": {"text": "TFLOPS", "standoff": 4}},
    )
    _draw(figure, widget)
    return live(figure)


def numbers_of(shown: Sequence[tuple[Point, float]]) -> list[str]:
    """What to write beside each point: its number; the first has those of all that lie on it."""
    groups: list[list[int]] = []
    for i, (p, x) in enumerate(shown):
        for group in groups:
            q, at = shown[group[0]]
            if abs(np.log10(p.teraflops / q.teraflops)) < NEAR and abs(np.log10(x / at)) < NEAR:
                group.append(i)
                break
        else:
            groups.append([i])
    text = [""] * len(shown)
    for group in groups:
        text[group[0]] = " " + ", ".join(str(i + 1) for i in group)
    return text


def _draw(figure: go.Figure, widget: Roofline) -> None:
    """Lines over the range that the points need, and the points of the chosen level."""
    arch, shown = widget.arch, widget.shown
    tops = ceilings(arch)
    low = min([1.0, *(x / 2 for _, x in shown)])
    high = max([10_000.0, *(2 * x for _, x in shown)])
    floor = min([0.1, *(p.teraflops / 2 for p, _ in shown)])
    span = np.geomspace(low, high, 3)
    traces: Any = figure.data
    with figure.batch_update():
        for trace, level in zip(traces[:2], LEVELS, strict=True):
            corner = max(tops.values()) / slopes(arch)[level]
            trace.x = [low, corner]
            trace.y = [slopes(arch)[level] * x for x in (low, corner)]
            trace.name = f"{level}, {significant(slopes(arch)[level])} TB/s"
            trace.line.dash = "solid" if level == widget.level.value else "dot"
        for trace, (unit, top) in zip(traces[2:4], tops.items(), strict=True):
            begin = top / max(slopes(arch).values())
            xs = [begin, *(float(x) for x in span if x > begin)]
            trace.x, trace.y = xs, [top] * len(xs)
            trace.name = f"{unit}, {significant(top)} TFLOPS"
        dots = traces[4]
        dots.x = [x for _, x in shown]
        dots.y = [p.teraflops for p, _ in shown]
        dots.text = numbers_of(shown)
        dots.customdata = [escape(p.label) for p, _ in shown]
        dots.marker = {
            "size": 11,
            "color": [COLOURS[p.kind] for p, _ in shown],
            "symbol": [SYMBOLS[p.kind] for p, _ in shown],
            "line": {"width": 1, "color": GREY},
        }
        dots.hovertemplate = "%{customdata}: %{y:.3g} TFLOPS at %{x:.3g} FLOP a byte<extra></extra>"
        figure.layout.xaxis.range = [float(np.log10(low)), float(np.log10(high))]
        figure.layout.yaxis.range = [
            float(np.log10(floor)), float(np.log10(2 * max(tops.values())))
        ]  # fmt: skip


def roofline(points: Sequence[Point], arch: Arch = H100, *, notes: Sequence[str] = ()) -> Roofline:
    """Points under the roofs of ``arch``; ``notes`` are shown below."""
    return Roofline(points, arch, notes)


class Product(Protocol):
    """A recorded product, as ``benchmarks.recorded`` has it."""

    @property
    def m(self) -> int: ...
    @property
    def n(self) -> int: ...
    @property
    def k(self) -> int: ...
    @property
    def median_us(self) -> float: ...


class Record(Protocol):
    """Recorded products."""

    @property
    def origin(self) -> Origin: ...

    def step(self, name: str, size: int, dtype: str, /) -> Product:
        """A figure; LookupError when there is none."""
        ...


def recorded_points(
    load: Callable[[], Record], steps: Mapping[str, Unit], size: int
) -> tuple[list[Point], list[str]]:
    """Recorded products of ``size``^3 by step, and notes: their origin, and what is missing.

    Their bytes from DRAM are A, B and C once, which is the least; nobody counted more.
    """
    try:
        record = load()
    except LookupError as missing:
        return [], [f"No H100 figure is recorded yet. {missing}"]
    made = record.origin
    points = []
    notes = [
        f"Recorded: {made.device}, {made.date}, by: {made.command}. Their bytes are A, B and C "
        "once."
    ]
    for name, unit in steps.items():
        wide, dtype = (4, "float32") if unit == "FP32" else (2, "float16")
        try:
            one = record.step(name, size, dtype)
        except LookupError as missing:
            notes.append(f"Not recorded: {missing}")
            continue
        least = wide * (one.m * one.k + one.k * one.n + one.m * one.n)
        flops = 2.0 * one.m * one.n * one.k
        points.append(
            Point(f"{name}, {size:,}³", flops, one.median_us, "recorded", least, None, unit,
                  made.device)
        )  # fmt: skip
    return points, notes
