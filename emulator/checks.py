"""The checkers, as compute-sanitizer names them: what a launch turns on, and what they found.

memcheck is always on and ends a launch. The others complain and let it go on.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emulator.facts import LARGEST_GRANULE, MemoryInstructions
from emulator.memory import Allocation, DeviceMemory
from emulator.native import jit
from emulator.native.layout import RACES, UNINITIALISED, BlockState
from emulator.watch import shadow as layout
from emulator.watch.clusters import MBARRIERS, VISITS_BYTES
from emulator.watch.operands import table_bytes
from emulator.watch.shadow import CELL_BYTES, LINE_BYTES, Checker, Found, Shadow

if TYPE_CHECKING:
    from emulator.report import Finding
    from emulator.running import Launch

CHECKS = ("memcheck", "racecheck", "initcheck", "synccheck")
OBSERVE = {"racecheck": RACES, "initcheck": UNINITIALISED}
TABLE = 1 << 12
LINE_CELLS = 32
MOST_KEPT = 1 << 28  # bytes of RAM that lines and cells may hold between launches
HEAP_ROOM = 1 << 30  # of addresses behind the last array, for what a kernel allocates itself


def checks_named(checks: Collection[str] | str) -> frozenset[str]:
    """The checks that are on. "all" is all of them; memcheck always is.

    Raises :class:`ValueError` for names that compute-sanitizer's tools do not have.
    """
    names = {checks} if isinstance(checks, str) else set(checks)
    if unknown := sorted(names - {*CHECKS, "all"}):
        raise ValueError(
            f"no check {', '.join(map(repr, unknown))}; there are {', '.join(CHECKS)}, "
            'and "all" of them'
        )
    return frozenset(CHECKS) if "all" in names else frozenset(names | {"memcheck"})


@dataclass
class Kept:
    """Lines and cells of global memory, which the next launch uses again.

    Touching fresh pages takes longer than all else that the checkers do, and so would clearing.
    Instead lines say in which epoch they were touched; a launch begins a new one.
    """

    lines: ctypes.Array[ctypes.c_char]
    cells: ctypes.Array[ctypes.c_char]
    epoch: int = 0
    # bytes of both that may take RAM, at most: for the arrays of the last launch, and of others
    touched: int = 0
    touched_before: int = 0
    span: tuple[int, int] = (0, 0)  # of addresses, in the last launch

    def fits(self, lines_bytes: int, cells_bytes: int) -> bool:
        return ctypes.sizeof(self.lines) >= lines_bytes and ctypes.sizeof(self.cells) >= cells_bytes

    def note_touched(self, nbytes: int, span: tuple[int, int]) -> int:
        """A launch is over. Launches with the same arrays are taken to touch the same pages."""
        if span == self.span:
            self.touched = max(self.touched, nbytes)
        else:
            self.touched_before += self.touched
            self.touched = nbytes
            self.span = span
        return self.touched_before + self.touched


_kept: weakref.WeakKeyDictionary[DeviceMemory, Kept] = weakref.WeakKeyDictionary()


class Watch:
    """What racecheck and initcheck remember of one launch: :mod:`emulator.watch.shadow`."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.races = "racecheck" in launch.checks
        self.unset = "initcheck" in launch.checks
        self.instructions = MemoryInstructions(launch.kernel.instructions, launch.clustered)
        self.found = (Found * TABLE)()
        self.checker = Checker()
        self.mapped: list[Allocation] = []  # arrays of which some bytes may not be written yet
        self._held: list[object] = []
        checker, facts = self.checker, self.instructions
        checker.facts = ctypes.addressof(facts.facts)
        checker.by_number = facts.flags_by_number.ctypes.data
        checker.found = ctypes.addressof(self.found)
        checker.found_mask = TABLE - 1
        checker.global_shift = facts.granule_shift("global")
        checker.shared_shift = facts.granule_shift("shared")
        live = launch.memory.allocations
        arena_end = launch.memory.base + launch.memory.capacity
        lowest = live[0].address if live else launch.memory.base
        checker.low = lowest & -LINE_CELLS * LARGEST_GRANULE  # where a line begins
        checker.high = min((live[-1].end if live else checker.low) + HEAP_ROOM, arena_end)
        span = checker.high - checker.low
        if self.races:
            cells = (span >> checker.global_shift) + LINE_CELLS
            self.kept = self._take_kept(cells // LINE_CELLS * LINE_BYTES, cells * CELL_BYTES)
            checker.lines = ctypes.addressof(self.kept.lines)
            checker.cells = ctypes.addressof(self.kept.cells)
            checker.epoch = self.kept.epoch
            self._reserve_releases()
        if self.unset:
            self._map_unset(span)
        launch.context.checker = ctypes.addressof(checker)

    def _reserve(self, nbytes: int) -> int:
        """Zeros that take RAM as they are used."""
        buffer = _reserve(nbytes)
        self._held.append(buffer)
        return ctypes.addressof(buffer)

    def _take_kept(self, lines_bytes: int, cells_bytes: int) -> Kept:
        """Lines and cells of an earlier launch, or new ones. Nobody else has them meanwhile."""
        kept = _kept.pop(self.launch.memory, None)
        if kept is None or not kept.fits(lines_bytes, cells_bytes):
            kept = Kept(_reserve(lines_bytes), _reserve(cells_bytes))
        kept.epoch += 1
        return kept

    def _keep(self, kept: Kept) -> None:
        """Let the next launch have the lines and cells, unless they hold much RAM."""
        checker = self.checker
        nbytes = checker.opened * LINE_BYTES + checker.spreads * LINE_CELLS * CELL_BYTES
        if kept.note_touched(nbytes, (checker.low, checker.high)) <= MOST_KEPT:
            _kept[self.launch.memory] = kept

    def _reserve_releases(self) -> None:
        """What each block has released to others, if this kernel ever could."""
        if not self.instructions.releases:
            return
        x, y, z = self.launch.grid
        checker = self.checker
        checker.blocks = min(x * y * z, layout.BLOCK_MASK + 1)
        entry = 8 * (1 + self.launch.context.warps)
        checker.release_bytes = 8 + layout.KEPT_RELEASES * entry
        checker.releases = self._reserve(checker.blocks * checker.release_bytes)
        checker.clustered = int(self.launch.clustered)
        if self.launch.clustered:
            checker.spoke = self._reserve(8 * checker.blocks)
            checker.arrivals = self._reserve(8 * MBARRIERS)

    def _map_unset(self, span: int) -> None:
        """Mark the bytes of arrays that nobody has written."""
        self.mapped = [a for a in self.launch.memory.allocations if a.fresh]
        if not self.mapped:
            return
        checker = self.checker
        checker.unset = self._reserve(span)
        checker.stretches = self._reserve((span >> layout.STRETCH_SHIFT) + 1)
        jit.require("watch.uninitialised")
        map_unwritten = jit.loaded("coalesce_map_unwritten")
        for allocation in self.mapped:
            place = allocation.address - checker.low
            map_unwritten(
                allocation.address,
                allocation.nbytes,
                0 if allocation.written is None else allocation.written.ctypes.data,
                checker.unset + place,
                checker.stretches + (place >> layout.STRETCH_SHIFT),
                layout.DOUBTFUL if allocation.doubtful else layout.UNSET,
            )

    def _note_written(self, allocation: Allocation) -> None:
        """Remember what of an array is written by now."""
        place, nbytes = allocation.address - self.checker.low, allocation.nbytes
        count = -(-nbytes // layout.STRETCH_BYTES)
        stretches = _bytes_at(self.checker.stretches + (place >> layout.STRETCH_SHIFT), count)
        if not stretches.any():
            allocation.fresh = False  # all of it is
            return
        allocation.written = np.equal(
            _bytes_at(self.checker.unset + place, nbytes), layout.SET, out=allocation.written
        )
        closed = (stretches == layout.UNSET) | (stretches == layout.DOUBTFUL)
        allocation.written &= ~np.repeat(closed, layout.STRETCH_BYTES)[:nbytes]

    def add_slot(self, state: BlockState) -> None:
        """Shadows for the blocks that will run one after the other in a slot."""
        context, shadow = self.launch.context, Shadow()
        shadow.shared_bytes = max(context.shared_bytes, 16)
        shadow.local_bytes = context.local_bytes * 32 * context.warps
        if self.races:
            granules = (shadow.shared_bytes >> self.checker.shared_shift) + LINE_CELLS
            shadow.cells = self._reserve(granules * CELL_BYTES)
            shadow.lines = self._reserve(granules // LINE_CELLS * LINE_BYTES)
            if self.launch.clustered:
                shadow.visits = self._reserve(VISITS_BYTES)
            if self.instructions.products:
                shadow.operands = self._reserve(table_bytes(shadow.shared_bytes))
            if self.instructions.copies:
                shadow.in_flight = self._reserve(shadow.shared_bytes)
        if self.unset:
            shadow.shared_unset = self._reserve(shadow.shared_bytes)
            shadow.local_unset = self._reserve(max(shadow.local_bytes, 16))
        self._held.append(shadow)
        state.shadow = ctypes.addressof(shadow)

    def finish(self) -> tuple[Finding, ...]:
        """What was found, the most frequent first. Notes what the launch wrote."""
        from emulator.findings import findings

        if self.races:
            self._keep(self.kept)
        for allocation in self.mapped:
            self._note_written(allocation)
        return findings(self.launch, self.instructions, self.found, self.checker.missed)


def _bytes_at(address: int, nbytes: int) -> npt.NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))


def _reserve(nbytes: int) -> ctypes.Array[ctypes.c_char]:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    size = max(nbytes, mmap.PAGESIZE)
    try:
        return (ctypes.c_char * size).from_buffer(mmap.mmap(-1, size, flags=flags))
    except (OSError, MemoryError) as error:
        raise MemoryError(
            f"the checkers need {nbytes:,} bytes of address space and could not reserve them; "
            "raise the memory limit (ulimit -v), or free arrays"
        ) from error
