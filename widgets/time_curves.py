"""Times against a size, on logarithmic axes; rates on plain ones: recorded, or of this device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import ipywidgets
import plotly.graph_objects as go

from widgets.live import Html, Live
from widgets.look import GREY, faint, significant, table
from widgets.picture import WIDTH, live
from widgets.recorded import Origin

COLOURS = ("#009E73", "#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#56B4E9", "#777777")
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star")


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    label: str  # what ran
    points: Mapping[float, float]  # size -> microseconds, or a rate
    note: str = ""  # where it comes from
    style: int | None = None  # its colour; by its place in the chart unless given
    dashed: bool = False


class Selection(Protocol):
    """A recorded selection, as ``benchmarks.recorded`` has it."""

    @property
    def n(self) -> int: ...
    @property
    def k(self) -> int: ...
    @property
    def microseconds(self) -> Mapping[str, float]: ...


class Record(Protocol):
    """Recorded selections."""

    @property
    def origin(self) -> Origin: ...
    def series(self, **fixed: Any) -> Sequence[Selection]:
        """The points whose fields are as ``fixed`` says."""
        ...


Load = Callable[[], Record]  # raises LookupError when nothing is recorded


def recorded_curves(
    loads: Mapping[str, Load],
    against: str,
    named: Mapping[str, str],
    **fixed: Any,
) -> tuple[list[Curve], list[str]]:
    """Curves of all records in ``loads``, and words for each that is not there.

    ``loads`` has a record's words by which its curves are told apart, such as "our run"; those of
    the first are solid, others dashed. An implementation has one colour in all charts.
    ``against`` is "n" or "k"; ``named`` says which implementations are shown, and how they are
    called; ``fixed`` is what all points have in common.
    """
    curves: list[Curve] = []
    notes: list[str] = []
    for number, (words, load) in enumerate(loads.items()):
        try:
            record = load()
        except LookupError as missing:
            notes.append(f"{words}: not recorded. {missing}")
            continue
        points = record.series(**fixed)
        made = record.origin
        note = f"{words}: {made.device}, {made.date}, by: {made.command}"
        found = []
        for style, (name, label) in enumerate(named.items()):
            times = {
                getattr(p, against): p.microseconds[name] for p in points if name in p.microseconds
            }
            if times:
                whose = f"{label} ({words})" if len(loads) > 1 else label
                found.append(Curve(whose, times, note, style, number > 0))
        if not found:
            notes.append(f"{words}: no point of it is like these")
        curves += found
    return curves, notes


@dataclass(frozen=True)
class _Axes:
    across: str
    up: str
    logarithmic: bool


def time_curves(
    title: str, across: str, curves: Sequence[Curve], *, notes: Iterable[str] = ()
) -> Live | Html:
    """A chart of ``curves``, in microseconds; a sentence where there is none."""
    return _shown(title, _Axes(across, "µs", True), curves, notes)


def rate_curves(
    title: str, across: str, unit: str, curves: Sequence[Curve], *, notes: Iterable[str] = ()
) -> Live | Html:
    """The same of rates in ``unit``, such as "TFLOPS", from zero and in even steps."""
    return _shown(title, _Axes(across, unit, False), curves, notes)


def _shown(title: str, axes: _Axes, curves: Sequence[Curve], notes: Iterable[str]) -> Live | Html:
    below = list(dict.fromkeys([*(c.note for c in curves if c.note), *notes]))
    small = "".join(faint(note) for note in below)
    if not curves:
        return Html(faint(f"{title}: nothing is recorded yet.") + small, "\n".join([title, *below]))
    shown = ipywidgets.VBox([_chart(title, axes, curves), ipywidgets.HTML(small)])
    return Live(shown, lambda: static_table(title, axes.across, curves, axes.up) + small)


def _chart(title: str, axes: _Axes, curves: Sequence[Curve]) -> go.FigureWidget:
    figure = go.Figure()
    for place, curve in enumerate(curves):
        sizes = sorted(curve.points)
        i = place if curve.style is None else curve.style
        figure.add_scatter(
            name=curve.label, x=sizes, y=[curve.points[size] for size in sizes],
            mode="lines+markers",
            line={"color": COLOURS[i % len(COLOURS)], "dash": "dash" if curve.dashed else "solid"},
            marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 8},
            hovertemplate=f"%{{y:,.4g}} {axes.up} at %{{x:,}}<extra>{escape(curve.label)}</extra>",
        )  # fmt: skip
    sizes = sorted({size for curve in curves for size in curve.points})
    rule = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False, "fixedrange": True}
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0.0, "xanchor": "left"},
        width=WIDTH, height=440, margin={"l": 70, "r": 10, "t": 44, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        xaxis={"title": {"text": axes.across}, **rule},
        yaxis={"title": {"text": axes.up}, "rangemode": "tozero", **rule},
    )  # fmt: skip
    if axes.logarithmic:
        figure.layout.xaxis.update(type="log", tickvals=sizes, ticktext=list(map(power, sizes)))
        figure.layout.yaxis.update(type="log", dtick="D2")
    return live(figure)


def power(size: float) -> str:
    """A size, as a power of two where it is a large one."""
    whole = int(size)
    large = whole >= 2048 and whole & (whole - 1) == 0
    return f"2<sup>{whole.bit_length() - 1}</sup>" if large else f"{size:g}"


def static_table(title: str, across: str, curves: Sequence[Curve], unit: str = "µs") -> str:
    """The same as an HTML table."""
    sizes = sorted({size for curve in curves for size in curve.points})
    rows = [
        [escape(c.label), *(significant(c.points[s]) if s in c.points else "" for s in sizes)]
        for c in curves
    ]
    head = [f"{escape(unit)}, {escape(across)}", *map(power, sizes)]
    return f"<b>{escape(title)}</b>{table(head, rows, numbers=range(1, len(head)))}"
