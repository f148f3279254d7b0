"""What stops a product of a warpgroup, in words."""

from __future__ import annotations

from emulator.native.layout import BEYOND_SHARED, NO_WARPGROUP, UNEVEN_DESCRIPTOR
from emulator.running import Launch


def describe_product(launch: Launch) -> tuple[str, str]:
    """The kind of fault, and what happened."""
    context = launch.context
    what, address = context.fault_store, context.fault_address
    if what == NO_WARPGROUP:
        return "wgmma without a warpgroup", (
            "a product is by four neighbouring warps, the first a multiple of four, and the block "
            f"has {context.fault_bytes} warps: launch whole multiples of 128 threads"
        )
    if what == UNEVEN_DESCRIPTOR:
        return "matrix descriptor that differs within a warp", (
            f"this thread gives {address:#018x}, and thread 0 of its warp another: all threads "
            "must describe the same matrix"
        )
    assert what == BEYOND_SHARED
    return "matrix beyond shared memory", (
        f"the descriptor of a wgmma leads to shared offset {address:,}, but the block has "
        f"{context.shared_bytes:,} bytes of shared memory. Addresses and strides are in units of "
        "16 bytes; look at the start, at both strides, and at which of them is which"
    )
