"""A run's actions with times: a model of one SM, in cycles. Never a measurement.

Each warp goes from action to action at the pace of :mod:`emulator.timeline.cost`. Beside the warps
work:

- *copies*: bytes come through the SM's port to L2, :data:`PORT_BYTES` a cycle, one copy after
  another, and each copy lands memory's latency after its last byte was asked for. What is multicast
  comes once. Stores go the same way. Other SMs' traffic is not there;
- *tensor cores*: those of one scheduler take the products of its warps one after another.

A wait ends when what it waits for has happened, in the model's time: who waits for whom is as the
run had it. The same run gives the same times.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from emulator.arch import Arch
from emulator.native.layout import MAX_WARPS
from emulator.timeline.cost import SHARED_CYCLES
from emulator.timeline.dependences import Action, Condition, Run
from emulator.watch.events import (
    COPIES_AWAITED,
    COPIES_COMMITTED,
    COPIES_TRACKED,
    COPY_ISSUED,
    LOAD_ISSUED,
    PRODUCT,
    PRODUCTS_COMMITTED,
    READS_SHARED,
    STORE_ISSUED,
    STORES_AWAITED,
    STORES_COMMITTED,
)

PORT_BYTES = 64  # a cycle, between an SM and L2


@dataclass(frozen=True)
class Timed:
    """An action: when the warp came to it, when it went on, and when what it started was over."""

    warp: int  # rank * 32 + index
    action: Action
    came: int
    went_on: int
    over: int
    group: int = -1  # of the warp's copies, stores or products


@dataclass
class _Warp:
    """Where a warp is in its actions, and what it has in flight."""

    actions: list[Action]
    next: int = 0
    now: int = 0
    came: int = -1  # to the action that it waits at
    groups: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0]))

    def start(self, unit: str, over: int) -> int:
        """Something in the open group, which is over then; the group's number."""
        ends = self.groups[unit]
        ends[-1] = max(ends[-1], over)
        return len(ends) - 1

    def close(self, unit: str) -> int:
        """Commit the open group; its number."""
        self.groups[unit].append(0)
        return len(self.groups[unit]) - 2

    def end_of(self, unit: str, pending: int) -> int:
        """When all but the last ``pending`` groups are over; -1: whatever was started."""
        ends = self.groups[unit]
        done = ends if pending < 0 else ends[: max(len(ends) - 1 - pending, 0)]
        return max(done, default=0)


def replay(run: Run, arch: Arch, products: dict[int, int]) -> list[Timed]:
    """All actions in the order of their times. ``products``: tensor cycles of a wgmma, by site."""
    return _Replay(run, arch, products).play()


