"""Device memory: one reserved arena, gaps between allocations.

Addresses are host addresses, so compiled code reads and writes them directly; before it does, each
access is checked against the table of allocations, and what is in none of them ends the launch.
"""

from __future__ import annotations

import bisect
import ctypes
import mmap
from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from emulator.heap import Heap

ALIGNMENT = 512  # as cudaMalloc's
GAP = 64 << 10  # never allocated, round every allocation
POISON = 0xFF  # NaN as a float, -1 as an integer: what was never written shows
PAGE = mmap.PAGESIZE


class Allocation:
    """``nbytes`` of device memory at ``address``, named for messages."""

    def __init__(
        self,
        memory: DeviceMemory,
        address: int,
        nbytes: int,
        name: str | None,
        writable: bool,
        gap: int = GAP,
    ) -> None:
        self.memory = memory
        self.address = address
        self.nbytes = nbytes
        self.name = name
        self.writable = writable
        self.gap = gap
        self.freed = False
        self.fresh = False  # whether initcheck takes what still holds POISON for unwritten
        # what it does not, all the same: bytes known to be written; None: none are
        self.written: npt.NDArray[np.bool_] | None = None
        self._unwatched = 0

    @property
    def end(self) -> int:
        return self.address + self.nbytes

    def view(self) -> npt.NDArray[np.uint8]:
        """The bytes themselves: writable, no copy."""
        if self.freed:
            raise ValueError(f"device memory {self.name or hex(self.address)!r} has been freed")
        return self.memory.bytes_at(self.address, self.nbytes)

    def begin_unwritten(self) -> None:
        """Count as never written what holds 0xFF bytes from here on, for initcheck."""
        self.fresh = True
        self._unwatched = self.memory.unwatched

    @property
    def doubtful(self) -> bool:
        """Whether a launch without initcheck may have written bytes that count as unwritten."""
        return self._unwatched != self.memory.unwatched

    def __repr__(self) -> str:
        return f"Allocation({self.name or 'unnamed'}, {self.address:#x}, {self.nbytes} bytes)"


