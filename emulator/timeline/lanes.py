"""Lanes of a block's timeline: roles of warps, stages, and what the hardware beside them does.

A warp whose copies land at mbarriers and that multiplies nothing is a *producer*, a warpgroup that
issues ``wgmma`` is a *consumer*. What lands at one mbarrier is a *stage*; of ``cp.async`` it is
what one group's copies write. A lane of a consumer warpgroup shows its first warp.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from emulator.native.layout import MAX_WARPS
from emulator.timeline.cost import tensor_cycles
from emulator.timeline.dependences import WARPGROUP, Phase, Run, dependences
from emulator.timeline.recording import Recording
from emulator.timeline.replay import Timed, replay
from emulator.timeline.result import (
    CONSUMER,
    PRODUCER,
    PRODUCTS,
    RUNS,
    STORE,
    STORES,
    TENSOR,
    WAITS_FOR_BARRIER,
    WAITS_FOR_COPIES,
    WAITS_FOR_DATA,
    WAITS_FOR_PRODUCTS,
    WAITS_FOR_ROOM,
    WARPS,
    Interval,
    Lane,
    PhaseSpan,
    Timeline,
)
from emulator.timeline.stages import Stages, stages_of
from emulator.watch.events import (
    CLUSTER_WAIT,
    COPIES_AWAITED,
    COPY_ISSUED,
    EXITS,
    LOAD_ISSUED,
    NAMED_SYNC,
    PASSES,
    PRODUCT,
    PRODUCTS_AWAITED,
    STORE_ISSUED,
    STORES_AWAITED,
)

UP_TO = "runs, up to this line"
MOST_ALIKE = 8  # warps of one role, each with a lane; of more than that the first are shown


def timeline_of(recording: Recording) -> Timeline:
    """The timeline of what was recorded."""
    launch = recording.launch
    kernel = launch.kernel
    opcodes = [inst.opcode for inst in kernel.instructions]
    run = dependences(recording.events(), recording.costs, opcodes)
    products = {
        site: tensor_cycles(inst, launch.arch)
        for site, inst in enumerate(kernel.instructions)
        if inst.opcode == "wgmma" and inst.has("mma_async")
    }
    timed = replay(run, launch.arch, products)
    return _Drawing(recording, run, timed, products).timeline()


class _Drawing:
    """Turns timed actions into lanes."""

    def __init__(
        self, recording: Recording, run: Run, timed: list[Timed], products: dict[int, int]
    ) -> None:
        self.recording, self.run, self.products = recording, run, products
        self.kernel = recording.launch.kernel
        self.rank = recording.peers.index(recording.block)
        self.base = run.bases.get(self.rank, 0)
        self.shared_bytes = recording.launch.context.shared_bytes
        self.everybody = timed
        self.mine = [t for t in timed if t.warp // MAX_WARPS == self.rank]
        self.by_warp: dict[int, list[Timed]] = defaultdict(list)
        for one in self.mine:
            self.by_warp[one.warp % MAX_WARPS].append(one)
        opcodes = [inst.opcode for inst in self.kernel.instructions]
        self.stages: Stages = stages_of(timed, run, self.rank, self.shared_bytes, products, opcodes)
        self.end = max((one.went_on for one in self.mine), default=0)

    def timeline(self) -> Timeline:
        lanes = [*self.warp_lanes(), *self.stages.lanes(self.line)]
        notes = [
            "Times are a model's: waits come true in the order that the run had, copies share the "
            "SM's port to L2, and tensor cores take each product its time."
        ]
        missed = self.recording.state.missed
        if missed:
            notes.append(f"{missed:,} events too many: the timeline ends before the block does.")
        cycles = max([self.end, *(one.end for lane in lanes for one in lane.intervals)])
        return Timeline(
            self.kernel.name,
            self.recording.launch.arch.name,
            self.recording.block,
            cycles,
            tuple(lanes),
            tuple(self.phases()),
            tuple(self.stages.fillings(self.line)),
            tuple(notes),
        )

    # --- warps ----------------------------------------------------------------------------------

    def warp_lanes(self) -> Iterable[Lane]:
        """Producers, then each consumer with its tensor cores, then others, then stores."""
        kinds = {warp: {one.action.kind for one in mine} for warp, mine in self.by_warp.items()}
        consumers = {warp // WARPGROUP for warp, has in kinds.items() if PRODUCT in has}
        members = {w for w in kinds if w // WARPGROUP in consumers}
        loads = [w for w in sorted(kinds) if LOAD_ISSUED in kinds[w] and w not in members]
        rest = [w for w in sorted(kinds) if w not in members and w not in loads]
        if consumers or loads:  # whoever only begins and ends beside them
            rest = [w for w in rest if kinds[w] & {PASSES, COPY_ISSUED, STORE_ISSUED}]
        for warp in loads:
            name = "producer" if consumers or rest else "copies and computes"
            yield Lane(f"warp {warp}: {name}", PRODUCER, (warp,), self.doings(warp))
        for number, group in enumerate(sorted(consumers)):
            warps = tuple(w for w in sorted(kinds) if w // WARPGROUP == group)
            name = f"warps {warps[0]}-{warps[-1]}: consumer {number}"
            yield Lane(name, CONSUMER, warps, self.doings(warps[0]))
            yield Lane(f"products of consumer {number}", TENSOR, warps, self.groups(warps))
        for warp in rest[:MOST_ALIKE]:
            yield Lane(f"warp {warp}", WARPS, (warp,), self.doings(warp))
        stores = self.stores()
        if stores:
            yield Lane("TMA stores", STORE, (), stores)

    def doings(self, warp: int) -> tuple[Interval, ...]:
        """What a warp does, from its first instruction to its last."""
        found: list[Interval] = []
        since = 0
        for one in self.by_warp[warp]:
            if one.went_on > one.came:
                if one.came > since:
                    found.append(self.interval(since, one.came, RUNS, UP_TO, one.action.site))
                kind, what = self.wait_of(one)
                found.append(self.interval(one.came, one.went_on, kind, what, one.action.site))
                since = one.went_on
        last = self.by_warp[warp][-1]
        if last.went_on > since:
            text = "runs, and ends" if last.action.kind == EXITS else UP_TO
            found.append(self.interval(since, last.went_on, RUNS, text, last.action.site))
        return tuple(found)

    def wait_of(self, one: Timed) -> tuple[str, str]:
        """What a wait is for, as a kind and in words."""
        action = one.action
        if action.kind == PASSES:
            number = self.stages.number(action.address)
            phase = next((c for c in action.waits if isinstance(c, Phase)), None)
            which = "" if phase is None else f", phase {phase.number} (parity {phase.parity})"
            if number is not None and self.stages.fills(action.address):
                return WAITS_FOR_DATA, f"waits for stage {number} to be full{which}"
            if number is not None:
                return WAITS_FOR_ROOM, f"waits for stage {number} to be empty{which}"
            return WAITS_FOR_ROOM, f"waits at the mbarrier at {action.address - self.base}{which}"
        if action.kind == PRODUCTS_AWAITED:
            return WAITS_FOR_PRODUCTS, _groups("products", action.number)
        if action.kind == COPIES_AWAITED:
            return WAITS_FOR_COPIES, _groups("copies", action.number)
        if action.kind == STORES_AWAITED:
            return WAITS_FOR_COPIES, _groups("stores", action.number)
        if action.kind == NAMED_SYNC:
            return WAITS_FOR_BARRIER, f"waits at barrier {action.number}"
        if action.kind == CLUSTER_WAIT:
            return WAITS_FOR_BARRIER, "waits for the other blocks of its cluster"
        return WAITS_FOR_BARRIER, "waits"

    def groups(self, warps: Sequence[int]) -> tuple[Interval, ...]:
        """A warpgroup's groups of products, from the tensor cores' start on each to its end."""
        spans: dict[int, list[int]] = {}
        sites: dict[int, int] = {}
        for warp in warps:
            for one in self.by_warp[warp]:
                if one.action.kind == PRODUCT:
                    begin = one.over - self.products.get(one.action.site, 1)
                    span = spans.setdefault(one.group, [begin, one.over, 0])
                    span[0], span[1] = min(span[0], begin), max(span[1], one.over)
                    span[2] += 1
                    sites.setdefault(one.group, one.action.site)
        found = []
        before = 0
        for group, (begin, end, count) in sorted(spans.items()):
            what = f"group {group}: {count // max(len(warps), 1)} wgmma of the warpgroup"
            begin = max(begin, before)
            found.append(self.interval(begin, max(end, begin), PRODUCTS, what, sites[group]))
            before = max(end, begin)
        return tuple(found)

    def stores(self) -> tuple[Interval, ...]:
        """When bulk copies read shared memory to store it."""
        found: list[Interval] = []
        for one in sorted(self.mine, key=lambda one: one.over):
            if one.action.kind == STORE_ISSUED:
                begin = max(one.came, found[-1].end if found else 0)
                what = (
                    f"{one.action.number:,} bytes of warp {one.warp % MAX_WARPS} to global memory"
                )
                if one.over > begin:
                    found.append(self.interval(begin, one.over, STORES, what, one.action.site,
                                               one.action.number))  # fmt: skip
        return tuple(found)

    # --- phases ---------------------------------------------------------------------------------

    def phases(self) -> Iterable[PhaseSpan]:
        """Phases of the block's mbarriers that were completed, by mbarrier."""
        times: dict[Phase, int] = {}
        for one in self.everybody:
            if isinstance(one.action.helps, Phase):
                times[one.action.helps] = max(times.get(one.action.helps, 0), one.over)
        before: dict[tuple[int, int], int] = {}
        for phase in sorted(times, key=lambda p: (p.barrier, p.made, p.number)):
            if not 0 <= phase.barrier - self.base < self.shared_bytes:
                continue
            if phase not in self.run.complete:
                continue
            key = phase.barrier, phase.made
            number = self.stages.number(phase.barrier)
            yield PhaseSpan(
                phase.barrier - self.base, -1 if number is None else number,
                self.stages.fills(phase.barrier), phase.number, before.get(key, 0), times[phase],
            )  # fmt: skip
            before[key] = times[phase]

    # --- source ---------------------------------------------------------------------------------

    def interval(
        self, begin: int, end: int, kind: str, what: str, site: int, nbytes: int = 0
    ) -> Interval:
        file, line, text = self.line(site)
        return Interval(begin, end, kind, what, nbytes, file, line, text)

    def line(self, site: int) -> tuple[str, int, str]:
        """File, number and text of the source line of an instruction."""
        if not 0 <= site < len(self.kernel.instructions):
            return "", 0, ""
        found = self.kernel.module.source_line(self.kernel.instructions[site])
        return ("", 0, "") if found is None else (found.file, found.line, found.text.strip())


Line = Callable[[int], tuple[str, int, str]]


def _groups(of: str, pending: int) -> str:
    """What a wait_group waits for."""
    if pending < 0:
        return f"waits for all {of}"
    return f"waits until {pending} group{'s' * (pending != 1)} of {of} are under way at most"
