"""A block's timeline drawn as swim lanes: warps, tensor cores and stages over modelled cycles."""

from __future__ import annotations

from html import escape
from typing import Any

import plotly.graph_objects as go

from emulator.timeline import (
    FILLING,
    FULL,
    PRODUCTS,
    READ,
    RUNS,
    STORES,
    WAITS_FOR_BARRIER,
    WAITS_FOR_COPIES,
    WAITS_FOR_DATA,
    WAITS_FOR_PRODUCTS,
    WAITS_FOR_ROOM,
    Interval,
    Lane,
    Timeline,
)
from widgets.look import BLUE, GREEN, GREY, ORANGE, SKY
from widgets.picture import WIDTH, live

ROW = 24  # pixels
LEFT = 176  # of the lanes' names
COLOURS = {
    RUNS: BLUE,
    WAITS_FOR_DATA: ORANGE,
    WAITS_FOR_ROOM: "#F5D999",
    WAITS_FOR_PRODUCTS: "#99D8C7",
    WAITS_FOR_COPIES: "#E3B5D0",
    WAITS_FOR_BARRIER: "#BBBBBB",
    PRODUCTS: GREEN,
    STORES: "#CC79A7",
    FILLING: "#B3DCF5",
    FULL: SKY,
    READ: GREEN,
}
NUMBERED = {PRODUCTS: "#ffffff", FILLING: "#333333"}  # a group's or a turn's number is on them
DIGIT = 8  # pixels


def window(found: Timeline, at: int, zoom: int) -> tuple[float, float]:
    """The cycles to show: one ``zoom``-th of all, with ``at`` in the middle where that goes."""
    span = max(found.cycles, 1) / zoom
    begin = min(max(at - span / 2, 0.0), found.cycles - span)
    return begin, begin + span


def new_picture(found: Timeline, at: int = 0, zoom: int = 1) -> go.FigureWidget:
    """A picture of a timeline; :func:`draw` and :func:`move` change it."""
    figure = go.Figure()
    for kind, colour in COLOURS.items():
        figure.add_bar(
            name=kind, orientation="h", marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{customdata}<extra></extra>", textposition="inside",
            insidetextanchor="middle", textangle=0,
            textfont={"color": NUMBERED.get(kind, GREY), "size": 11},
            constraintext="none",
        )  # fmt: skip
    figure.update_layout(
        barmode="overlay",
        bargap=0.22,
        width=WIDTH,
        margin={"l": LEFT, "r": 10, "t": 52, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom",
            "itemclick": False, "itemdoubleclick": False,
        },
        xaxis={
            "showgrid": False, "zeroline": False, "fixedrange": True, "side": "bottom",
            "title": {"text": "modelled cycles", "standoff": 4},
        },
        yaxis={
            "fixedrange": True, "showgrid": False, "type": "category", "ticks": "outside",
            "ticklen": 6, "tickcolor": "rgba(0,0,0,0)",
        },
        hovermode="closest",
    )  # fmt: skip
    draw(figure, found, at, zoom)
    return live(figure)


def draw(figure: go.Figure, found: Timeline, at: int, zoom: int) -> None:
    """Show a timeline, as one update."""
    rows = [lane.name for lane in reversed(found.lanes)]
    traces: Any = figure.data
    with figure.batch_update():
        for trace in traces:
            bars = [
                (lane, one)
                for lane in found.lanes
                for one in lane.intervals
                if one.kind == trace.name
            ]
            trace.y = [lane.name for lane, _ in bars]
            trace.base = [one.begin for _, one in bars]
            trace.x = [one.cycles for _, one in bars]
            trace.customdata = [hover(lane, one) for lane, one in bars]
            trace.showlegend = bool(bars)
        figure.layout.yaxis.categoryorder = "array"
        figure.layout.yaxis.categoryarray = rows
        figure.layout.yaxis.range = [-0.6, len(rows) - 0.4]
        figure.layout.height = 96 + ROW * max(len(rows), 4)
        place(figure, found, at, zoom)


def move(figure: go.Figure, found: Timeline, at: int, zoom: int) -> None:
    """Go to another cycle or closer, as one update."""
    with figure.batch_update():
        place(figure, found, at, zoom)


def place(figure: go.Figure, found: Timeline, at: int, zoom: int) -> None:
    """The part that is shown, the line at a cycle, and the numbers that fit onto their bars."""
    begin, end = window(found, at, zoom)
    figure.layout.xaxis.range = [begin, end]
    figure.layout.shapes = [
        {
            "type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": GREY, "width": 2, "dash": "dot"},
        }
    ]  # fmt: skip
    pixel = (end - begin) / (WIDTH - LEFT - 10)
    traces: Any = figure.data
    for trace in traces:
        if trace.name in NUMBERED:
            bars = [o for lane in found.lanes for o in lane.intervals if o.kind == trace.name]
            trace.text = [label(one) if one.cycles / pixel > 3 * DIGIT else "" for one in bars]


def label(one: Interval) -> str:
    """A short word for a bar: a group's number, a turn's number."""
    head = one.what.split(":")[0]
    return head.rsplit(" ", 1)[-1] if one.kind in NUMBERED else ""


def hover(lane: Lane, one: Interval) -> str:
    """What is said of a bar when the pointer is on it."""
    said = [
        f"<b>{escape(lane.name)}</b>",
        escape(one.what),
        f"{one.kind}, {one.cycles:,} cycles, from {one.begin:,} to {one.end:,}",
    ]
    if one.line:
        said.append(f"line {one.line}: {escape(one.source_text)}")
    return "<br>".join(said)


def svg(found: Timeline, at: int, zoom: int, width: int = WIDTH) -> str:
    """The same picture as static SVG."""
    begin, end = window(found, at, zoom)
    scale = (width - LEFT - 10) / (end - begin)
    parts = []
    for row, lane in enumerate(found.lanes):
        parts.append(
            f'<text x="4" y="{row * ROW + 16}" fill="{GREY}" font-size="12">'
            f"{escape(lane.name)}</text>"
        )
        for one in lane.intervals:
            if one.end <= begin or one.begin >= end:
                continue
            left = LEFT + (max(one.begin, begin) - begin) * scale
            wide = (min(one.end, end) - max(one.begin, begin)) * scale
            parts.append(
                f'<rect x="{left:.1f}" y="{row * ROW + 3}" width="{max(wide, 0.5):.1f}" '
                f'height="{ROW - 6}" fill="{COLOURS[one.kind]}"><title>{escape(one.what)}'
                "</title></rect>"
            )
    high = len(found.lanes) * ROW
    x = LEFT + (at - begin) * scale
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{high}" stroke="{GREY}"/>')
    shown = [k for k in COLOURS if any(o.kind == k for lane in found.lanes for o in lane.intervals)]
    for index, kind in enumerate(shown):
        left, top = 4 + index % 6 * 158, high + 8 + index // 6 * 18
        parts.append(
            f'<rect x="{left}" y="{top}" width="12" height="12" fill="{COLOURS[kind]}"/>'
            f'<text x="{left + 17}" y="{top + 11}" fill="{GREY}" font-size="12">{kind}</text>'
        )
    height = high + 12 + 18 * -(-len(shown) // 6)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" role="img" '
        f'aria-label="{len(found.lanes)} lanes of block {found.block} of {escape(found.kernel)} '
        f'over {found.cycles} cycles">'
        f"{''.join(parts)}</svg>"
    )
