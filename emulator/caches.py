"""The modelled caches of a launch: their tables, and what passed each level."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import numpy as np

from emulator.arch import Arch
from emulator.occupancy import Occupancy
from emulator.watch.cachestate import (
    BUCKET_BYTES,
    FILLS_SHIFT,
    LEVEL_BYTES,
    WAYS,
    CacheState,
    Level,
)

LINE_BYTES = 128
SECTOR_BYTES = 32
ROOM = 4  # lines of a table over those that a cache holds: twice them then fit, wherever they lie
A_TIME = 1 << 10  # buckets that NumPy looks at: what it makes of them stays in the host's caches


@dataclass
class Tables:
    """Memory for the caches of one launch at a time; used again, for clearing it takes long."""

    l1: np.ndarray  # (SMs, bytes)
    l2: np.ndarray
    fills: int = 0  # of any level, at most


@dataclass
class Caches:
    """The state that compiled code works on."""

    arch: Arch
    tables: Tables
    state: CacheState = field(default_factory=CacheState)
    # an L1 a row, a field of Level a column: setting them one by one takes long
    levels: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def of(cls, arch: Arch, fits: Occupancy, blocks: int, warps: int, base: int) -> Caches:
        """Empty caches of memory from ``base`` on, for ``blocks`` blocks of ``warps`` warps."""
        caches = cls(
            arch, _take_tables(arch), levels=np.empty((arch.sm_count, LEVEL_BYTES // 8), np.int64)
        )
        tables, state = caches.tables, caches.state
        state.wave_blocks = fits.blocks_per_sm * arch.sm_count
        together = min(state.wave_blocks, blocks) * warps
        together_sm = min(fits.blocks_per_sm, -(-blocks // arch.sm_count)) * warps
        held_by_l1 = arch.unified_per_sm - fits.carveout_bytes
        caches.levels[:, 0] = tables.l1.ctypes.data + tables.l1.shape[1] * np.arange(arch.sm_count)
        caches.levels[:, 1:] = _cache(tables.l1.shape[1], held_by_l1, together_sm, tables.fills)
        buckets = tables.l2.ctypes.data
        state.l2 = Level(buckets, *_cache(tables.l2.nbytes, arch.l2_bytes, together, tables.fills))
        state.l1 = caches.levels.ctypes.data
        state.first_line = base // LINE_BYTES
        state.sm_count = arch.sm_count
        return caches

    @property
    def address(self) -> int:
        return ctypes.addressof(self.state)

    def dram_bytes(self) -> tuple[float, float]:
        """Bytes read from DRAM, and written to it by the end of the launch.

        What L2 still holds is not written: the lines of its table that were touched last.
        """
        l2 = self.state.l2
        written = self.state.dram_written
        if l2.fills - l2.start > l2.lines:
            for some in self.tables.l2.view(np.int64).reshape(-1, A_TIME, 2, WAYS):
                tags, touched = some[:, 0], some[:, 1] >> FILLS_SHIFT
                left = (l2.fills - touched > l2.lines) & (touched > l2.start)
                written += int(np.bitwise_count(tags[left] >> 4 & 15).sum())
        return SECTOR_BYTES * float(self.state.dram_read), SECTOR_BYTES * float(written)

    def most_turns(self) -> int:
        """Passes of atomics that the busiest slice of L2 made."""
        return int(max(self.state.turns))

    def give_back(self) -> None:
        """Let another launch have the tables."""
        filled_by_l1s = self.levels[:, Level.fills.offset // 8]
        fills = self.tables.fills = max(int(filled_by_l1s.max()), self.state.l2.fills)
        if fills < 1 << 30:
            _idle.setdefault(self.arch, []).append(self.tables)


_idle: dict[Arch, list[Tables]] = {}


def _take_tables(arch: Arch) -> Tables:
    if idle := _idle.get(arch):
        return idle.pop()
    return Tables(_empty(arch.sm_count, _room(arch.unified_per_sm)), _empty(_room(arch.l2_bytes)))


def _empty(*shape: int) -> np.ndarray:
    """Buckets in pages never touched, which cost nothing, each at a multiple of its size."""
    nbytes = int(np.prod(shape)) * BUCKET_BYTES
    memory = np.zeros(nbytes + BUCKET_BYTES, dtype=np.uint8)
    skipped = -memory.ctypes.data % BUCKET_BYTES
    return memory[skipped : skipped + nbytes].reshape(*shape[:-1], -1)


def _room(nbytes: int) -> int:
    """Buckets of a table for a cache of so many bytes: a power of two."""
    return int(2 ** np.ceil(np.log2(ROOM * nbytes // LINE_BYTES // WAYS)))


def _cache(table: int, nbytes: int, together: int, fills: int) -> tuple[int, ...]:
    """A level's fields after its buckets, which take ``table`` bytes."""
    return table // BUCKET_BYTES - 1, max(nbytes // LINE_BYTES, 1), together, fills, fills
