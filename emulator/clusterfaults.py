"""What can go wrong between the blocks of a cluster, in words."""

from __future__ import annotations

from emulator.native.layout import (
    ARRIVED_TWICE,
    NOT_ARRIVED,
    OTHER_BLOCKS_MBARRIER,
    STILL_COMING,
)
from emulator.running import Launch, Slot, peers_of
from emulator.units.window import NOWHERE, NOWHERE_SHIFT, OFFSET_MASK

SYNC = (ARRIVED_TWICE, NOT_ARRIVED)  # synccheck's; the others are memcheck's
FAR = 1 << 16  # bytes from a block's shared memory that still suggest it
STAY = (
    "a block must stay until nobody needs its shared memory any longer: let all blocks meet at the "
    "cluster's barrier (cluster.sync()) before they exit"
)


def describe_misuse(launch: Launch, slot: Slot) -> tuple[str, str]:
    """The kind of fault, and what happened."""
    context = launch.context
    what, address = context.fault_store, context.fault_address
    if what == ARRIVED_TWICE:
        return "cluster barrier arrived at twice", (
            "the thread has arrived at the cluster's barrier before and has not waited since; each "
            "barrier.cluster.arrive needs a barrier.cluster.wait before the next one"
        )
    if what == NOT_ARRIVED:
        return "wait at a cluster barrier without arriving", (
            "the thread waits at the cluster's barrier and has not arrived: barrier.cluster.arrive "
            "comes first"
        )
    owner = owner_of(launch, slot, address)
    if what == OTHER_BLOCKS_MBARRIER:
        return "mbarrier of another block", (
            f"bytes are sent to {_name(owner)}, and the mbarrier that shall count them is not in "
            "that block's shared memory: map both to the same rank (mapa)"
        )
    assert what == STILL_COMING
    return "block exited with bytes under way to it", (
        f"{context.fault_bytes} bytes are on their way to shared offset {_offset(owner, address)} "
        f"of {_name(owner)}, which has exited without waiting for them at its mbarrier; {STAY}"
    )


def describe_access(launch: Launch, slot: Slot, access: str) -> tuple[str, str] | None:
    """An access that a cluster does not allow; None when it had nothing to do with clusters."""
    context = launch.context
    address, size = context.fault_address, context.fault_bytes
    kind = f"out-of-bounds {access} of shared memory"
    blocks = launch.cluster_blocks
    if address >> NOWHERE_SHIFT >= NOWHERE >> NOWHERE_SHIFT and address >> 63 == 0:
        rank = address >> NOWHERE_SHIFT & 0x7F
        has = f"ranks 0 to {blocks - 1}" if blocks > 1 else "one block, of rank 0"
        return kind, (
            f"{size} bytes at offset {address & OFFSET_MASK} of the block of rank {rank}, but the "
            f"cluster has {has}"
        )
    if slot.cluster is None:
        return None
    owner = owner_of(launch, slot, address)
    if owner is not None and owner.state.gone:
        return f"{access} of an exited block's shared memory", (
            f"{size} bytes at shared offset {_offset(owner, address)} of {_name(owner)}, which has "
            f"exited; {STAY}"
        )
    for peer in peers_of(launch, slot):
        away = address - peer.state.shared
        if peer is not slot and -FAR < away < context.shared_bytes + FAR:
            return kind, (
                f"{size} bytes at shared offset {away} of {_name(peer)}, but a block has "
                f"{context.shared_bytes} bytes of shared memory"
            )
    return None


def owner_of(launch: Launch, slot: Slot, address: int) -> Slot | None:
    """The block of a block's cluster in whose shared memory an address is."""
    for peer in peers_of(launch, slot):
        if 0 <= address - peer.state.shared < launch.context.shared_bytes:
            return peer
    return None


def _offset(owner: Slot | None, address: int) -> int:
    return address - owner.state.shared if owner is not None else address


def _name(owner: Slot | None) -> str:
    if owner is None:
        return "no block of the cluster"
    return f"block {tuple(owner.state.ctaid)}, of rank {owner.state.rank}"
