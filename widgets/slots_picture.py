"""A scheduler's slots drawn over time: a row a warp, and below what the unit they share does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from widgets.look import BLUE, GREEN, GREY, ORANGE
from widgets.picture import WIDTH, live

ROW = 22  # pixels
WAITS = "rgba(128,128,128,0.22)"
UNIT = "unit"  # the lowest row's label


@dataclass(frozen=True)
class Slots:
    """What went when."""

    issued: tuple[tuple[float, int, int], ...]  # clock, warp, chain
    warps: int
    chains: int
    clocks: float  # that are drawn
    latency: float
    every: float  # clocks that each keeps the unit busy
    share: float  # of slots in use, once it is under way

    @property
    def idle(self) -> tuple[tuple[float, float], ...]:
        """(begin, clocks) of what nobody used."""
        found, free = [], 0.0
        for at, _, _ in self.issued:
            if at > free + 1e-9:
                found.append((free, at - free))
            free = at + self.every
        if free < self.clocks:
            found.append((free, self.clocks - free))
        return tuple(found)

    @property
    def waits(self) -> tuple[tuple[int, float, float], ...]:
        """(warp, begin, clocks) of a warp that has nothing to go, merged, within the picture."""
        found = []
        for warp in range(self.warps):
            mine = [(at, chain) for at, w, chain in self.issued if w == warp]
            for (at, _), after in zip(mine, [*mine[1:], None], strict=True):
                end = self.clocks if after is None else after[0]
                if end > at + self.every:
                    found.append((warp, at + self.every, end - at - self.every))
        return tuple(found)


def new_picture(slots: Slots) -> go.FigureWidget:
    """A picture of ``slots``; :func:`draw` changes it to another."""
    figure = go.Figure()
    for name, colour in (
        ("waits", WAITS), ("goes (number: its chain)", BLUE), ("in use", GREEN),
        ("idle", ORANGE),
    ):  # fmt: skip
        figure.add_bar(
            name=name, orientation="h", marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{customdata}<extra></extra>", textposition="inside",
            insidetextanchor="middle", textangle=0, textfont={"color": "#ffffff", "size": 11},
            constraintext="none",
        )  # fmt: skip
    figure.update_layout(
        barmode="overlay",
        bargap=0.18,
        width=WIDTH,
        margin={"l": 64, "r": 8, "t": 30, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
        xaxis={
            "showgrid": False, "zeroline": False, "fixedrange": True, "side": "bottom",
            "title": {"text": "clocks", "standoff": 4},
        },
        yaxis={
            "fixedrange": True, "showgrid": False, "type": "category", "ticks": "outside",
            "ticklen": 6, "tickcolor": "rgba(0,0,0,0)",
        },
        hovermode="closest",
    )  # fmt: skip
    draw(figure, slots)
    return live(figure)


def draw(figure: go.Figure, slots: Slots) -> None:
    """Show ``slots``, as one update."""
    rows = [UNIT, *(f"warp {w}" for w in reversed(range(slots.warps)))]
    gap = min(0.08 * slots.every, slots.clocks / 480)
    wide = slots.every / slots.clocks * WIDTH > 14  # a number fits
    traces: Any = figure.data
    waits, goes, used, idle = traces
    with figure.batch_update():
        _bars(waits, [(f"warp {w}", at, clocks) for w, at, clocks in slots.waits], gap)
        waits.customdata = [f"{clocks:.4g} clocks of waiting" for _, _, clocks in slots.waits]
        _bars(goes, [(f"warp {w}", at, slots.every) for at, w, _ in slots.issued], gap)
        goes.text = [str(chain) if wide and slots.chains > 1 else "" for *_, chain in slots.issued]
        said = [f"clock {at:.4g}: warp {w}, chain {c}" for at, w, c in slots.issued]
        goes.customdata = said
        _bars(used, [(UNIT, at, slots.every) for at, _, _ in slots.issued], gap)
        used.customdata = said
        _bars(idle, [(UNIT, at, clocks) for at, clocks in slots.idle], gap)
        idle.customdata = [f"idle for {clocks:.4g} clocks" for _, clocks in slots.idle]
        figure.layout.yaxis.categoryorder = "array"
        figure.layout.yaxis.categoryarray = rows
        figure.layout.yaxis.range = [-0.6, slots.warps + 0.6]
        figure.layout.xaxis.range = [0, slots.clocks]
        figure.layout.height = 84 + ROW * max(slots.warps + 1, 5)


def _bars(trace: Any, spans: list[tuple[str, float, float]], gap: float) -> None:
    """Bars over (row, begin, clocks)."""
    trace.y = [row for row, _, _ in spans]
    trace.base = [at + gap / 2 for _, at, _ in spans]
    trace.x = [max(clocks - gap, gap) for _, _, clocks in spans]


def svg(slots: Slots, width: int = WIDTH) -> str:
    """The same picture as static SVG."""
    left, scale = 64, (width - 72) / slots.clocks
    parts = []

    def span(row: int, at: float, clocks: float, colour: str) -> None:
        clocks = min(clocks, slots.clocks - at)
        parts.append(
            f'<rect x="{left + at * scale + 0.5:.1f}" y="{row * ROW + 3}" '
            f'width="{max(clocks * scale - 1, 1):.1f}" height="{ROW - 5}" fill="{colour}"/>'
        )

    for warp in range(slots.warps):
        parts.append(f'<text x="4" y="{warp * ROW + 16}" fill="{GREY}" font-size="12">'
                     f"warp {warp}</text>")  # fmt: skip
    parts.append(f'<text x="4" y="{slots.warps * ROW + 16}" fill="{GREY}" font-size="12">{UNIT}'
                 "</text>")  # fmt: skip
    for warp, at, clocks in slots.waits:
        span(warp, at, clocks, WAITS)
    for at, warp, _ in slots.issued:
        span(warp, at, slots.every, BLUE)
        span(slots.warps, at, slots.every, GREEN)
    for at, clocks in slots.idle:
        span(slots.warps, at, clocks, ORANGE)
    height = (slots.warps + 1) * ROW + 4
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" role="img" aria-label="{slots.warps} '
        f'warps of {slots.chains} chains; the unit is in use {slots.share:.0%} of the time">'
        f"{''.join(parts)}</svg>"
    )
