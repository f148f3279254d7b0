"""The talk's experiment, strided against coalesced, with and without L1 (``block_copy.cu``).

Source: the talk, on an A100-40GB: blocks of 1024 threads, 4096 floats a block, 400 blocks;
compiled with ``-dlcm=ca`` and ``-dlcm=cg``. Here the operator is in the source, so that one
program holds both.
"""

from __future__ import annotations

from typing import Any

from kernels.coalescing.launches import blocks_for, check_room, program
from kernels.runtime import Device

THREADS = 1024
ITEMS = 4  # floats a thread
TALK_BLOCKS = 400
TALK_FLOATS = TALK_BLOCKS * THREADS * ITEMS  # 1,638,400


def copy_strided(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """``y = x``; a thread takes 4 consecutive floats: 16 sectors a request, L1 on.

    ``x`` (at least n,), ``y`` (n,): float32 on the device, not overlapping. A block of
    ``threads`` copies 4 * ``threads`` floats. Raises ValueError when ``x`` is too short,
    ArgumentError for arrays of another kind.
    """
    _launch(device, "copy_strided", x, y, threads)


def copy_strided_no_l1(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """:func:`copy_strided` with loads that L1 does not keep: nothing rescues the stride."""
    _launch(device, "copy_strided_no_l1", x, y, threads)


def copy_coalesced(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """``y = x``; neighbouring threads take neighbouring floats: 4 sectors a request, L1 on.

    Arrays and errors as for :func:`copy_strided`.
    """
    _launch(device, "copy_coalesced", x, y, threads)


def copy_coalesced_no_l1(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """:func:`copy_coalesced` with loads that L1 does not keep: no difference, and that says why."""
    _launch(device, "copy_coalesced_no_l1", x, y, threads)


def _launch(device: Device, name: str, x: Any, y: Any, threads: int) -> None:
    n = y.size
    check_room(name, "x", x.size, n)
    blocks = blocks_for(n, threads * ITEMS)
    device.launch(program("block_copy")[name], blocks, threads, (x, y, n))
