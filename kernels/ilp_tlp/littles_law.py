"""Little's law: what is in flight is latency times rate.

Source: the talk: on an A100, 500 clocks at 1555 GB/s and 1410 MHz are about 536 KB in flight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from emulator import Arch
from kernels.ilp_tlp.launches import WARP


@dataclass(frozen=True)
class InFlight:
    """What must be in flight to keep memory busy."""

    nbytes: float  # on the whole device
    per_sm: float  # bytes

    def warps_per_sm(self, loads: int = 1, width: int = 4) -> int:
        """Warps an SM, each lane with ``loads`` loads of ``width`` bytes in flight."""
        return math.ceil(self.per_sm / (WARP * loads * width) - 1e-9)

    def loads(self, warps_per_sm: int, width: int = 4) -> int:
        """Loads of ``width`` bytes that each lane of so many warps needs in flight."""
        return math.ceil(self.per_sm / (WARP * warps_per_sm * width) - 1e-9)


def in_flight(latency_clocks: float, clock_hz: float, bytes_per_s: float, sms: int) -> InFlight:
    """Bytes in flight that keep ``bytes_per_s`` coming, each of them ``latency_clocks`` on its way.

    >>> in_flight(500, 1.41e9, 1555e9, 108).nbytes  # the talk's A100
    551418.4...
    """
    nbytes = latency_clocks / clock_hz * bytes_per_s
    return InFlight(nbytes, nbytes / sms)


def of_memory(arch: Arch) -> InFlight:
    """What must be in flight to keep a chip's DRAM busy, by its table."""
    return in_flight(
        arch.dram_latency_cycles,
        arch.clock_hz,
        arch.dram_bytes_per_s * arch.dram_efficiency,
        arch.sm_count,
    )


def ffma_issue_clocks(arch: Arch) -> int:
    """Clocks for which an FFMA of a warp keeps its scheduler's FP32 lanes busy."""
    return WARP * arch.schedulers_per_sm // arch.fp32_lanes_per_sm


def independent_ffmas(arch: Arch) -> int:
    """Independent FFMAs that a scheduler needs at a time: from its warps, or from their chains."""
    return -(-arch.fp32_latency_cycles // ffma_issue_clocks(arch))


def ffma_flops(arch: Arch, warps: int, chains: int) -> float:
    """FLOP/s of one SM with ``warps`` warps of ``chains`` chains each, by latency and issue rate.

    Warps are dealt to the schedulers in turn. A scheduler issues what its warps have, at most one
    FFMA in :func:`ffma_issue_clocks`.
    """
    clocks = ffma_issue_clocks(arch)
    on = [len(range(s, warps, arch.schedulers_per_sm)) for s in range(arch.schedulers_per_sm)]
    # all warps have as much to do, so the scheduler with most of them ends last
    rates = [min(w * chains / arch.fp32_latency_cycles, 1 / clocks) / w for w in on if w]
    return warps * min(rates) * 2 * WARP * arch.clock_hz if rates else 0.0
