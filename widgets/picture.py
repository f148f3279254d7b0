"""One warp's access drawn: 32 lanes above, the memory that they touch below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from widgets.look import BLUE, GREY, ORANGE

SECTOR = 32  # bytes
LANES_Y, MEMORY_Y = 1.0, 0.26  # the lanes' row and the memory band's upper edge
WIDTH = 960  # pixels


@dataclass(frozen=True)
class Touch:
    """What one request of a warp touched. Places are bytes from the start of the array."""

    element_bytes: int
    offset: int  # elements
    stride: int  # elements
    places: tuple[int, ...]  # one a lane: where its element begins
    requests: float
    sectors: float
    bytes_asked: float

    @property
    def bytes_moved(self) -> float:
        """Whole sectors move, whatever was asked for."""
        return self.sectors * SECTOR

    @property
    def efficiency(self) -> float:
        """Bytes asked for over bytes moved, 0 to 1."""
        return self.bytes_asked / self.bytes_moved if self.sectors else 0.0

    @property
    def touched(self) -> dict[int, list[int]]:
        """Sector number -> the lanes whose elements lie in it."""
        found: dict[int, list[int]] = {}
        for lane, place in enumerate(self.places):
            for sector in range(place // SECTOR, (place + self.element_bytes - 1) // SECTOR + 1):
                found.setdefault(sector, []).append(lane)
        return found

    @property
    def sectors_drawn(self) -> int:
        """Sectors from the array's start on; at least eight, to have some to compare."""
        return max(max(self.touched) + 1, 8)


