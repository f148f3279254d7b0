"""Which events waited for which: the order that a run has shown, without its times.

Events of a run come in the order in which the emulator's warps took turns. Another order could have
happened as well; what every order has in common is that a wait ends when what it waits for has
happened. Here each event becomes an action of its warp, which may wait for conditions and may
contribute to others: a phase of an mbarrier, an instance of a named or a cluster's barrier, a group
of products, registers given back.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from emulator.native.layout import MAX_WARPS
from emulator.timeline.cost import Costs
from emulator.watch.events import (
    ARRIVES,
    BARRIER_MADE,
    BEGINS,
    CLUSTER_ARRIVE,
    CLUSTER_WAIT,
    COMPLETES,
    COPIES_TRACKED,
    EXPECTS,
    LOAD_ISSUED,
    LOAD_LANDED,
    NAMED_ARRIVE,
    NAMED_RELEASED,
    NAMED_SYNC,
    PASSES,
    PRODUCTS_AWAITED,
    PRODUCTS_COMMITTED,
    REGISTERS,
    WAITS,
)

WARPGROUP = 4
# What is only about other events, or about what a warp did not do itself.
SILENT = {BARRIER_MADE, COMPLETES, LOAD_LANDED, NAMED_RELEASED, WAITS, BEGINS}
Condition = Hashable


@dataclass(frozen=True)
class Phase:
    """A phase of an mbarrier, by its number since the mbarrier was last initialised."""

    barrier: int  # its address
    made: int  # how often it had been initialised before
    number: int

    @property
    def parity(self) -> int:
        """As ``mbarrier.try_wait.parity`` has it."""
        return self.number & 1


@dataclass
class Action:
    """What a warp did: ``delta`` cycles after its action before, once ``waits`` have come true."""

    event: int  # its number in the recording
    kind: int
    site: int
    address: int
    number: int
    extra: int
    delta: int
    waits: list[Condition] = field(default_factory=list)
    helps: Condition | None = None  # what cannot come true before this has happened


@dataclass
class Run:
    """The actions of each warp, by rank * 32 + index, and what conditions wait for."""

    warps: dict[int, list[Action]]
    needs: Counter[Condition]  # contributions
    bases: dict[int, int]  # address of shared memory, by rank
    complete: set[Phase]  # that ended


def dependences(events: npt.NDArray[np.int64], costs: Costs, opcodes: Sequence[str]) -> Run:
    """The actions of a recording. ``opcodes`` has each site's."""
    return _Reader(events, costs, opcodes).read()


class _Reader:
    """Goes through a recording once, in its order."""

    def __init__(self, events: npt.NDArray[np.int64], costs: Costs, opcodes: Sequence[str]) -> None:
        self.events, self.costs, self.opcodes = events, costs, opcodes
        self.run = Run(defaultdict(list), Counter(), {}, set())
        self.phases: dict[int, Phase] = {}  # under way, by mbarrier
        self.on_their_way: dict[Hashable, deque[Action]] = defaultdict(deque)
        self.counted: dict[int, int] = defaultdict(int)  # cycles at a warp's last action
        self.in_vain: dict[int, int] = {}  # by warp: cycles at its first test in vain
        self.named: Counter[tuple[int, int]] = Counter()  # releases of each block's barriers
        self.met: Counter[int] = Counter()  # arrivals of each warp at the cluster's barrier
        self.groups: Counter[int] = Counter()  # of products, that a warp has committed
        self.given: dict[int, list[Condition]] = defaultdict(list)  # registers, by rank

    def read(self) -> Run:
        for index, words in enumerate(self.events.tolist()):
            cycles, warp, _, kind, site, address, number, extra = words
            if site >= 0:
                cycles += int(self.costs.after[site])
            if kind in SILENT:
                self.silent(warp, kind, cycles, address, number, extra)
                continue
            arrives_later = kind == ARRIVES and site >= 0 and self.opcodes[site] == "cp"
            if arrives_later or (kind == EXPECTS and number < 0):
                if arrives_later:  # cp.async.mbarrier.arrive said it would
                    self.came(("tracked", warp, address), address)
                continue
            if kind == PASSES and warp in self.in_vain:
                delta = self.in_vain.pop(warp) - self.counted[warp]
            else:
                delta = cycles - self.counted[warp]
            self.counted[warp] = cycles
            action = Action(index, kind, site, address, number, extra, max(delta, 0))
            self.relate(warp, action)
            self.run.warps[warp].append(action)
        return self.run

    def silent(
        self, warp: int, kind: int, cycles: int, address: int, number: int, extra: int
    ) -> None:
        """An event that is no action of a warp's."""
        if kind == BEGINS:
            self.run.bases[extra] = address
        elif kind == BARRIER_MADE:
            before = self.phases.get(address)
            self.phases[address] = Phase(address, before.made + 1 if before else 0, 0)
        elif kind == COMPLETES:
            phase = self.phase(address)
            self.run.complete.add(phase)
            self.phases[address] = Phase(address, phase.made, phase.number + 1)
        elif kind == LOAD_LANDED:
            self.came(("load", address, extra), extra)
        elif kind == NAMED_RELEASED:
            self.named[warp // MAX_WARPS, number] += 1
        elif kind == WAITS:
            self.in_vain.setdefault(warp, cycles)

    def phase(self, barrier: int) -> Phase:
        """The phase that an mbarrier is in."""
        return self.phases.setdefault(barrier, Phase(barrier, 0, 0))

    def came(self, which: Hashable, barrier: int) -> None:
        """What an earlier action started has come: to the phase that the mbarrier is in."""
        waiting = self.on_their_way[which]
        if waiting:
            self.help(waiting.popleft(), self.phase(barrier))

    def help(self, action: Action, condition: Condition) -> None:
        action.helps = condition
        self.run.needs[condition] += 1

    def relate(self, warp: int, action: Action) -> None:
        """What an action waits for, and what waits for it."""
        kind, rank = action.kind, warp // MAX_WARPS
        if kind in (ARRIVES, EXPECTS):
            self.help(action, self.phase(action.address))
        elif kind == PASSES:
            now = self.phase(action.address)
            if now.number > 0:
                action.waits.append(Phase(now.barrier, now.made, now.number - 1))
        elif kind == LOAD_ISSUED:
            self.on_their_way["load", action.address, action.extra].append(action)
        elif kind == COPIES_TRACKED:
            self.on_their_way["tracked", warp, action.address].append(action)
        elif kind in (NAMED_SYNC, NAMED_ARRIVE):
            come = ("barrier", rank, action.number, self.named[rank, action.number])
            self.help(action, come)
            if kind == NAMED_SYNC:
                action.waits.append(come)
        elif kind == CLUSTER_ARRIVE:
            self.help(action, ("cluster", self.met[warp]))
            self.met[warp] += 1
        elif kind == CLUSTER_WAIT and self.met[warp]:
            action.waits.append(("cluster", self.met[warp] - 1))
        elif kind == PRODUCTS_COMMITTED:
            self.help(action, ("products", warp // WARPGROUP, self.groups[warp]))
            self.groups[warp] += 1
        elif kind == PRODUCTS_AWAITED:
            last = self.groups[warp] - action.number
            if last > 0:
                action.waits.append(("products", warp // WARPGROUP, last - 1))
        elif kind == REGISTERS and action.number < action.extra:
            given = ("registers", warp, action.event)
            self.help(action, given)
            self.given[rank].append(given)
        elif kind == REGISTERS:
            action.waits += self.given[rank]
