"""Watch radix select: a histogram of digits, the k-th's among them, and the candidates shrink."""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go

from widgets.live import Live
from widgets.look import BLUE, GREEN, GREY, ORANGE, bar, faint, significant, table
from widgets.picture import WIDTH, keep, live
from widgets.selection import DISTRIBUTIONS, RadixPass, radix_select

DIGITS = {"8 bits": 8, "11 bits": 11}
BELOW = "rgba(128,128,128,0.55)"
NAMES = ((BELOW, "worse than the k-th's digit"), (ORANGE, "the k-th's digit: candidates"),
         (GREEN, "better: all of them taken"))  # fmt: skip


def new_picture(one: RadixPass) -> go.FigureWidget:
    """A histogram of one pass; :func:`draw` changes it to another."""
    figure = go.Figure()
    for colour, name in NAMES:
        figure.add_bar(
            name=name, marker={"color": colour, "line": {"width": 0}}, showlegend=False,
            hovertemplate="digit %{x}: %{y:,} keys<extra></extra>",
        )  # fmt: skip
    for colour, name in NAMES:  # a legend that stays when there are none of a kind
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name,
            marker={"symbol": "square", "size": 12, "color": colour},
        )  # fmt: skip
    figure.update_layout(
        barmode="overlay", bargap=0, width=WIDTH, height=300,
        margin={"l": 64, "r": 8, "t": 30, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
        xaxis={"showgrid": False, "zeroline": False, "fixedrange": True},
        yaxis={
            "type": "log", "fixedrange": True, "gridcolor": "rgba(128,128,128,0.25)",
            "title": {"text": "candidates", "standoff": 4}, "dtick": 1,
        },
    )  # fmt: skip
    draw(figure, one)
    return live(figure)


def parts(one: RadixPass) -> tuple[slice, slice, slice]:
    """Digits below, at and above the k-th's."""
    return slice(0, one.digit), slice(one.digit, one.digit + 1), slice(one.digit + 1, None)


def draw(figure: go.Figure, one: RadixPass) -> None:
    """Show a pass, as one update."""
    digits = np.arange(one.counts.size)
    width = max(1.0, one.counts.size / 512)  # so that a lone bin can be seen
    traces: Any = figure.data[:3]
    with figure.batch_update():
        for trace, part in zip(traces, parts(one), strict=True):
            there = one.counts[part] > 0
            trace.x = digits[part][there].tolist()
            trace.y = one.counts[part][there].tolist()
            trace.width = [width] * int(there.sum())
        figure.layout.xaxis.range = [-2, one.counts.size + 1]
        low, high = one.shift, one.shift + one.bits - 1
        figure.layout.xaxis.title = {"text": f"digit: bits {high} to {low}", "standoff": 4}
        figure.layout.yaxis.range = [-0.3, float(np.log10(max(one.candidates, 2))) + 0.2]


def svg(one: RadixPass, width: int = WIDTH, height: int = 200) -> str:
    """The same picture as static SVG."""
    top = np.log10(max(one.candidates, 2)) + 0.3
    wide = width / one.counts.size
    drawn = []
    for (colour, _), part in zip(NAMES, parts(one), strict=True):
        for digit in np.arange(one.counts.size)[part]:
            count = int(one.counts[digit])
            if count:
                high = (np.log10(count) + 0.3) / top * height
                drawn.append(f'<rect x="{digit * wide:.1f}" y="{height - high:.1f}" '
                             f'width="{max(wide, 3):.1f}" height="{high:.1f}" '
                             f'fill="{colour}"/>')  # fmt: skip
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" role="img" aria-label="Histogram of '
        f"{one.candidates} candidates over {one.counts.size} digits, of which {one.in_use} occur"
        f'">{"".join(drawn)}</svg>'
    )


class RadixPasses(Live):
    """The widget: the keys, k, a digit's width, a pass; the histogram; all passes in numbers."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        wide, short = (ipywidgets.Layout(width=w) for w in ("380px", "190px"))
        self.keys = ipywidgets.Dropdown(
            options=list(DISTRIBUTIONS), description="Keys", layout=wide
        )
        ks = [k for k in (1, 32, 256, 2048, 32768) if k <= n]
        self.k = ipywidgets.Dropdown(
            options=ks, value=ks[min(2, len(ks) - 1)], description="k", layout=short
        )
        self.digit = ipywidgets.Dropdown(options=DIGITS, description="A digit", layout=short)
        self.number = ipywidgets.IntSlider(1, 1, 4, description="Pass", layout=wide)
        self.passes: list[RadixPass] = self._passes()
        self._fit()
        self.figure = new_picture(self.shown)
        self.numbers = ipywidgets.HTML(self._numbers())
        self.numbers.add_class("coalesce-radix-passes")
        for control in (self.keys, self.k, self.digit):
            control.observe(self._choose, names="value")
        self.number.observe(self._update, names="value")
        rows = [
            ipywidgets.HBox([self.keys, self.k, self.digit]),
            self.number,
            self.figure,
            self.numbers,
        ]
        super().__init__(ipywidgets.VBox(rows), self._static)

    @property
    def shown(self) -> RadixPass:
        """The pass that is drawn."""
        return self.passes[int(self.number.value) - 1]

    def _passes(self, kind: str = "") -> list[RadixPass]:
        keys = DISTRIBUTIONS[kind or self.keys.value](self.n, np.random.default_rng(self.seed))
        return radix_select(keys, self.k.value, self.digit.value)

    def _fit(self) -> None:
        self.number.value = min(self.number.value, len(self.passes))
        self.number.max = len(self.passes)

    def _choose(self, _: Any = None) -> None:
        self.passes = self._passes()
        self._fit()
        self._update()

    def _update(self, _: Any = None) -> None:
        draw(self.figure, self.shown)
        keep(self.figure)
        self.numbers.value = self._numbers()

    def _numbers(self) -> str:
        rows = []
        for number, one in enumerate(self.passes, 1):
            mark = "<b>{}</b>" if number == self.number.value else "{}"
            rows.append([
                mark.format(f"{number}: bits {one.shift + one.bits - 1} to {one.shift}"),
                f"{one.candidates:,}", bar(one.candidates / self.n, BLUE), f"{one.in_use:,}",
                significant(one.together), f"{one.above:,}", f"{one.left:,}",
            ])  # fmt: skip
        head = ["pass", "keys counted", "", "digits that occur", "of 32 meet in a counter",
                "taken", "candidates left"]  # fmt: skip
        end = self.passes[-1]
        said = (
            f"After pass {len(self.passes)} "
            + (f"the {end.wanted:,} left are all wanted: done." if end.done
               else f"all bits are known, and {end.wanted:,} of {end.left:,} equal keys are taken.")
        )  # fmt: skip
        note = (
            "Of 32 neighbouring candidates, how many have the commonest digit, so that a warp's "
            "additions meet in its counter."
        )
        return table(head, rows, numbers=(1, 3, 4, 5, 6)) + f"<div>{said}</div>" + faint(note)

    def _static(self) -> str:
        return svg(self.shown) + self._numbers()


def radix_passes(n: int = 1 << 16, seed: int = 7) -> RadixPasses:
    """Radix select for the k-th largest of ``n`` float32 keys of a chosen distribution."""
    if n < 1:
        raise ValueError(f"n is {n}; it must be positive")
    return RadixPasses(n, seed)
