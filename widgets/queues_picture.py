"""A warp's queues drawn: what arrives above, thread queues in the middle, the warp queue below."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from widgets.look import BLUE, GREEN, GREY, ORANGE, SKY
from widgets.picture import WIDTH, live
from widgets.selection import LANES, QueueStep

ROW = 24  # pixels
EMPTY = "rgba(128,128,128,0.12)"
NO = "#808080"  # arrived, and not good enough
LEFT = 92  # pixels: the rows' names
LEGEND = (
    (NO, "not good enough"), (ORANGE, "goes into its thread's queue"), (BLUE, "in a queue"),
    (GREEN, "kept, and one of the best 32 of all"), (SKY, "kept for now"),
)  # fmt: skip


def rows(step: QueueStep, length: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """From above: a row's name, and of each lane a colour and a text."""
    arrived = [
        (ORANGE if passes else NO, str(one + 1))
        for one, passes in zip(step.arrived, step.passed, strict=True)
    ]
    made = [("arrives", arrived)]
    for place in range(length):
        cells = []
        for queue, passes in zip(step.queues, step.passed, strict=True):
            if place >= len(queue):
                cells.append((EMPTY, ""))
            else:
                new = passes and place == len(queue) - 1
                cells.append((ORANGE if new else BLUE, str(queue[place] + 1)))
        made.append((f"queue, {place + 1}", cells))
    kept = [(GREEN if one < LANES else SKY, str(one + 1)) for one in step.kept]
    made.append(("warp queue", kept + [(EMPTY, "")] * (LANES - len(kept))))
    return made


def new_picture(step: QueueStep, length: int) -> go.FigureWidget:
    """A picture of ``step``; :func:`draw` changes it to another."""
    figure = go.Figure()
    figure.add_scatter(
        mode="markers+text", showlegend=False, hoverinfo="skip",
        marker={"symbol": "square", "size": 23, "line": {"width": 0}},
        textfont={"color": "#ffffff", "size": 9},
    )  # fmt: skip
    for colour, name in LEGEND:
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name,
            marker={"symbol": "square", "size": 12, "color": colour},
        )  # fmt: skip
    figure.update_layout(
        width=WIDTH, margin={"l": LEFT, "r": 4, "t": 34, "b": 24},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
        xaxis={
            "fixedrange": True, "showgrid": False, "zeroline": False, "range": [-0.6, 31.6],
            "dtick": 4, "title": {"text": "lane", "standoff": 2},
        },
        yaxis={"fixedrange": True, "showgrid": False, "zeroline": False},
    )  # fmt: skip
    draw(figure, step, length)
    return live(figure)


def draw(figure: go.Figure, step: QueueStep, length: int) -> None:
    """Show ``step``, as one update."""
    made = rows(step, length)
    cells: Any = figure.data[0]
    with figure.batch_update():
        cells.x = [lane for _, row in made for lane in range(len(row))]
        cells.y = [-place for place, (_, row) in enumerate(made) for _ in row]
        cells.marker.color = [colour for _, row in made for colour, _ in row]
        # A point that ever had no text gets none later: plotly.js takes its element away.
        cells.text = [text or "\u00a0" for _, row in made for _, text in row]
        figure.layout.yaxis.tickvals = [-place for place in range(len(made))]
        figure.layout.yaxis.ticktext = [name for name, _ in made]
        figure.layout.yaxis.range = [0.6 - len(made), 0.6]
        figure.layout.height = 84 + (ROW + 8) * len(made)


def svg(step: QueueStep, length: int, width: int = WIDTH) -> str:
    """The same picture as static SVG."""
    made = rows(step, length)
    cell = (width - LEFT) / LANES
    parts = []
    for place, (name, row) in enumerate(made):
        y = 4 + place * ROW
        parts.append(f'<text x="2" y="{y + 15}" fill="{GREY}" font-size="12">{name}</text>')
        for lane, (colour, text) in enumerate(row):
            x = LEFT + lane * cell
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{cell - 2:.1f}" height="{ROW - 4}" '
                         f'fill="{colour}"/>')  # fmt: skip
            if text:
                parts.append(f'<text x="{x + cell / 2 - 1:.1f}" y="{y + 14}" fill="white" '
                             f'font-size="9" text-anchor="middle">{text}</text>')  # fmt: skip
    best = sum(one < LANES for one in step.kept)
    return (
        f'<svg viewBox="0 0 {width} {8 + ROW * len(made)}" width="100%" role="img" aria-label="'
        f"Queues of 32 threads, and the warp queue, which has {best} of the best 32 of all keys"
        f'">{"".join(parts)}</svg>'
    )
