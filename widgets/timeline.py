"""Watch one block of a real run: who works, who waits for whom, what lies in which stage.

The events are a run's on the software GPU; their times are a model's (:mod:`emulator.timeline`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets

from emulator.timeline import STAGE, WAITS_FOR_DATA, Lane, Timeline
from widgets.live import Live
from widgets.look import MONO, TEXT, faint, table
from widgets.picture import keep
from widgets.timeline_picture import draw, move, new_picture, svg

ZOOMS = {"all of it": 1, "half": 2, "a quarter": 4, "an eighth": 8, "a sixteenth": 16}


class BlockTimeline(Live):
    """The widget: a run, a step, a zoom; the lanes; what each lane is at."""

    def __init__(self, runs: Mapping[str, Timeline]) -> None:
        self.runs = dict(runs)
        wide = ipywidgets.Layout(width="420px")
        self.run = ipywidgets.Dropdown(options=list(self.runs), description="Run", layout=wide)
        self.step = ipywidgets.IntSlider(
            0, 0, 1, description="Step", layout=ipywidgets.Layout(width="720px")
        )
        self.play = ipywidgets.Play(interval=500, layout=ipywidgets.Layout(width="150px"))
        self.zoom = ipywidgets.Dropdown(
            options=list(ZOOMS.items()), value=1, description="Shown",
            layout=ipywidgets.Layout(width="220px"),
        )  # fmt: skip
        ipywidgets.jslink((self.play, "value"), (self.step, "value"))
        self._fit()
        self.figure = new_picture(self.found, self.at, self.zoom.value)
        self.numbers = ipywidgets.HTML(self._numbers())
        self.numbers.add_class("coalesce-block-timeline")
        self.run.observe(self._choose, names="value")
        for control in (self.step, self.zoom):
            control.observe(self._update, names="value")
        first = [self.run] if len(self.runs) > 1 else []
        rows = [
            ipywidgets.HBox([*first, self.zoom]),
            ipywidgets.HBox([self.play, self.step]),
            self.figure,
            self.numbers,
        ]
        super().__init__(ipywidgets.VBox(rows), self._static)

    @property
    def found(self) -> Timeline:
        """The timeline that is shown."""
        return self.runs[self.run.value]

    @property
    def at(self) -> int:
        """The cycle of the step."""
        return self.steps[int(self.step.value)]

    def _fit(self) -> None:
        """A step wherever something begins."""
        self.steps = steps(self.found)
        for control in (self.step, self.play):
            control.value = min(control.value, len(self.steps) - 1)
            control.max = len(self.steps) - 1

    def _choose(self, _: Any) -> None:
        at = self.at
        self.steps = steps(self.found)
        self.step.value = 0
        self._fit()
        self.step.value = max(bisect_right(self.steps, at) - 1, 0)
        draw(self.figure, self.found, self.at, self.zoom.value)
        keep(self.figure)
        self.numbers.value = self._numbers()

    def _update(self, _: Any) -> None:
        move(self.figure, self.found, self.at, self.zoom.value)
        keep(self.figure)
        self.numbers.value = self._numbers()

    def _numbers(self) -> str:
        return numbers(self.found, self.at)

    def _static(self) -> str:
        return svg(self.found, self.at, self.zoom.value) + self._numbers()


def steps(found: Timeline) -> list[int]:
    """The cycles at which something begins, in order."""
    return sorted({0, *(one.begin for lane in found.lanes for one in lane.intervals)})


def doing(lane: Lane, at: int) -> tuple[str, int, str]:
    """What a lane is at: in words, with the line of source and its text."""
    for one in lane.intervals:
        if one.begin <= at < one.end:
            head = "" if one.what.startswith(one.kind) else f"{one.kind}: "
            return head + one.what, one.line, one.source_text
    return ("empty" if lane.role == STAGE else "nothing"), 0, ""


def numbers(found: Timeline, at: int) -> str:
    """What the whole block comes to, and what each lane is at, as HTML."""
    said = [f"<b>{escape(found.kernel)}</b>, block {found.block}: {found.cycles:,} cycles"]
    if found.of("tensor cores"):
        share = found.tensor_cycles / max(found.cycles, 1)
        said.append(f"tensor cores busy {share:.0%} of them")
    consumers = found.of("consumer")
    if consumers:
        share = consumers[0].spent(WAITS_FOR_DATA) / max(found.cycles, 1)
        said.append(f"the first consumer waits for data {share:.0%}")
    if found.copies:
        said.append(f"at most {found.copies_in_flight} slices under way at once")
    rows = []
    for lane in found.lanes:
        what, line, text = doing(lane, at)
        source = f'{line}: <span style="font-family: {MONO}">{escape(text)}</span>' if line else ""
        name = escape(lane.name).replace(" ", "&nbsp;")
        rows.append([name, escape(what), source])
    return (
        f'<div style="color: {TEXT}">{"; ".join(said)}.<br>At cycle <b>{at:,}</b>:</div>'
        + table(["lane", "what it is at", "line"], rows)
        + "".join(faint(note) for note in found.notes)
    )


def block_timeline(runs: Timeline | Mapping[str, Timeline]) -> BlockTimeline:
    """Swim lanes of a block: warps, tensor cores, stages of shared memory.

    ``runs`` is a timeline (:func:`kernels.launches.timeline`), or several by name to switch
    between. Raises ValueError for none.
    """
    named = {runs.kernel: runs} if isinstance(runs, Timeline) else dict(runs)
    if not named:
        raise ValueError("block_timeline needs a run to show")
    return BlockTimeline(named)
