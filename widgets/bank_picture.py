"""One warp's access to shared memory drawn: 32 banks across, a row for each wavefront."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from widgets.look import BLUE, GREY, ORANGE
from widgets.picture import WIDTH, live

BANKS = 32
WORD = 4  # bytes that a bank delivers in one wavefront
LANES = 32
ROW_HEIGHT = 24  # pixels a wavefront
FEWEST_ROWS = 4  # drawn, to have some to compare
INK = "#ffffff"
EMPTY = "rgba(128,128,128,0.35)"


@dataclass(frozen=True)
class Cell:
    """A word that a bank delivers in one wavefront."""

    bank: int
    wavefront: int
    word: int  # counted from the start of shared memory
    lanes: tuple[int, ...]  # that want it
    late: bool  # whether another word of the bank came first, for the same group of lanes

    @property
    def label(self) -> str:
        """The lanes, in the space of two digits."""
        return str(self.lanes[0]) if len(self.lanes) == 1 else f"×{len(self.lanes)}"

    @property
    def words(self) -> str:
        """The cell in words."""
        who = ", ".join(str(lane) for lane in self.lanes)
        lanes = f"lane {who}" if len(self.lanes) == 1 else f"lanes {who}"
        return f"bank {self.bank}, wavefront {self.wavefront + 1}: word {self.word}<br>{lanes}"


@dataclass(frozen=True)
class BankAccess:
    """One access of a warp: where its lanes read, and what the hardware counts of it."""

    width: int  # bytes a lane: 4, 8 or 16
    places: tuple[int, ...]  # one a lane: which element
    wavefronts: int  # counted

    @property
    def ideal(self) -> int:
        """Wavefronts for as many lanes without conflicts."""
        return self.width // WORD

    @property
    def share(self) -> float:
        """Bytes that lanes got over bytes that the banks could have delivered, 0 to 1 or more.

        More where several lanes got the same word.
        """
        return LANES * self.width / (BANKS * WORD * self.wavefronts)

    def words_of(self, lane: int) -> range:
        """The words that a lane wants."""
        words = self.width // WORD
        return range(self.places[lane] * words, (self.places[lane] + 1) * words)

    @property
    def groups(self) -> list[range]:
        """Lanes that are served together: all for 4 bytes, half a warp for 8, a quarter for 16.

        Two neighbouring groups go together where every lane wants what its neighbour does, or
        what the next but one does.
        """
        lanes = LANES * WORD // self.width

        def twins(apart: int) -> bool:
            return all(self.places[i] == self.places[i ^ apart] for i in range(LANES))

        if self.width > WORD and (twins(1) or twins(2)):
            lanes *= 2
        return [range(first, first + lanes) for first in range(0, LANES, lanes)]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every word in its bank, in the first wavefront of its group that the bank has free."""
        found: list[Cell] = []
        start = 0
        for group in self.groups:
            wanted: dict[int, list[int]] = {}
            for lane in group:
                for word in self.words_of(lane):
                    wanted.setdefault(word, []).append(lane)
            taken = dict.fromkeys(range(BANKS), 0)
            for word, lanes in wanted.items():
                bank = word % BANKS
                turn = taken[bank]
                taken[bank] += 1
                found.append(Cell(bank, start + turn, word, tuple(lanes), turn > 0))
            start += max(taken.values())
        return tuple(found)

    @property
    def rows(self) -> int:
        """Wavefronts of all cells."""
        return max(cell.wavefront for cell in self.cells) + 1


