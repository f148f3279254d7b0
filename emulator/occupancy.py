"""Occupancy: the warps that an SM holds at once, what limits them, and what would raise it.

The rules are those of NVIDIA's occupancy calculator (``cuda_occupancy.h`` of the CUDA Toolkit) and
of the CUDA C++ Programming Guide's table of technical specifications: registers are given to warps
in units of 256 from one of four partitions, shared memory to blocks in units of 128 bytes with
1 KiB kept by the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.arch import Arch

WARP = 32
REGISTER_UNIT = 256  # registers, a warp's
SHARED_UNIT = 128  # bytes, a block's
# The driver of an H100 sets aside shared memory for twice the blocks that an SM holds, where there
# is that much: fitted to what ncu gave for the textbook kernels of benchmarks/classics.cu.
ROOM = 2


@dataclass(frozen=True)
class Occupancy:
    """What an SM holds of a launch."""

    blocks_per_sm: int
    warps_per_sm: int
    max_warps_per_sm: int
    limiter: str  # of ``limits``, the first of the tightest
    limits: Mapping[str, int]  # blocks an SM by what limits them
    waves: float  # rounds of blocks that the grid takes
    carveout_bytes: int  # what the SM sets aside as shared memory; the rest is L1
    advice: str  # what would raise it; "" where nothing could

    @property
    def theoretical(self) -> float:
        """Warps an SM can hold of this kernel, as a share of what it can hold of any."""
        return self.warps_per_sm / self.max_warps_per_sm

    @property
    def achieved(self) -> float:
        """The same on average over the waves, the last of which may be partly empty."""
        rounds = max(-(-self.waves // 1), 1.0)
        return self.theoretical * min(self.waves / rounds, 1.0)

    def __str__(self) -> str:
        parts = f"{self.blocks_per_sm} blocks, {self.warps_per_sm} of {self.max_warps_per_sm} warps"
        text = f"{self.theoretical:.0%} ({parts} an SM), limited by {self.limiter}"
        return f"{text}; {self.advice}" if self.advice else text


def occupancy(
    arch: Arch, threads: int, blocks: int, shared_bytes: int = 0, registers: int | None = None
) -> Occupancy:
    """Occupancy of ``blocks`` blocks of ``threads`` threads.

    ``shared_bytes`` a block, static and dynamic; ``registers`` a thread, where they are known.
    """
    warps = -(-threads // WARP)
    limits = {
        "warps": arch.max_threads_per_sm // (WARP * warps),
        "blocks": arch.max_blocks_per_sm,
    }
    if shared_bytes:
        limits["shared memory"] = arch.max_shared_per_sm // _shared(arch, shared_bytes)
    if registers:
        limits["registers"] = _warps_by_registers(arch, registers) // warps
    limiter = min(limits, key=lambda name: limits[name])
    resident = max(limits[limiter], 1)
    carveout = 0
    if shared_bytes:
        needed = resident * _shared(arch, shared_bytes) * ROOM
        carveout = next((c for c in arch.carveouts if c >= needed), arch.max_shared_per_sm)
        limits["shared memory"] = carveout // _shared(arch, shared_bytes)
    return Occupancy(
        blocks_per_sm=resident,
        warps_per_sm=resident * warps,
        max_warps_per_sm=arch.max_threads_per_sm // WARP,
        limiter=limiter,
        limits=limits,
        waves=blocks / (resident * arch.sm_count),
        carveout_bytes=carveout,
        advice=_advice(arch, warps, limits, limiter, shared_bytes, registers),
    )


def _shared(arch: Arch, nbytes: int) -> int:
    return -(-(nbytes + arch.shared_reserved_per_block) // SHARED_UNIT) * SHARED_UNIT


def _warps_by_registers(arch: Arch, registers: int) -> int:
    a_warp = -(-registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    return arch.registers_per_sm // arch.schedulers_per_sm // a_warp * arch.schedulers_per_sm


def _advice(
    arch: Arch,
    warps: int,
    limits: Mapping[str, int],
    limiter: str,
    shared_bytes: int,
    registers: int | None,
) -> str:
    """What lets one block more in, if only one thing stands in its way."""
    resident = max(limits[limiter], 1)
    full = resident * warps * WARP >= arch.max_threads_per_sm
    if full:
        return ""
    if sum(limit == limits[limiter] for limit in limits.values()) > 1:
        tight = [name for name, limit in limits.items() if limit == limits[limiter]]
        return "one block more needs less of all of " + ", ".join(tight)
    if limiter == "registers" and registers:
        fewer = next(
            (
                r
                for r in range(registers, 0, -1)
                if _warps_by_registers(arch, r) // warps > resident
            ),
            None,
        )
        return f"{fewer} registers a thread let in one block more" if fewer else ""
    if limiter == "shared memory":
        room = arch.max_shared_per_sm // (resident + 1) // SHARED_UNIT * SHARED_UNIT
        room -= arch.shared_reserved_per_block
        return f"{room:,} bytes of shared memory a block let in one block more"
    if limiter == "blocks":
        return "blocks of more threads fill the SM"
    return "blocks whose warps divide the SM's leave none empty"