class _Replay:
    def __init__(self, run: Run, arch: Arch, products: dict[int, int]) -> None:
        self.run, self.arch, self.products = run, arch, products
        self.warps = {number: _Warp(actions) for number, actions in sorted(run.warps.items())}
        self.needs = dict(run.needs)
        self.times: dict[Condition, int] = defaultdict(int)  # of what has happened of a condition
        self.asleep: dict[Condition, list[int]] = defaultdict(list)
        self.queue = [(0, number) for number in self.warps]
        self.memory_free: dict[int, float] = defaultdict(float)  # by rank
        self.tensor_free: dict[tuple[int, int], int] = defaultdict(int)  # by rank and scheduler
        self.last_load: tuple[int, int, int, int, int, int] | None = None
        self.done: list[Timed] = []
        self.helped: set[int] = set()  # events of coming to a barrier

    def play(self) -> list[Timed]:
        heapq.heapify(self.queue)
        while True:
            while self.queue:
                _, number = heapq.heappop(self.queue)
                self.step(number)
            late = [
                (warp.actions[warp.next].event, number)
                for number, warp in self.warps.items()
                if warp.next < len(warp.actions)
            ]
            if not late:
                break
            # what the run never showed to have happened: whoever was first goes on
            number = min(late)[1]
            self.warps[number].actions[self.warps[number].next].waits.clear()
            heapq.heappush(self.queue, (self.warps[number].now, number))
        self.done.sort(key=lambda timed: (timed.came, timed.action.event))
        return self.done

    def step(self, number: int) -> None:
        """A warp's next action, if nothing keeps it from it."""
        warp = self.warps[number]
        if warp.next == len(warp.actions):
            return
        action = warp.actions[warp.next]
        if warp.came < 0:
            if action.delta:
                warp.now += action.delta
            warp.came = warp.now
            if action.delta:  # others that come here earlier go first
                heapq.heappush(self.queue, (warp.now, number))
                return
        if action.helps is not None and action.waits and action.event not in self.helped:
            self.helped.add(action.event)  # a barrier: to come is part of waiting
            self.contribute(action.helps, warp.now)
        for condition in action.waits:
            if self.needs.get(condition, 0) > 0:
                self.asleep[condition].append(number)
                return
        now = max([warp.now, *(self.times[c] for c in action.waits)])
        over, group, now = self.perform(number, warp, action, now)
        if action.helps is not None and not action.waits:
            self.contribute(action.helps, over)
        self.done.append(Timed(number, action, warp.came, now, over, group))
        warp.now, warp.came = now, -1
        warp.next += 1
        heapq.heappush(self.queue, (warp.now, number))

    def contribute(self, condition: Condition, time: int) -> None:
        self.times[condition] = max(self.times[condition], time)
        self.needs[condition] = self.needs.get(condition, 1) - 1
        if self.needs[condition] <= 0:
            for number in self.asleep.pop(condition, ()):
                heapq.heappush(self.queue, (max(self.times[condition], time), number))

    def perform(self, number: int, warp: _Warp, action: Action, now: int) -> tuple[int, int, int]:
        """When what the action starts is over, its group, and when the warp goes on."""
        rank, kind = number // MAX_WARPS, action.kind
        if kind == LOAD_ISSUED:
            return self.land(rank, number, action, now), -1, now
        if kind == COPY_ISSUED:
            over = self.transfer(rank, action.number, now) + self.arch.dram_latency_cycles
            return over, warp.start("copies", over), now
        if kind == STORE_ISSUED:
            over = self.transfer(rank, action.number, now)
            return over, warp.start("stores", over), now
        if kind == PRODUCT:
            unit = rank, number % self.arch.schedulers_per_sm
            begins = max(now, self.tensor_free[unit])
            self.tensor_free[unit] = over = begins + self.products.get(action.site, 1)
            return over, warp.start("products", over), now
        if kind == PRODUCTS_COMMITTED:
            over = warp.groups["products"][-1]
            return max(over, now), warp.close("products"), now
        if kind == COPIES_COMMITTED:
            return now, warp.close("copies"), now
        if kind == STORES_COMMITTED:
            return now, warp.close("stores"), now
        if kind == COPIES_AWAITED:
            now = max(now, warp.end_of("copies", action.number))
        elif kind == STORES_AWAITED:
            now = max(now, warp.end_of("stores", action.number))
        elif kind == COPIES_TRACKED:
            return max(now, warp.end_of("copies", -1)), -1, now
        elif kind == READS_SHARED:
            return now + SHARED_CYCLES, -1, now
        return now, -1, now

    def transfer(self, rank: int, nbytes: int, now: int) -> int:
        """When the last of some bytes has passed."""
        start = max(self.memory_free[rank], float(now))
        self.memory_free[rank] = start + nbytes / PORT_BYTES
        return round(self.memory_free[rank])

    def land(self, rank: int, number: int, action: Action, now: int) -> int:
        """When a bulk copy lands; those of one multicast do together."""
        peer = max((r for r, base in self.run.bases.items() if base <= action.address),
                   key=lambda r: self.run.bases[r], default=rank)  # fmt: skip
        place = action.address - self.run.bases.get(peer, 0)
        this = (number, action.site, now, place, action.number)
        if self.last_load is not None and self.last_load[:5] == this:
            return self.last_load[5]
        over = self.transfer(rank, action.number, now) + self.arch.dram_latency_cycles
        self.last_load = (*this, over)
        return over