def new_picture(access: BankAccess) -> go.FigureWidget:
    """A picture of ``access``; :func:`draw` changes it to another."""
    figure = go.Figure()
    square = {"symbol": "square", "size": 21}
    figure.add_scatter(
        mode="markers", name="bank idle", hoverinfo="skip",
        marker={**square, "color": "rgba(0,0,0,0)", "line": {"width": 1, "color": EMPTY}},
    )  # fmt: skip
    for name, colour in (("delivered at once", BLUE), ("waited for the bank", ORANGE)):
        figure.add_scatter(
            mode="markers+text", name=name,
            marker={**square, "color": colour, "line": {"width": 0}},
            textfont={"color": INK if colour == BLUE else "#000000", "size": 11},
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        width=WIDTH,
        margin={"l": 92, "r": 8, "t": 54, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top",
                "yref": "container"},
        xaxis={"showgrid": False, "zeroline": False, "fixedrange": True, "side": "top",
               "range": [-0.6, BANKS - 0.4], "dtick": 1, "tickangle": 0,
               "tickfont": {"size": 10}},
        yaxis={"showgrid": False, "zeroline": False, "fixedrange": True},
        hovermode="closest",
    )  # fmt: skip
    draw(figure, access)
    return live(figure)


def draw(figure: go.Figure, access: BankAccess) -> None:
    """Show ``access``, as one update."""
    cells = access.cells
    rows = access.rows
    used = {(cell.bank, cell.wavefront) for cell in cells}
    idle = [(b, w) for w in range(rows) for b in range(BANKS) if (b, w) not in used]
    traces: Any = figure.data
    with figure.batch_update():
        traces[0].x = [bank for bank, _ in idle]
        traces[0].y = [wavefront for _, wavefront in idle]
        for trace, late in zip(traces[1:], (False, True), strict=True):
            mine = [cell for cell in cells if cell.late == late]
            trace.x = [cell.bank for cell in mine]
            trace.y = [cell.wavefront for cell in mine]
            trace.text = [cell.label for cell in mine]
            trace.customdata = [cell.words for cell in mine]
        drawn = max(rows, FEWEST_ROWS)
        figure.layout.height = 62 + ROW_HEIGHT * drawn
        figure.layout.yaxis.range = [drawn - 0.4, -0.6]
        figure.layout.yaxis.tickvals = list(range(rows))
        figure.layout.yaxis.ticktext = _row_names(access)


def _row_names(access: BankAccess) -> list[str]:
    """What stands beside each wavefront."""
    first: dict[int, str] = {}
    for group in access.groups:
        rows = [cell.wavefront for cell in access.cells if cell.lanes[0] in group]
        if len(access.groups) > 1:
            first[min(rows)] = f"lanes {group[0]} to {group[-1]}"
    return [first.get(row, f"wavefront {row + 1}") for row in range(access.rows)]


def svg(access: BankAccess, width: int = WIDTH) -> str:
    """The same picture as static SVG."""
    left, top, side = 92, 24, (WIDTH - 100) / BANKS
    height = top + ROW_HEIGHT * access.rows + 4
    parts = [
        f'<text x="{left + side * (bank + 0.5):.1f}" y="{top - 8}" fill="{GREY}" font-size="10" '
        f'text-anchor="middle">{bank}</text>'
        for bank in range(BANKS)
    ]
    parts += [
        f'<text x="4" y="{top + ROW_HEIGHT * (row + 0.7):.1f}" fill="{GREY}" font-size="11">'
        f"{name}</text>"
        for row, name in enumerate(_row_names(access))
    ]
    for cell in access.cells:
        x, y = left + side * cell.bank, top + ROW_HEIGHT * cell.wavefront
        colour, ink = (ORANGE, "black") if cell.late else (BLUE, "white")
        parts += [
            f'<rect x="{x + 2:.1f}" y="{y + 2:.1f}" width="{side - 4:.1f}" '
            f'height="{ROW_HEIGHT - 4}" fill="{colour}"/>',
            f'<text x="{x + side / 2:.1f}" y="{y + 16:.1f}" fill="{ink}" font-size="11" '
            f'text-anchor="middle">{cell.label}</text>',
        ]
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" role="img" aria-label="32 banks and '
        f'the {access.wavefronts} wavefronts that serve a warp">{"".join(parts)}</svg>'
    )
