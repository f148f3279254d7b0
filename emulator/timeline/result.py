"""A timeline as plain data."""

from __future__ import annotations

from dataclasses import dataclass

# What an interval of a warp's lane is.
RUNS = "runs"
WAITS_FOR_DATA = "waits for data"  # at an mbarrier that copies complete
WAITS_FOR_ROOM = "waits for room"  # at any other mbarrier: a stage to be free again
WAITS_FOR_PRODUCTS = "waits for products"  # wgmma.wait_group
WAITS_FOR_COPIES = "waits for copies"  # cp.async.wait_group, cp.async.bulk.wait_group
WAITS_FOR_BARRIER = "waits at a barrier"  # of the block or of the cluster
# Of a stage's: besides, a stage is empty.
FILLING, FULL, READ = "filling", "full", "being read"
# Of hardware's.
PRODUCTS, STORES, COPIES = "products", "stores", "copies"

# What a lane is of.
PRODUCER, CONSUMER, WARPS, TENSOR, STAGE, STORE = (
    "producer", "consumer", "warps", "tensor cores", "stage", "stores"
)  # fmt: skip
WAITS = (
    WAITS_FOR_DATA, WAITS_FOR_ROOM, WAITS_FOR_PRODUCTS, WAITS_FOR_COPIES, WAITS_FOR_BARRIER
)  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """Something from ``begin`` to ``end``, in cycles since the block began."""

    begin: int
    end: int
    kind: str
    what: str  # in words
    nbytes: int = 0  # of copies
    file: str = ""  # of the instruction that it began with
    line: int = 0  # 0: unknown
    source_text: str = ""

    @property
    def cycles(self) -> int:
        """How long it takes."""
        return self.end - self.begin


@dataclass(frozen=True)
class Lane:
    """What one warp, warpgroup or stage, or the tensor cores for a warpgroup, did."""

    name: str
    role: str
    warps: tuple[int, ...]  # that it is about; of those that do the same the first is shown
    intervals: tuple[Interval, ...]  # in order, none over another; between them nothing

    def spent(self, *kinds: str) -> int:
        """Cycles of intervals of these kinds."""
        return sum(one.cycles for one in self.intervals if one.kind in kinds)


@dataclass(frozen=True)
class PhaseSpan:
    """A phase of an mbarrier: from the one before to its completion."""

    barrier: int  # its offset in the block's shared memory
    stage: int  # that it is about, -1: none
    fills: bool  # it counts copies' bytes; else a stage is given back
    number: int
    begin: int
    end: int

    @property
    def parity(self) -> int:
        """That ``mbarrier.try_wait.parity`` waits for."""
        return self.number & 1


@dataclass(frozen=True)
class Timeline:
    """What one block did, in modelled cycles."""

    kernel: str
    device: str
    block: int  # linear index
    cycles: int  # until its last warp ended
    lanes: tuple[Lane, ...]
    phases: tuple[PhaseSpan, ...]
    copies: tuple[Interval, ...]  # each stage's filling: first asked for, last byte landed
    notes: tuple[str, ...] = ()

    def of(self, role: str) -> tuple[Lane, ...]:
        """The lanes of a role."""
        return tuple(lane for lane in self.lanes if lane.role == role)

    @property
    def copies_in_flight(self) -> int:
        """Most fillings of stages that were under way at once."""
        edges = sorted(edge for one in self.copies for edge in ((one.begin, 1), (one.end, -1)))
        most = now = 0
        for _, step in edges:
            now += step
            most = max(most, now)
        return most

    @property
    def tensor_cycles(self) -> int:
        """Cycles in which the tensor cores work on a group of some warpgroup's products."""
        total = reached = 0
        groups = (one for lane in self.of(TENSOR) for one in lane.intervals)
        for one in sorted(groups, key=lambda one: one.begin):
            total += max(one.end - max(one.begin, reached), 0)
            reached = max(reached, one.end)
        return total

    def __str__(self) -> str:
        """Lanes, and what each spent its time on."""
        lines = [
            f"{self.kernel}, block {self.block}: {self.cycles:,} cycles, modelled ({self.device})"
        ]
        for lane in self.lanes:
            kinds = sorted({one.kind for one in lane.intervals}, key=lane.spent, reverse=True)
            spent = ", ".join(
                f"{kind} {lane.spent(kind) / max(self.cycles, 1):.0%}" for kind in kinds
            )
            lines.append(f"  {lane.name}: {spent or 'nothing'}")
        return "\n".join([*lines, *self.notes])
