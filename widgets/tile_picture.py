"""A step of a tiled product drawn: what one block reads of A and B, and where it keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from kernels.gemm import Sizes
from widgets.look import BLUE, GREEN, GREY, ORANGE, SKY
from widgets.picture import WIDTH, live
from widgets.tiling import FLOAT, Tiling

HEIGHT = 440  # pixels
EMPTY = "rgba(128,128,128,0.12)"
DONE = "rgba(86,180,233,0.45)"  # SKY, read in earlier steps
GAP = 34  # pixels between the matrices
MATRICES = 520  # pixels: the matrices; right of them, the memories
LEAST = 2.0  # pixels: what is thinner is drawn so thick


@dataclass(frozen=True)
class Rect:
    """Pixels from the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    edge: str = ""


@dataclass(frozen=True)
class Words:
    """A line of text; ``anchor`` says which end of it (x, y) is."""

    x: float
    y: float
    text: str
    anchor: str = "left"  # or "center"


@dataclass(frozen=True)
class Scene:
    """What there is to draw."""

    rects: tuple[Rect, ...]
    words: tuple[Words, ...]


def scene(tiling: Tiling, sizes: Sizes, down: int, across: int, step: int) -> Scene:
    """Block (``down``, ``across``) at ``step``, counted from 0."""
    room = min(MATRICES - 2 * GAP - 20, 2 * (HEIGHT - 2 * GAP - 24))
    scale = min(room / (sizes.n + sizes.k), (HEIGHT - 2 * GAP - 24) / (sizes.m + sizes.k))
    m, n, k = (max(size * scale, 6.0) for size in (sizes.m, sizes.n, sizes.k))
    left, top = 12.0, 30.0  # of A's column and of B's row
    at_c = left + k + GAP, top + k + GAP
    row, col = down * tiling.bm, across * tiling.bn
    first = step * tiling.bk
    rows = min(tiling.bm, sizes.m - row) * scale
    cols = min(tiling.bn, sizes.n - col) * scale
    depth = min(tiling.bk, sizes.k - first) * scale
    y_rows, x_cols = at_c[1] + row * scale, at_c[0] + col * scale
    rects = [
        Rect(left, at_c[1], k, m, EMPTY, GREY),
        Rect(at_c[0], top, n, k, EMPTY, GREY),
        Rect(at_c[0], at_c[1], n, m, EMPTY, GREY),
        Rect(left, y_rows, first * scale, rows, DONE),
        Rect(x_cols, top, cols, first * scale, DONE),
        _slice(left + first * scale, y_rows, depth, rows),
        _slice(x_cols, top + first * scale, cols, depth),
        Rect(x_cols, y_rows, cols, rows, GREEN),
    ]
    words = [
        Words(left, at_c[1] - 10, f"A {sizes.m} x {sizes.k}"),
        Words(at_c[0], top - 10, f"B {sizes.k} x {sizes.n}"),
        Words(at_c[0], at_c[1] - 10, f"C {sizes.m} x {sizes.n}"),
    ]
    more = memories(tiling)
    return Scene((*rects, *more.rects), (*words, *more.words))


def _slice(x: float, y: float, width: float, height: float) -> Rect:
    return Rect(x, y, max(width, LEAST), max(height, LEAST), BLUE)


def memories(tiling: Tiling) -> Scene:
    """Shared memory and one thread's registers, in a scale of their own."""
    left = MATRICES + 24.0
    words = [Words(left, 20, "<b>Shared memory</b>, a block's")]
    rects: list[Rect] = []
    if tiling.shared:
        scale = min(1.0, 128 / max(tiling.bm, tiling.bn))
        a = Rect(left, 52, max(tiling.bk * scale, 4), tiling.bm * scale, BLUE)
        b = Rect(a.x + a.width + 24, 52, tiling.bn * scale, max(tiling.bk * scale, 4), BLUE)
        rects += [a, b]
        words += [
            Words(left, 42, f"A's slice {tiling.bm} x {tiling.bk}, B's {tiling.bk} x {tiling.bn}"),
            Words(b.x, b.y + b.height + 18, f"{tiling.shared_bytes:,} bytes"),
        ]
    else:
        words.append(Words(left, 46, "nothing"))
    edge, cell, y = tiling.edge, 15.0, 268.0
    count = tiling.sums + 2 * edge
    words += [
        Words(left, 212, "<b>Registers</b>, a thread's"),
        Words(left, 234, f"{tiling.sums} sum{'s' * (tiling.sums > 1)} and {edge} + {edge} operands,"
                         f" {FLOAT * count} bytes"),
    ]  # fmt: skip
    x = left + cell + 6
    for i in range(edge):
        rects.append(Rect(left, y + i * cell, cell - 2, cell - 2, ORANGE))
        rects.append(Rect(x + i * cell, y - cell - 6, cell - 2, cell - 2, ORANGE))
        rects += [Rect(x + j * cell, y + i * cell, cell - 2, cell - 2, GREEN) for j in range(edge)]
    return Scene(tuple(rects), tuple(words))


LEGEND = (
    (BLUE, "read in this step"), (SKY, "read before"), (GREEN, "sums"), (ORANGE, "operands"),
)  # fmt: skip


def new_picture(shown: Scene) -> go.FigureWidget:
    """A picture of ``shown``; :func:`draw` changes it to another."""
    figure = go.Figure()
    for colour, name in LEGEND:
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name,
            marker={"symbol": "square", "size": 12, "color": colour},
        )  # fmt: skip
    axis = {"visible": False, "fixedrange": True}
    figure.update_layout(
        width=WIDTH, height=HEIGHT + 30, margin={"l": 0, "r": 0, "t": 30, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
        xaxis={**axis, "range": [0, WIDTH]}, yaxis={**axis, "range": [HEIGHT, 0]},
        hovermode=False,
    )  # fmt: skip
    draw(figure, shown)
    return live(figure)


def draw(figure: go.Figure, shown: Scene) -> None:
    """Show a scene, as one update."""
    shapes = [
        {
            "type": "rect", "x0": r.x, "x1": r.x + r.width, "y0": r.y, "y1": r.y + r.height,
            "fillcolor": r.fill, "line": {"width": 1 if r.edge else 0, "color": r.edge or r.fill},
            "layer": "below",
        }
        for r in shown.rects
    ]  # fmt: skip
    notes = [
        {
            "x": w.x, "y": w.y, "text": w.text, "showarrow": False, "xanchor": w.anchor,
            "yanchor": "middle", "font": {"size": 13},
        }
        for w in shown.words
    ]  # fmt: skip
    with figure.batch_update():
        figure.layout.shapes = shapes
        figure.layout.annotations = notes


def svg(shown: Scene, says: str) -> str:
    """The same picture as static SVG; ``says`` is for those who do not see it."""
    parts = [
        f'<rect x="{r.x:.1f}" y="{r.y:.1f}" width="{r.width:.1f}" height="{r.height:.1f}" '
        f'fill="{r.fill}" stroke="{r.edge or "none"}"/>'
        for r in shown.rects
    ]
    for w in shown.words:
        text = w.text.replace("<b>", "").replace("</b>", "")
        parts.append(f'<text x="{w.x:.1f}" y="{w.y + 4:.1f}" fill="{GREY}" font-size="13">'
                     f"{escape(text)}</text>")  # fmt: skip
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" '
        f'aria-label="{escape(says)}">{"".join(parts)}</svg>'
    )
