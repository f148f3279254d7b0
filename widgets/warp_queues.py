"""Watch WarpSelect: thread queues fill, and are merged into the warp queue."""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np

from widgets.live import Live
from widgets.look import faint, significant, table
from widgets.picture import keep
from widgets.queues_picture import draw, new_picture, svg
from widgets.selection import LANES, ORDERS, QueueStep, likely_insertions, warp_select

LENGTHS = (1, 2, 3, 4)


class WarpQueues(Live):
    """The widget: the keys, the length of thread queues, a step; the picture; the counts."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self._made: dict[tuple[str, int], list[QueueStep]] = {}
        wide = ipywidgets.Layout(width="380px")
        self.keys = ipywidgets.Dropdown(options=list(ORDERS), description="Keys", layout=wide)
        self.length = ipywidgets.Dropdown(
            options=LENGTHS, value=2, description="Queues of",
            layout=ipywidgets.Layout(width="190px"),
        )  # fmt: skip
        self.step = ipywidgets.IntSlider(1, 1, n // LANES, description="Step", layout=wide)
        self.play = ipywidgets.Play(
            value=1, min=1, max=n // LANES, interval=500, layout=ipywidgets.Layout(width="150px")
        )
        ipywidgets.jslink((self.play, "value"), (self.step, "value"))
        self.steps = self._steps()
        self.figure = new_picture(self.shown, self.length.value)
        self.numbers = ipywidgets.HTML(self._numbers())
        self.numbers.add_class("coalesce-warp-queues")
        for control in (self.keys, self.length):
            control.observe(self._choose, names="value")
        self.step.observe(self._update, names="value")
        rows = [
            ipywidgets.HBox([self.keys, self.length]),
            ipywidgets.HBox([self.play, self.step]),
            self.figure,
            self.numbers,
        ]
        super().__init__(ipywidgets.VBox(rows), self._static)

    @property
    def shown(self) -> QueueStep:
        """The step that is drawn."""
        return self.steps[int(self.step.value) - 1]

    def _steps(self, kind: str = "") -> list[QueueStep]:
        chosen = kind or self.keys.value, self.length.value
        if chosen not in self._made:
            keys = ORDERS[chosen[0]](self.n, np.random.default_rng(self.seed))
            self._made[chosen] = warp_select(keys, chosen[1])
        return self._made[chosen]

    def _choose(self, _: Any = None) -> None:
        self.steps = self._steps()
        self._update()

    def _update(self, _: Any = None) -> None:
        draw(self.figure, self.shown, self.length.value)
        keep(self.figure)
        self.numbers.value = self._numbers()

    def _numbers(self) -> str:
        shown = self.shown
        seen = self.step.value * LANES
        said = (
            f"After {seen:,} of {self.n:,} keys: {shown.inserted:,} went into a queue, "
            f"{shown.merges:,} merge{'s' * (shown.merges != 1)}"
            + (", one of them now" if shown.merged else "")
            + f". In random order, about {likely_insertions(seen):,.0f} keys are better than the "
            "worst of 32 kept when they come."
        )
        rows = []
        for kind in ORDERS:
            end = self._steps(kind)[-1]
            pieces = self.n // LANES
            rows.append(
                [kind, f"{end.inserted:,}", f"{end.merges:,}", significant(end.merges / pieces)]
            )
        head = ["keys", f"of {self.n:,} inserted", "merges", "merges a piece of 32"]
        return (
            f"<div>{said}</div>{table(head, rows, numbers=(1, 2, 3))}"
            + faint("A key is written as its rank among all: 1 is the best. The table is of the "
                    "whole stream, with queues of this length.")
        )  # fmt: skip

    def _static(self) -> str:
        return svg(self.shown, self.length.value) + self._numbers()


def warp_queues(n: int = 1024, seed: int = 7) -> WarpQueues:
    """One warp that keeps the best 32 of ``n`` keys, a multiple of 32, by WarpSelect."""
    if n <= 0 or n % LANES:
        raise ValueError(f"n is {n}; it must be a positive multiple of {LANES}")
    return WarpQueues(n, seed)
