"""This device's figures beside recorded ones, each with where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, Protocol

import ipywidgets
import plotly.graph_objects as go

from widgets.live import Live
from widgets.look import BLUE, GREEN, GREY, SKY, bar, faint, significant, table
from widgets.picture import WIDTH, live

Kind = Literal["measured", "modelled", "recorded"]
COLOURS: dict[Kind, str] = {"measured": GREEN, "modelled": BLUE, "recorded": SKY}
# A modelled or a recorded bar is hatched, so that a measured one can be told without colour.
HATCH: dict[Kind, str] = {"measured": "", "modelled": "/", "recorded": "."}


@dataclass(frozen=True)
class Figure:
    """One number of a chart and its origin."""

    label: str  # what was run
    value: float
    kind: Kind
    device: str
    date: str = ""  # when it was recorded
    command: str = ""  # what recorded it

    @property
    def origin(self) -> str:
        """The series that the figure belongs to."""
        return f"{self.device}, {self.kind}" + (f" {self.date}" if self.date else "")


class _Bandwidth(Protocol):
    @property
    def gigabytes_per_s(self) -> float: ...


class Origin(Protocol):
    """What made a record."""

    @property
    def device(self) -> str: ...
    @property
    def date(self) -> str: ...
    @property
    def command(self) -> str: ...


class Record(Protocol):
    """Recorded bandwidths of kernels, as ``benchmarks.recorded`` has them."""

    @property
    def origin(self) -> Origin: ...

    def kernel(self, name: str, case: str, /) -> _Bandwidth:
        """The figure of a kernel in a case; LookupError when there is none."""
        ...


Load = Callable[[], Record]  # raises LookupError when nothing is recorded


@dataclass(frozen=True)
class LookedUp:
    """A recorded bandwidth, or why there is none."""

    value: float | None  # GB/s
    note: str  # where it comes from, or what is missing
    device: str = ""
    date: str = ""
    command: str = ""

    @property
    def shown(self) -> str:
        """The value for a table."""
        return "" if self.value is None else significant(self.value)


def look_up(load: Load, name: str, case: str) -> LookedUp:
    """The recorded bandwidth of a kernel. What is not recorded is said, not raised."""
    try:
        record = load()
        value = record.kernel(name, case).gigabytes_per_s
    except LookupError as missing:
        return LookedUp(None, f"Not recorded: {missing}")
    made = record.origin
    note = f"Recorded: {made.device}, {made.date}, by: {made.command}"
    return LookedUp(value, note, made.device, made.date, made.command)


def measured_beside_recorded(
    title: str, unit: str, figures: Sequence[Figure], *, notes: Sequence[str] = ()
) -> Live:
    """A bar chart of ``figures`` in ``unit``, grouped by label, one series an origin.

    ``notes`` are shown below it, after the commands that recorded what is recorded.
    Raises ValueError when there are no figures, or two of one label and origin.
    """
    if not figures:
        raise ValueError("no figures to show: give at least one Figure")
    keys = [(figure.label, figure.origin) for figure in figures]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        label, origin = min(twice)
        raise ValueError(f"two figures for {label!r} from {origin!r}: give one")
    below = _commands(figures) + "".join(faint(note) for note in notes)
    shown = ipywidgets.VBox([_chart(title, unit, figures), ipywidgets.HTML(below)])
    return Live(shown, lambda: static_chart(title, unit, figures) + below)


def _chart(title: str, unit: str, figures: Sequence[Figure]) -> go.FigureWidget:
    chart = go.Figure()
    labels = list(dict.fromkeys(figure.label for figure in figures))
    # Plotly draws from the bottom up.
    for origin in reversed(list(dict.fromkeys(figure.origin for figure in figures))):
        series = [figure for figure in figures if figure.origin == origin]
        kind = series[0].kind
        chart.add_bar(
            name=origin,
            y=[figure.label for figure in series],
            x=[figure.value for figure in series],
            orientation="h",
            marker={
                "color": COLOURS[kind],
                "pattern": {"shape": HATCH[kind], "fgcolor": "rgba(255,255,255,0.55)", "size": 6},
            },
            text=[significant(figure.value) for figure in series],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,.4g} " + unit + "<extra>" + escape(origin) + "</extra>",
        )
    origins = len({figure.origin for figure in figures})
    chart.update_layout(
        title={"text": f"{title} ({unit})", "font": {"size": 15}, "x": 0.0, "xanchor": "left"},
        width=WIDTH,
        barmode="group",
        bargap=0.3,
        height=84 + 22 * origins + 26 * origins * len(labels) + 14 * len(labels),
        margin={"l": 10, "r": 70, "t": 44 + 22 * origins, "b": 30},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={
            "orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "traceorder": "reversed"
        },
        xaxis={"gridcolor": "rgba(128,128,128,0.25)", "rangemode": "tozero"},
        yaxis={
            "categoryorder": "array", "categoryarray": labels[::-1], "automargin": True,
            "ticklabelstandoff": 8,
        },
    )  # fmt: skip
    return live(chart)


def static_chart(title: str, unit: str, figures: Sequence[Figure]) -> str:
    """The same as an HTML table with bars."""
    most = max(figure.value for figure in figures) or 1.0
    rows = [
        [
            escape(figure.label),
            significant(figure.value),
            bar(figure.value / most, COLOURS[figure.kind], "220px"),
            escape(figure.origin),
        ]
        for figure in figures
    ]
    head = ["", escape(unit), "", "device"]
    return f"<b>{escape(title)}</b>{table(head, rows, numbers=(1,))}"


def _commands(figures: Sequence[Figure]) -> str:
    """What recorded the recorded ones."""
    made = dict.fromkeys(f"{f.origin}, by: {f.command}" for f in figures if f.command)
    return "".join(faint(command) for command in made)
