"""Stages: the pieces of shared memory that asynchronous copies fill, turn after turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from emulator.native.layout import MAX_WARPS
from emulator.timeline.dependences import Phase, Run
from emulator.timeline.replay import Timed
from emulator.timeline.result import (
    COPIES,
    FILLING,
    FULL,
    READ,
    STAGE,
    Interval,
    Lane,
)
from emulator.watch.events import (
    COPY_ISSUED,
    LOAD_ISSUED,
    PASSES,
    PRODUCT,
    READS_SHARED,
    WRITES_SHARED,
)

Line = Callable[[int], tuple[str, int, str]]


@dataclass
class Filling:
    """One turn of a stage: copies asked for, landed, and what was read of it until the next."""

    stage: int
    begin: int
    end: int
    nbytes: int
    site: int
    turn: int  # of the stage, from 0
    copies: int = 1
    ours: bool = True  # False once the threads have written something else there
    reads: list[tuple[int, int, int]] = field(default_factory=list)  # begin, end, site


@dataclass
class Stages:
    """All stages of a block, in the order in which they lie in memory."""

    barriers: dict[int, int]  # mbarrier -> stage, of those that copies complete
    others: dict[int, int]  # mbarrier -> stage, of those that give a stage back
    turns: list[list[Filling]]  # by stage

    def number(self, barrier: int) -> int | None:
        """The stage that an mbarrier is about."""
        return self.barriers.get(barrier, self.others.get(barrier))

    def fills(self, barrier: int) -> bool:
        """Whether copies complete an mbarrier."""
        return barrier in self.barriers

    def fillings(self, line: Line) -> Iterable[Interval]:
        """Copies in flight, in the order in which they were asked for."""
        every = [filling for turns in self.turns for filling in turns]
        for one in sorted(every, key=lambda one: (one.begin, one.end)):
            yield self.interval(one, one.begin, one.end, COPIES, one.site, line)

    def lanes(self, line: Line) -> Iterable[Lane]:
        """A lane a stage: filling, full, being read; between them it is empty."""
        for number, turns in enumerate(self.turns):
            found: list[Interval] = []
            for index, one in enumerate(turns):
                until = turns[index + 1].begin if index + 1 < len(turns) else None
                found.append(self.interval(one, one.begin, one.end, FILLING, one.site, line))
                if not one.reads:
                    continue
                begin = min(read[0] for read in one.reads)
                end = max(read[1] for read in one.reads)
                if until is not None:
                    begin, end = min(begin, until), min(end, until)
                begin = max(begin, one.end)
                if begin > one.end:
                    found.append(self.interval(one, one.end, begin, FULL, one.site, line))
                if end > begin:
                    found.append(self.interval(one, begin, end, READ, one.reads[0][2], line))
            yield Lane(f"stage {number}", STAGE, (), tuple(found))

    def interval(
        self, one: Filling, begin: int, end: int, kind: str, site: int, line: Line
    ) -> Interval:
        what = (
            f"stage {one.stage}, turn {one.turn}: {one.nbytes:,} bytes by {one.copies} "
            f"cop{'y' if one.copies == 1 else 'ies'}"
        )
        return Interval(begin, end, kind, what, one.nbytes, *line(site))


def stages_of(
    timed: Sequence[Timed],
    run: Run,
    rank: int,
    shared_bytes: int,
    products: dict[int, int],
    opcodes: Sequence[str],
) -> Stages:
    """The stages of a block: by mbarrier where bulk copies fill them, else by cp.async's groups."""
    base = run.bases.get(rank, 0)

    def here(address: int) -> bool:
        return 0 <= address - base < shared_bytes

    loads = [t for t in timed if t.action.kind == LOAD_ISSUED and here(t.action.address)]
    mine = [t for t in timed if t.warp // MAX_WARPS == rank]
    made = _by_barrier(loads) if loads else _by_group(mine)
    reads = _reads(mine, base, products, opcodes)
    for begin, end, site, address in sorted(reads):
        for number, spans in enumerate(made.spans):
            if any(low <= address < high for low, high in spans):
                last = [one for one in made.turns[number] if one.end <= begin]
                if last and site < 0:
                    last[-1].ours = False
                elif last and last[-1].ours:
                    last[-1].reads.append((begin, end, site))
                break
    others = _gives_back(mine, made.barriers, made.turns)
    return Stages(made.barriers, others, made.turns)


@dataclass
class _Made:
    barriers: dict[int, int]
    spans: list[list[tuple[int, int]]]  # of shared memory, by stage
    turns: list[list[Filling]]


def _by_barrier(loads: Sequence[Timed]) -> _Made:
    lowest: dict[int, int] = {}
    for one in loads:
        barrier = one.action.extra
        lowest[barrier] = min(lowest.get(barrier, one.action.address), one.action.address)
    order = sorted(lowest, key=lambda barrier: (lowest[barrier], barrier))
    barriers = {barrier: number for number, barrier in enumerate(order)}
    spans: list[list[tuple[int, int]]] = [[] for _ in order]
    phases: list[dict[object, Filling]] = [{} for _ in order]
    for one in loads:
        action, number = one.action, barriers[one.action.extra]
        spans[number].append((action.address, action.address + action.number))
        phase = action.helps if isinstance(action.helps, Phase) else None
        _fill(phases[number], phase, number, one)
    turns = [sorted(found.values(), key=lambda f: f.begin) for found in phases]
    return _Made(barriers, [sorted(set(s)) for s in spans], _numbered(turns))


def _by_group(mine: Sequence[Timed]) -> _Made:
    """Groups of the same number, of all warps, go to the stage that begins where they begin."""
    groups: dict[int, list[Timed]] = defaultdict(list)
    for one in mine:
        if one.action.kind == COPY_ISSUED:
            groups[one.group].append(one)
    starts = {group: min(t.action.address for t in copies) for group, copies in groups.items()}
    numbers = {start: number for number, start in enumerate(sorted(set(starts.values())))}
    spans: list[list[tuple[int, int]]] = [[] for _ in numbers]
    turns: list[list[Filling]] = [[] for _ in numbers]
    for group in sorted(groups):
        number = numbers[starts[group]]
        filling: dict[object, Filling] = {}
        for one in groups[group]:
            spans[number].append((one.action.address, one.action.extra))
            _fill(filling, group, number, one)
        turns[number] += filling.values()
    return _Made({}, [sorted(set(s)) for s in spans], _numbered(turns))


def _fill(found: dict[object, Filling], key: object, stage: int, one: Timed) -> None:
    """One more copy of a turn."""
    known = found.get(key)
    if known is None:
        nbytes = one.action.number
        found[key] = Filling(stage, one.came, one.over, nbytes, one.action.site, 0)
        return
    known.begin, known.end = min(known.begin, one.came), max(known.end, one.over)
    known.nbytes += one.action.number
    known.copies += 1


def _numbered(turns: list[list[Filling]]) -> list[list[Filling]]:
    for stage in turns:
        for number, one in enumerate(stage):
            one.turn = number
    return turns


def _reads(
    mine: Sequence[Timed], base: int, products: dict[int, int], opcodes: Sequence[str]
) -> list[tuple[int, int, int, int]]:
    """(begin, end, site, address) of what reads shared memory; site -1 of what writes it."""
    found = []
    for one in mine:
        action = one.action
        if action.kind == PRODUCT:
            begin = max(one.over - products.get(action.site, 1), one.came)
            for descriptor in {action.address, action.number}:
                found.append((begin, one.over, action.site, base + start_of(descriptor)))
        elif action.kind == READS_SHARED and opcodes[action.site] != "cp":
            found.append((one.came, one.over, action.site, action.address))
        elif action.kind == WRITES_SHARED and opcodes[action.site] in ("st", "stmatrix"):
            found.append((one.came, one.over, -1, action.address))
    return found


def start_of(descriptor: int) -> int:
    """Where a matrix begins, as wgmma's descriptor has it: bits 0-13, in 16 bytes."""
    return (descriptor & 0x3FFF) << 4


def _gives_back(
    mine: Sequence[Timed], barriers: dict[int, int], turns: list[list[Filling]]
) -> dict[int, int]:
    """Mbarriers at which somebody waits before a stage is filled: which stage each is about.

    A warp that waits at such an mbarrier asks for copies next; the stage is theirs.
    """
    found: dict[int, int] = {}
    waited: dict[int, int] = {}
    for one in mine:
        action = one.action
        if action.kind == PASSES and action.address not in barriers:
            waited[one.warp] = action.address
        elif action.kind == LOAD_ISSUED and one.warp in waited and action.extra in barriers:
            found.setdefault(waited.pop(one.warp), barriers[action.extra])
    return found
