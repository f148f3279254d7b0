"""Asynchronous copies as a launch sees them: when they finish, and what they leave behind."""

from __future__ import annotations

import warnings

from emulator.errors import LaunchError
from emulator.native import heap
from emulator.native.layout import EAGER, LATE, SHUFFLED, Context
from emulator.running import Launch
from emulator.units.tma import BETWEEN, MULTICAST_RANK, NEGATIVE, NO_MAP, OTHER_RANK, SIZE

MODES = {"late": LATE, "eager": EAGER, "shuffled": SHUFFLED}


def copies_mode(name: str) -> int:
    """The mode as compiled code knows it."""
    if name not in MODES:
        raise LaunchError(f"async_copies is {name!r}; it must be one of {', '.join(MODES)}")
    return MODES[name]


def end_copies(launch: Launch) -> None:
    """Give back the queues, which faults may leave full, and say what they could not hold."""
    for slot in launch.slots:
        for index in range(launch.context.warps):
            warp = slot.warp(launch, index)
            heap.release(warp.copies)
            warp.copies = 0
            heap.release(warp.stores)
            warp.stores = 0
        heap.release(slot.state.mbarriers)
        slot.state.mbarriers = 0
        heap.release(slot.state.post)
        slot.state.post = 0
        heap.release(slot.state.loads)
        slot.state.loads = 0
    if launch.context.copies_forced:
        warnings.warn(
            f"kernel {launch.kernel.name!r}: a warp had more cp.async instructions in flight than "
            "the software GPU keeps, so that older ones finished before they were waited for; "
            "does the kernel ever wait (cp.async.wait_group)?",
            stacklevel=3,
        )


def describe_copy(launch: Launch) -> tuple[str, str]:
    """A fault of a copy's own: what kind it is and what happened."""
    context = launch.context
    if context.fault_bytes == 0:
        return "out of memory", "no host memory is left for copies in flight"
    if context.fault_store:
        return "invalid copy", _describe_bulk(context)
    return "invalid copy", (
        f"a src-size of {context.fault_address} bytes in a copy of {context.fault_bytes}; it must "
        "not be larger"
    )


def _describe_bulk(context: Context) -> str:
    """What was wrong about a bulk copy."""
    about, number = context.fault_bytes, context.fault_address
    if context.fault_store == SIZE:
        most = ", and an mbarrier counts 1 MiB at most" if number >= 1 << 20 else ""
        return f"a bulk copy of {number} bytes; it must be a multiple of {about}{most}"
    if context.fault_store == NO_MAP:
        return (
            f"there is no tensor map at {number:#x}: pass what device.tensor_map() returns as a "
            "`const __grid_constant__` parameter, and take its address"
        )
    if context.fault_store == OTHER_RANK:
        return f"the tensor map's array has {about} axes; the instruction names another number"
    if context.fault_store == MULTICAST_RANK:
        return f"a multicast to block {number} of the cluster, which has no such block"
    signed = (number + (1 << 63)) % (1 << 64) - (1 << 63)
    if context.fault_store == BETWEEN:
        return (
            f"a box begins at element {signed} of {about} bytes of the innermost axis; its place "
            "must be a multiple of 16 bytes"
        )
    if context.fault_store == NEGATIVE:
        return (
            f"a box to be stored begins at {signed} of axis {about - 1}, counted from the "
            "innermost; boxes that are loaded may begin before the array, those that are stored "
            "may only end past it"
        )
    return "the mbarrier is in another block than the bytes that it is to count"
