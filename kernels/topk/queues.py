"""What launches of kernels with queues in registers share (``queues.cuh``)."""

from __future__ import annotations

from kernels.launches import blocks_for
from kernels.topk.launches import Rows

MOST_K = 1024  # of which a lane has 32, in 64 registers
WARPS = 8  # of a block whose warps merge their queues


def check_queue(name: str, rows: Rows, instead: str) -> None:
    """Raise ValueError when a queue in registers has too few places; ``instead``: what to do."""
    if rows.k > MOST_K:
        raise ValueError(
            f"{name}: k is {rows.k}, but a queue in registers has at most {MOST_K} places; "
            f"{instead}"
        )


def registers_for(k: int) -> int:
    """Entries a lane of a queue of k: a power of two, which the networks need."""
    return 1 << (blocks_for(k, 32) - 1).bit_length()


def handed_bytes(registers: int) -> int:
    """Bytes of shared memory for the queues of half a block's warps, as ``merge_warps`` needs."""
    return WARPS // 2 * 32 * registers * 8
