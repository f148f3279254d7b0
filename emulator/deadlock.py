"""Launches that would never end: who waits, where, and for whom.

The machine is deterministic: when all that a launch can still change is as it was before, with no
block finished in between, it will come back there for ever. That proves a deadlock, whether the
threads wait at barriers or spin.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from emulator import cfg
from emulator.cfg import Block
from emulator.errors import DeviceFault
from emulator.faults import thread_of
from emulator.misuse import awaited
from emulator.native.layout import (
    AVOID_BIT,
    BARRIER_BIT,
    CLUSTER_BARRIER,
    EXITED,
    MEETING_BIT,
    SHUFFLED,
)
from emulator.ptx import Instruction
from emulator.report import Dim3, Finding
from emulator.running import Launch, Slot, residents

MOST_BARRIERS = 4  # that are described
PATIENT_ROUNDS = 16  # over all waiting blocks, before their states are compared
MOST_STATES = 4096  # remembered
MOST_BYTES = 256 << 20  # of global memory; with more, only a timeout ends a launch that spins


@dataclass(frozen=True)
class Place:
    """What a thread waits for or spins on, in words, and the instruction."""

    verb: str  # "wait at barrier 0", "spin"
    inst: Instruction | None

    def words(self, launch: Launch) -> str:
        source = launch.kernel.module.source_line(self.inst) if self.inst is not None else None
        line = f"{source.file}:{source.line}" if source is not None else "an unknown line"
        return f"{self.verb} ({line})" if self.verb.startswith("wait") else f"{self.verb} at {line}"


class Stillness:
    """Compares the states of a launch's waiting blocks, round for round."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.finished = 0
        self.rounds = 0  # since a block last finished
        self.visits: Counter[bytes] = Counter()
        self.whole: set[tuple[bytes, bytes]] = set()

    def look(self, waiting: Sequence[Slot], finished: int, may_start: bool) -> None:
        """Once a round; raises a :class:`DeviceFault` when the launch goes in circles.

        ``may_start``: another block will start, which may be what the others wait for.
        """
        if finished != self.finished or not waiting:
            self.finished, self.rounds = finished, 0
            self.visits.clear()
            self.whole.clear()
            return
        self.rounds += 1
        # then there is state that is not looked at here
        shuffled = self.launch.context.random != 0 or self.launch.context.copies == SHUFFLED
        if may_start or shuffled or self.rounds < PATIENT_ROUNDS:
            return
        if len(self.visits) > MOST_STATES:
            self.visits.clear()
            self.whole.clear()
        state = self._state(waiting)
        self.visits[state] += 1
        times = self.visits[state]
        # global memory may be large: looked at the 2nd, 4th, 8th time that all else is the same
        if times < 2 or times & (times - 1):
            return
        memory = self._memory()
        if memory is None:
            return
        if (state, memory) in self.whole:
            raise_deadlock(self.launch, waiting)
        self.whole.add((state, memory))

    def _state(self, waiting: Sequence[Slot]) -> bytes:
        """A digest of warps, shared and local memory, and of whether any told the time."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.launch.context.clock_readings.to_bytes(8, "little"))
        digest.update(self.launch.host_calls.to_bytes(8, "little"))
        for slot in residents(waiting):
            if slot.cluster is not None:
                digest.update(bytes(slot.cluster))
            digest.update(bytes(slot.state))
            digest.update(slot.storage.data)
            digest.update(slot.shared.view().data)
            for part in slot.private(self.launch):
                digest.update(part.data)
        return digest.digest()

    def _memory(self) -> bytes | None:
        """A digest of all other memory that a kernel may write; None when it is too much."""
        own = {s.shared.address for s in self.launch.slots}
        own |= {s.local.address for s in self.launch.slots if s.local is not None}
        writable = [
            a for a in self.launch.memory.allocations if a.writable and a.address not in own
        ]
        if sum(a.nbytes for a in writable) > MOST_BYTES:
            return None
        digest = hashlib.blake2b(digest_size=16)
        for allocation in writable:
            digest.update(allocation.view().data)
        return digest.digest()


def raise_deadlock(launch: Launch, waiting: Sequence[Slot]) -> NoReturn:
    """The threads of these blocks wait for one another, for ever."""
    waiting = residents(waiting)
    places = where(launch, waiting)
    most = max(places, key=lambda place: len(places[place]))
    slot, warp, lane = places[most][0]
    block: Dim3 = tuple(slot.state.ctaid)
    blocks = f"block {block}" if len(waiting) == 1 else f"{len(waiting)} blocks"
    threads = launch.context.threads * len(waiting)
    exited = threads - sum(len(lanes) for lanes in places.values())
    advice = "A barrier must be reached by every thread that it waits for"
    if any(place.verb.startswith("spin") for place in places):
        advice = "What they wait for is changed by nobody any more"
        barriers = [words for slot in waiting for words in awaited(slot)]
        if barriers:
            advice = "; ".join(barriers[:MOST_BARRIERS])
            advice = advice[0].upper() + advice[1:]
    elif any("cluster" in place.verb for place in places):
        advice = (
            "The cluster's barrier waits for every thread of all its blocks that has not exited"
        )
    elif any("registers" in place.verb for place in places):
        advice = (
            "setmaxnreg.inc waits until other warps of the block give registers back; all together "
            f"they may have what the launch gave, {launch.context.registers} a thread"
        )
    elif any("products" in place.verb for place in places):
        advice = (
            "wgmma.wait_group waits until all four warps of the warpgroup have committed as many "
            "groups: each of them must execute every wgmma and every wgmma.commit_group"
        )
    elif any("lanes" in place.verb for place in places):
        advice = "Every lane of a mask that has not exited must come"
    message = (
        f"deadlock in kernel {launch.kernel.name!r}, {blocks}: {_words(launch, places)}; none of "
        f"them can go on ({exited} of {threads} threads have exited). {advice}"
    )
    source = launch.kernel.module.source_line(most.inst) if most.inst else None
    raise DeviceFault(
        Finding(
            "synccheck", "deadlock", launch.kernel.name,
            source.file if source else "", source.line if source else 0,
            source.text.strip() if source else "",
            block, thread_of(launch, warp, lane), 0, 0, message,
        )
    )  # fmt: skip


def where(launch: Launch, slots: Sequence[Slot]) -> dict[Place, list[tuple[Slot, int, int]]]:
    """The unfinished threads of blocks as (slot, warp, lane), by what they wait for."""
    found: dict[Place, list[tuple[Slot, int, int]]] = {}
    known: dict[tuple[int, int], Place] = {}
    for slot in slots:
        for index in range(launch.context.warps):
            warp = slot.warp(launch, index)
            for lane, pc in enumerate(warp.pcs):
                if pc == EXITED:
                    continue
                what = 0
                if pc & BARRIER_BIT:
                    what = warp.barrier[lane]
                elif pc & MEETING_BIT:
                    what = warp.members[lane]
                if (pc, what) not in known:
                    known[pc, what] = _place(launch, pc, what)
                found.setdefault(known[pc, what], []).append((slot, index, lane))
    return found


def _place(launch: Launch, pc: int, what: int) -> Place:
    blocks = launch.kernel.graph.blocks
    number = pc & ~(BARRIER_BIT | MEETING_BIT | AVOID_BIT)
    if number >= len(blocks):
        return Place("are", None)
    block = blocks[number]
    if pc & BARRIER_BIT:
        name = "the cluster's barrier" if what == CLUSTER_BARRIER else f"barrier {what}"
        return Place(f"wait at {name}", barrier_before(blocks, number))
    if pc & MEETING_BIT:
        return Place(f"wait for the lanes of mask {what:#010x}", block.meets)
    if block.body and block.body[0].opcode == "setmaxnreg":
        return Place("wait for registers", block.body[0])
    if block.body and cfg.comes_again(block.body[0]):
        return Place("wait for the warpgroup's products", block.body[0])
    loop = _loop_around(blocks, number)
    inside = [i for b in loop for i in b.body]
    polls = [i for i in inside if cfg.may_wait(i) and i.opcode != "nanosleep"]
    loads = [i for i in inside if i.opcode == "ld"]
    if loop:
        return Place("spin", next(iter(polls or loads or inside), None))
    return Place("are", next(iter(block.body), block.meets))


def barrier_before(blocks: Sequence[Block], number: int) -> Instruction | None:
    """The barrier after which lanes go on at a block."""
    for block in blocks:
        resumes = block.falls_to is not None and block.falls_to.number == number
        if resumes and block.body and cfg.waits(block.body[-1]):
            return block.body[-1]
    return None


def _loop_around(blocks: Sequence[Block], number: int) -> Sequence[Block]:
    """The blocks of the innermost loop that holds a block."""
    loops = [
        blocks[target.number : block.number + 1]
        for block in blocks
        for target in (block.jumps_to, block.falls_to)
        if target is not None and target.number <= number <= block.number
    ]
    return min(loops, key=len, default=())


def _words(launch: Launch, places: dict[Place, list[tuple[Slot, int, int]]]) -> str:
    """Places with counts, the most common first; those of one line together."""
    counts: Counter[str] = Counter()
    for place, lanes in places.items():
        counts[place.words(launch)] += len(lanes)
    parts = []
    for words, count in counts.most_common(6):
        verb, _, rest = words.partition(" ")
        singular = {"are": "is"}.get(verb, verb + "s")
        parts.append(f"{count} threads {words}" if count > 1 else f"1 thread {singular} {rest}")
    if len(counts) > len(parts):
        parts.append(f"others at {len(counts) - len(parts)} more places")
    return "; ".join(parts)


def where_threads_are(launch: Launch, waiting: Sequence[Slot]) -> str:
    """What the unfinished threads of these blocks are at, for a launch that took too long."""
    places = where(launch, residents(waiting))
    if not places:
        return "No thread was in the middle of anything: the grid is large, not endless."
    return f"In unfinished blocks {_words(launch, places)}. Does the loop there ever end?"
