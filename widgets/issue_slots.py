"""Choose warps and chains; see a scheduler's issue slots fill, or stay empty.

The picture is of a scheduler that in every slot takes the warp that has waited longest, of those
whose next instruction can go. What an instruction waits for the last one of its chain, and how long
it keeps the unit busy, are from the chip's table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets

from emulator import A100, H100, Arch
from kernels.ilp_tlp.launches import WARP
from kernels.ilp_tlp.littles_law import ffma_issue_clocks
from widgets.live import Live
from widgets.look import BLUE, GREEN, ORANGE, TEXT, significant
from widgets.picture import keep
from widgets.slots_picture import Slots, draw, new_picture, svg

CHIPS: dict[str, Arch] = {"H100": H100, "A100": A100}
MOST_WARPS, MOST_CHAINS = 16, 16


@dataclass(frozen=True)
class Work:
    """What the warps of one scheduler do, again and again."""

    instruction: str  # "FFMA"
    chain: str  # what independent ones are called: "chains", "loads in flight"
    unit: str  # that they share
    latency: float  # clocks until the next of its chain can go
    every: float  # clocks for which one of a warp keeps the unit busy

    @property
    def needed(self) -> int:
        """How many must be under way so that the unit is never idle."""
        return max(1, int(-(-self.latency // self.every)))


def ffma(arch: Arch) -> Work:
    """A multiply-add: the scheduler's FP32 lanes take a warp in one clock or two."""
    return Work(
        "FFMA", "independent FFMAs of a warp", "FP32 lanes", arch.fp32_latency_cycles,
        ffma_issue_clocks(arch),
    )  # fmt: skip


def load(arch: Arch, width: int) -> Work:
    """A load that misses every cache: one scheduler's share of DRAM brings so much a clock."""
    share = arch.dram_bytes_per_s * arch.dram_efficiency / arch.clock_hz
    a_clock = share / (arch.sm_count * arch.schedulers_per_sm)
    return Work(
        f"load of {width} B a lane", "loads of a warp in flight", "the scheduler's share of DRAM",
        arch.dram_latency_cycles, WARP * width / a_clock,
    )  # fmt: skip


WORKS: dict[str, Callable[[Arch], Work]] = {
    "FFMA": ffma,
    "load of a float from DRAM": lambda arch: load(arch, 4),
    "load of a float4 from DRAM": lambda arch: load(arch, 16),
}


def schedule(work: Work, warps: int, chains: int, clocks: float) -> list[tuple[float, int, int]]:
    """(clock, warp, chain) of everything that goes in the first ``clocks`` clocks, in order.

    A warp's instructions go in order, its chains in turn. Of the warps whose next instruction can
    go, the one that went longest ago is taken.
    """
    ready = [[0.0] * chains for _ in range(warps)]
    turn = [0] * warps
    last = [-1.0] * warps
    found: list[tuple[float, int, int]] = []
    at = 0.0
    while True:
        at = max(at, min(ready[w][turn[w]] for w in range(warps)))
        if at >= clocks:
            return found
        able = [w for w in range(warps) if ready[w][turn[w]] <= at]
        warp = min(able, key=lambda w: (last[w], w))
        chain = turn[warp]
        found.append((at, warp, chain))
        last[warp] = at
        ready[warp][chain] = at + max(work.latency, work.every)
        turn[warp] = (chain + 1) % chains
        at += work.every


def slots(work: Work, warps: int, chains: int) -> Slots:
    """What there is to draw: a few latencies' worth, and the share of slots in use later on."""
    shown = 8 * work.latency if work.latency < 64 else 3 * work.latency
    start, end = 10 * work.latency, 30 * work.latency
    busy = 0.0
    for at, _, _ in schedule(work, warps, chains, end):
        busy += max(0.0, min(at + work.every, end) - max(at, start))
    issued = tuple(schedule(work, warps, chains, shown))
    return Slots(issued, warps, chains, shown, work.latency, work.every, busy / (end - start))


class IssueSlots(Live):
    """The widget: chip, instruction, warps and chains; the picture; the numbers."""

    def __init__(self) -> None:
        wide = ipywidgets.Layout(width="430px")
        self.chip = ipywidgets.Dropdown(
            options=list(CHIPS), value="H100", description="Chip", layout=wide
        )
        self.work = ipywidgets.Dropdown(options=list(WORKS), description="Each does", layout=wide)
        self.warps = ipywidgets.IntSlider(
            1, 1, MOST_WARPS, description="Warps", continuous_update=False, layout=wide
        )
        self.chains = ipywidgets.IntSlider(
            1, 1, MOST_CHAINS, description="Chains", continuous_update=False, layout=wide
        )
        self.slots = self._slots()
        self.figure = new_picture(self.slots)
        self.numbers = ipywidgets.HTML(self._numbers())
        self.numbers.add_class("coalesce-issue-slots")
        for control in (self.chip, self.work, self.warps, self.chains):
            control.observe(self._update, names="value")
        super().__init__(
            ipywidgets.VBox(
                [
                    ipywidgets.HBox([self.chip, self.work]),
                    ipywidgets.HBox([self.warps, self.chains]),
                    self.figure,
                    self.numbers,
                ]
            ),
            lambda: svg(self.slots) + self._numbers(),
        )

    def _chosen(self) -> Work:
        return WORKS[self.work.value](CHIPS[self.chip.value])

    def _slots(self) -> Slots:
        return slots(self._chosen(), self.warps.value, self.chains.value)

    def _numbers(self) -> str:
        return numbers(self._chosen(), CHIPS[self.chip.value], self.slots)

    def _update(self, _: Any) -> None:
        self.slots = self._slots()
        draw(self.figure, self.slots)
        keep(self.figure)
        self.numbers.value = self._numbers()


def numbers(work: Work, arch: Arch, found: Slots) -> str:
    """The figures of a schedule, as HTML."""
    has = found.warps * found.chains
    colour = GREEN if found.share > 0.99 else BLUE if found.share >= 0.5 else ORANGE
    if work.instruction == "FFMA":
        rate = 2 * arch.fp32_lanes_per_sm * found.share
        reached = ("FLOP a clock and SM", significant(rate))
    else:
        bandwidth = arch.dram_bytes_per_s * arch.dram_efficiency * found.share
        reached = ("GB/s, all schedulers alike", significant(bandwidth / 1e9))
    cards = [
        ("latency, clocks", significant(work.latency)),
        ("one every ... clocks", significant(work.every)),
        ("needed under way", str(work.needed)),
        ("warps x chains", f"{found.warps} x {found.chains} = {has}"),
        ("of the time in use", f"{found.share:.0%}"),
        reached,
    ]
    shown = "".join(
        '<div style="padding: 2px 18px 2px 0"><div style="font-size: 21px; line-height: 1.2">'
        f"<b>{value}</b></div><div>{name}</div></div>"
        for name, value in cards
    )
    return (
        f'<div style="color: {TEXT}; border-left: 5px solid {colour}; padding-left: 12px">'
        f"<div>One scheduler of an {escape(arch.name)}; chains are {escape(work.chain)}, which "
        f"share {escape(work.unit)}.</div>"
        f'<div style="display: flex; flex-wrap: wrap">{shown}</div></div>'
    )


def issue_slots() -> IssueSlots:
    """The widget, on an H100 with one warp and one chain."""
    return IssueSlots()