class DeviceMemory:
    """One GPU's memory. ``capacity`` bytes of address space are reserved; RAM comes with use."""

    def __init__(self, capacity: int = 64 << 30) -> None:
        self._arena = _reserve(capacity)
        self.capacity = len(self._arena)
        self._buffer = (ctypes.c_char * self.capacity).from_buffer(self._arena)
        self.base = ctypes.addressof(self._buffer)
        self._bytes = np.frombuffer(self._arena, dtype=np.uint8)
        self._starts: list[int] = []
        self._live: list[Allocation] = []
        self._next = self.base + GAP
        self.recently_freed: deque[Allocation] = deque(maxlen=256)
        self.heap = Heap(self)
        self._table = np.zeros((64, 4), dtype=np.uint64)
        self.unwatched = 0  # launches so far that initcheck did not watch
        self.version = 0  # counts changes, so that a launch can keep its table of regions

    def bytes_at(self, address: int, nbytes: int) -> npt.NDArray[np.uint8]:
        start = address - self.base
        return self._bytes[start : start + nbytes]

    def allocate(
        self,
        nbytes: int,
        name: str | None = None,
        align: int = ALIGNMENT,
        *,
        poison: bool = True,
        writable: bool = True,
        gap: int = GAP,
    ) -> Allocation:
        """Reserve ``nbytes``, filled with 0xFF so that what is never written shows.

        ``gap`` is how far it keeps from others; of two neighbours the one that wants more gets it.
        Raises :class:`MemoryError` when the arena is full.
        """
        if nbytes < 0:
            raise ValueError(f"cannot allocate {nbytes} bytes")
        address = self._find(nbytes, align, gap)
        allocation = Allocation(self, address, nbytes, name, writable, gap)
        at = bisect.bisect_left(self._starts, address)
        self._starts.insert(at, address)
        self._live.insert(at, allocation)
        self._enter(at, allocation)
        self._next = address + nbytes + gap
        self.version += 1
        if poison:
            try:
                self.bytes_at(address, nbytes)[:] = POISON
            except MemoryError as error:
                raise MemoryError(f"no host memory left for {nbytes} bytes") from error
        return allocation

    def _enter(self, at: int, allocation: Allocation) -> None:
        count = len(self._live)
        if count > len(self._table):
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
        self._table[at + 1 : count] = self._table[at : count - 1]
        self._table[at] = (allocation.address, allocation.end, 0, allocation.writable)

    def regions(self) -> npt.NDArray[np.uint64]:
        """A copy of the table of live allocations: rows of first, end, 0, whether writable."""
        return self._table[: len(self._live)].copy()

    def clear(self, allocation: Allocation) -> None:
        """Make all its bytes zero, which takes no RAM."""
        first, last = allocation.address - self.base, allocation.end - self.base
        low = min(-(-first // PAGE) * PAGE, last)
        high = max(last // PAGE * PAGE, low)
        if high > low:
            self._arena.madvise(mmap.MADV_DONTNEED, low, high - low)
        self._bytes[first:low] = 0
        self._bytes[high:last] = 0

    def _find(self, nbytes: int, align: int, gap: int) -> int:
        """Next fit: memory is used again as late as possible, so stale pointers are noticed."""
        limit = self.base + self.capacity
        for start in (self._next, self.base + GAP):
            for low, high in self._holes(start, limit, gap):
                address = -(-low // align) * align
                if address + nbytes <= high:
                    return address
        used = sum(a.nbytes for a in self._live)
        raise MemoryError(
            f"the software GPU's memory is full: {nbytes:,} bytes asked for, {used:,} of "
            f"{self.capacity:,} in use; free arrays or use smaller ones"
        )

    def _holes(self, start: int, limit: int, gap: int) -> Iterator[tuple[int, int]]:
        at = bisect.bisect_right(self._starts, start) - 1
        before = self._live[at] if at >= 0 else None
        low = start if before is None else max(start, before.end + max(before.gap, gap))
        for index in range(at + 1, len(self._live)):
            allocation = self._live[index]
            apart = max(allocation.gap, gap)
            yield low, allocation.address - apart
            low = max(low, allocation.end + apart)
        yield low, limit - GAP

    def free(self, allocation: Allocation) -> None:
        """Give memory back. A kernel that still uses it faults."""
        if allocation.freed:
            return
        at = bisect.bisect_left(self._starts, allocation.address)
        while self._live[at] is not allocation:
            at += 1
        del self._starts[at], self._live[at]
        self._table[at : len(self._live)] = self._table[at + 1 : len(self._live) + 1]
        allocation.freed = True
        self.recently_freed.append(allocation)
        self.version += 1
        first = -(-(allocation.address - self.base) // PAGE) * PAGE
        last = (allocation.end - self.base) // PAGE * PAGE
        if last > first:
            self._arena.madvise(mmap.MADV_DONTNEED, first, last - first)

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """Live allocations, by address."""
        return tuple(self._live)

    def nearest(self, address: int) -> Allocation | None:
        """The live allocation closest to an address."""
        at = bisect.bisect_right(self._starts, address)
        around = self._live[max(at - 1, 0) : at + 1]
        return min(around, key=lambda a: distance(a, address), default=None)


def distance(allocation: Allocation, address: int) -> int:
    """Bytes between an address and an allocation; 0 inside."""
    if address < allocation.address:
        return allocation.address - address
    return max(address - allocation.end + 1, 0)


def _reserve(capacity: int) -> mmap.mmap:
    """Address space without RAM behind it; less where the system allows less."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    size = capacity
    while True:
        try:
            return mmap.mmap(-1, size, flags=flags)
        except (OSError, MemoryError):
            if size <= 64 << 20:
                raise MemoryError(
                    "the software GPU could not reserve 64 MiB of address space; "
                    "raise the memory limit (ulimit -v)"
                ) from None
            size //= 2
