"""The modelled caches of a launch: their tables, and what passed each level."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import numpy as np

from emulator.arch import Arch
from emulator.occupancy import Occupancy
from emulator.watch.cachestate import BUCKET_BYTES, LAUNCH_SHIFT, WAYS, Bucket, CacheState, Level

LINE_BYTES = 128
SECTOR_BYTES = 32
ROOM = 2  # lines that a table has room for, at least, over those that a cache holds
LAUNCHES = 1 << 14  # that tags can tell from one another


@dataclass
class Tables:
    """Memory for the caches of one launch at a time; used again, for clearing it takes long."""

    l1: np.ndarray  # (SMs, bytes)
    l2: np.ndarray
    launches: int = 0
    fills: int = 0  # of any level, at most


@dataclass
class Caches:
    """The state that compiled code works on."""

    arch: Arch
    tables: Tables
    state: CacheState = field(default_factory=CacheState)
    levels: ctypes.Array[Level] = field(default_factory=lambda: (Level * 0)())  # L1s
    filled_before: int = 0

    @classmethod
    def of(cls, arch: Arch, fits: Occupancy, blocks: int, warps: int) -> Caches:
        """Empty caches for a grid of ``blocks`` blocks of ``warps`` warps."""
        caches = cls(arch, _take_tables(arch), levels=(Level * arch.sm_count)())
        tables, state = caches.tables, caches.state
        tables.launches += 1
        caches.filled_before = tables.fills
        state.launch = tables.launches
        for level, table in zip(caches.levels, tables.l1, strict=True):
            _set_up(level, table, arch.unified_per_sm - fits.carveout_bytes, tables.fills)
        _set_up(state.l2, tables.l2, arch.l2_bytes, tables.fills)
        state.l1 = ctypes.addressof(caches.levels)
        state.sm_count = arch.sm_count
        state.together_sm = min(fits.blocks_per_sm, -(-blocks // arch.sm_count)) * warps
        state.wave_blocks = fits.blocks_per_sm * arch.sm_count
        state.together = min(state.wave_blocks, blocks) * warps
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
        if l2.fills - self.filled_before > l2.lines:
            rows = self.tables.l2.reshape(-1, BUCKET_BYTES)
            tags = rows[:, : Bucket.all.offset].view(np.int64)
            touched = rows[:, Bucket.all.offset : Bucket.own.offset].view(np.int32)
            left = (l2.fills - touched > l2.lines) & (tags >> LAUNCH_SHIFT == self.state.launch)
            written += int(np.bitwise_count(tags[left] >> 4 & 15).sum())
        return SECTOR_BYTES * float(self.state.dram_read), SECTOR_BYTES * float(written)

    def give_back(self) -> None:
        """Let another launch have the tables."""
        fills = max(level.fills for level in (*self.levels, self.state.l2))
        self.tables.fills = int(fills)
        if self.tables.launches < LAUNCHES and fills < 1 << 30:
            _idle.setdefault(self.arch, []).append(self.tables)


_idle: dict[Arch, list[Tables]] = {}


def _take_tables(arch: Arch) -> Tables:
    if idle := _idle.get(arch):
        return idle.pop()
    l1 = np.zeros((arch.sm_count, _room(arch.unified_per_sm) * BUCKET_BYTES), dtype=np.uint8)
    return Tables(l1, np.zeros(_room(arch.l2_bytes) * BUCKET_BYTES, dtype=np.uint8))


def _room(nbytes: int) -> int:
    """Buckets of a table for a cache of so many bytes: a power of two."""
    return int(2 ** np.ceil(np.log2(ROOM * nbytes // LINE_BYTES // WAYS)))


def _set_up(level: Level, table: np.ndarray, nbytes: int, fills: int) -> None:
    level.buckets = table.ctypes.data
    level.mask = len(table) // BUCKET_BYTES - 1
    level.lines = max(nbytes // LINE_BYTES, 1)
    level.fills = fills