def new_picture(touch: Touch) -> go.FigureWidget:
    """A picture of ``touch``; :func:`draw` changes it to another."""
    figure = go.Figure()
    figure.add_bar(
        name="not touched",
        marker={
            "color": "rgba(128,128,128,0.10)",
            "line": {"color": "rgba(128,128,128,0.6)", "width": 1},
        },
        hoverinfo="skip",
    )
    figure.add_bar(
        name="moved, not asked for",
        marker={"color": ORANGE, "line": {"width": 0}},
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.add_bar(name="asked for", marker={"color": BLUE, "line": {"width": 0}}, hoverinfo="skip")
    figure.add_scatter(
        mode="lines",
        line={"color": "rgba(128,128,128,0.75)", "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        mode="markers+text", showlegend=False,
        marker={"symbol": "square", "size": 21, "color": BLUE, "line": {"width": 0}},
        textfont={"color": "#ffffff", "size": 11},
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        barmode="overlay",
        width=WIDTH,
        height=250,
        margin={"l": 8, "r": 8, "t": 30, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={
            "showgrid": False, "zeroline": False, "fixedrange": True, "tick0": 0,
            "title": {"text": "memory: bytes from the array's start", "standoff": 4},
        },
        yaxis={"visible": False, "range": [-0.02, 1.12], "fixedrange": True},
        hovermode="closest",
    )  # fmt: skip
    draw(figure, touch)
    return live(figure)


def live(figure: go.Figure) -> go.FigureWidget:
    """The figure as a widget without the tool bar."""
    widget = go.FigureWidget(figure)
    widget._config = {**widget._config, "displayModeBar": False}
    return widget


def keep(widget: go.FigureWidget) -> None:
    """Make what is shown what a page shows when it is opened or loaded again.

    plotly's widget sends changes to the pages there are, and brings its own state up to date only
    when it makes its MIME bundle, which a box that holds it does not ask for.
    """
    widget._repr_mimebundle_()


def draw(figure: go.Figure, touch: Touch) -> None:
    """Show ``touch``, as one update."""
    high = touch.sectors_drawn * SECTOR
    touched = touch.touched
    size = touch.element_bytes
    gap = _gap(high)
    drawn = range(touch.sectors_drawn)
    middles = _lane_places(high)
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for lane, place in enumerate(touch.places):
        lines_x += [middles[lane], place + size / 2, None]
        lines_y += [LANES_Y - 0.06, MEMORY_Y, None]
    traces: Any = figure.data
    untouched, moved, asked, lines, lanes = traces
    with figure.batch_update():
        _bars(untouched, [(s * SECTOR, SECTOR) for s in drawn if s not in touched], gap)
        _bars(moved, [(sector * SECTOR, SECTOR) for sector in sorted(touched)], gap)
        moved.customdata = [_say_sector(s, touched[s], size) for s in sorted(touched)]
        _bars(asked, [(place, size) for place in sorted(set(touch.places))], gap)
        lines.x, lines.y = lines_x, lines_y
        lanes.x, lanes.y = middles, [LANES_Y] * len(middles)
        lanes.text = [str(lane) for lane in range(len(middles))]
        lanes.customdata = [
            f"lane {lane}: bytes {place} to {place + size - 1}"
            for lane, place in enumerate(touch.places)
        ]
        figure.layout.xaxis.range = [0, high]
        figure.layout.xaxis.dtick = _tick(high)


def _bars(trace: Any, spans: Sequence[tuple[int, int]], gap: float) -> None:
    """Bars over (start, bytes)."""
    edges = [_inside(start, width, gap) for start, width in spans]
    trace.x = [(low + high) / 2 for low, high in edges]
    trace.y = [MEMORY_Y] * len(edges)
    trace.width = [high - low for low, high in edges]


def _inside(start: int, width: int, gap: float) -> tuple[float, float]:
    """A span's ends, kept clear of the edges of its sector so that sectors can be told apart."""
    sector = start // SECTOR * SECTOR
    low = max(float(start), sector + gap / 2)
    return low, min(float(start + width), sector + SECTOR - gap / 2)


def _gap(span: int) -> float:
    """Bytes between two sectors: about three pixels."""
    return min(span / 320, SECTOR / 5)


def _lane_places(span: int) -> list[float]:
    return [span / 32 * (lane + 0.5) for lane in range(32)]


def _tick(span: int) -> int:
    """Bytes between labels: whole sectors, at most sixteen labels."""
    tick = SECTOR
    while span / tick > 16:
        tick *= 2
    return tick


def _say_sector(sector: int, lanes: Sequence[int], size: int) -> str:
    used = min(len(set(lanes)) * size, SECTOR)
    who = f"lane {lanes[0]}" if len(lanes) == 1 else f"lanes {lanes[0]} to {lanes[-1]}"
    start = sector * SECTOR
    return f"sector {sector}: bytes {start} to {start + SECTOR - 1}<br>{who}, {used} bytes of 32"


def svg(touch: Touch, width: int = WIDTH) -> str:
    """The same picture as static SVG."""
    high = touch.sectors_drawn * SECTOR
    gap = _gap(high)
    top, band, foot = 26, 110, 150

    def span(start: int, nbytes: int, style: str) -> str:
        left, right = (edge / high * width for edge in _inside(start, nbytes, gap))
        return (
            f'<rect x="{left:.1f}" width="{right - left:.1f}" y="{band}" '
            f'height="{foot - band}" {style}/>'
        )

    parts = [
        span(s * SECTOR, SECTOR, f'fill="{ORANGE}"' if s in touch.touched else
             f'fill="none" stroke="{GREY}" stroke-width="0.5"')
        for s in range(touch.sectors_drawn)
    ]  # fmt: skip
    size = touch.element_bytes
    parts += [span(place, size, f'fill="{BLUE}"') for place in sorted(set(touch.places))]
    for lane, place in enumerate(touch.places):
        x = _lane_places(high)[lane] / high * width
        parts += [
            f'<line x1="{x:.1f}" y1="{top}" x2="{(place + size / 2) / high * width:.1f}" '
            f'y2="{band}" stroke="{GREY}"/>',
            f'<rect x="{x - 10:.1f}" y="{top - 20}" width="20" height="20" fill="{BLUE}"/>',
            f'<text x="{x:.1f}" y="{top - 6}" fill="white" font-size="11" '
            f'text-anchor="middle">{lane}</text>',
        ]
    return (
        f'<svg viewBox="0 0 {width} {foot + 4}" width="100%" role="img" aria-label="32 lanes and '
        f'the {len(touch.touched)} sectors that they touch">{"".join(parts)}</svg>'
    )
