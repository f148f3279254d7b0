"""The shared memory of a cluster's blocks: 32-bit addresses of ``.shared::cluster``, and host ones.

A 32-bit address is ``(rank + 1) << 24 | offset``; below ``2**24`` it is an offset into the
executing block's own shared memory, as ``.shared::cta`` addresses are. Generic addresses of a
peer's shared memory are the peer's host addresses. (PTX ISA, "State Spaces: Shared", "mapa")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    LANES,
    MAX_CLUSTER,
    BlockState,
    Cluster,
    Context,
    Warp,
    offset,
)

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")

BLOCK_AT, ADDRESSES_AT = offset(Warp, "block"), offset(Warp, "addresses")
DATA_AT = offset(Warp, "data")
SHARED_AT, CLUSTER_AT = offset(BlockState, "shared"), offset(BlockState, "cluster")
RANK_AT, GONE_AT = offset(BlockState, "rank"), offset(BlockState, "gone")
SHARED_BYTES_AT = offset(Context, "shared_bytes")
SIZE_AT, BLOCKS_AT = offset(Cluster, "size"), offset(Cluster, "blocks")

RANK_SHIFT = 24
OFFSET_MASK = (1 << RANK_SHIFT) - 1
# Generic addresses of blocks that a cluster does not have: nothing lies there.
NOWHERE, NOWHERE_SHIFT = 0x7C << 56, 32


@inner
def peer_of(block: int, rank: int) -> int:
    """The block of that rank in a block's cluster; 0: there is none."""
    cluster = read_i64(block + CLUSTER_AT)
    if cluster == 0:
        return block if rank == 0 else 0
    if rank < 0 or rank >= read_u32(cluster + SIZE_AT):
        return 0
    return int(read_i64(cluster + BLOCKS_AT + 8 * rank))


@inner
def rank_of(block: int) -> int:
    """A block's rank in its cluster."""
    return int(read_u32(block + RANK_AT))


@inner
def block_of(context: int, warp: int, address: int) -> int:
    """The block (a ``BlockState``) in whose shared memory a 32-bit address is; 0: no such rank."""
    own = read_i64(warp + BLOCK_AT)
    rank = (address >> RANK_SHIFT) - 1
    return int(own) if rank < 0 else peer_of(own, rank)


@inner
def shared_host(context: int, warp: int, address: int) -> int:
    """The host address of a 32-bit ``.shared::cluster`` address; 0 when there is no such block.

    Says nothing about whether the offset is within the block's shared memory.
    """
    block = block_of(context, warp, address)
    if block == 0:
        return 0
    return int(read_i64(block + SHARED_AT)) + (address & OFFSET_MASK)


@inner
def owner_of(context: int, block: int, host: int) -> int:
    """The block of a block's cluster whose shared memory holds a host address; 0: none of them."""
    nbytes = read_i64(context + SHARED_BYTES_AT)
    away = host - read_i64(block + SHARED_AT)
    if away >= 0 and away < nbytes:
        return block
    cluster = read_i64(block + CLUSTER_AT)
    if cluster != 0:
        for rank in range(read_u32(cluster + SIZE_AT)):
            peer = read_i64(cluster + BLOCKS_AT + 8 * rank)
            away = host - read_i64(peer + SHARED_AT)
            if away >= 0 and away < nbytes:
                return int(peer)
    return 0


@inner
def window_address(context: int, warp: int, host: int) -> int:
    """The 32-bit address of a host address: an offset where it is the block's own.

    Addresses of no block's shared memory count from the own block's, as hardware's do.
    """
    own = read_i64(warp + BLOCK_AT)
    owner = owner_of(context, own, host)
    if owner == 0 and host >> NOWHERE_SHIFT >= NOWHERE >> NOWHERE_SHIFT:
        rank = (host >> NOWHERE_SHIFT) & 0x7F
        return (rank + 1) << RANK_SHIFT | (host & OFFSET_MASK)
    if owner == 0 or owner == own:
        return int(host - read_i64(own + SHARED_AT))
    place: int = host - read_i64(owner + SHARED_AT)
    return (rank_of(owner) + 1) << RANK_SHIFT | place


@inner
def nowhere(rank: int, place: int) -> int:
    """A generic address in the shared memory of a block that the cluster does not have."""
    return NOWHERE | (rank & 0x7F) << NOWHERE_SHIFT | place & OFFSET_MASK


@inner
def generic_address(context: int, warp: int, address: int) -> int:
    """The generic address of a 32-bit one."""
    host = shared_host(context, warp, address)
    return host if host != 0 else nowhere((address >> RANK_SHIFT) - 1, address)


@routine("void", *["int64"] * 3)
def leave_window(context: int, warp: int, mask: int) -> None:
    """32-bit addresses of the lanes of ``mask`` become generic ones, in ``Warp.addresses``."""
    for lane in range(LANES):
        if mask >> lane & 1:
            place = warp + ADDRESSES_AT + 8 * lane
            write_i64(place, generic_address(context, warp, read_i64(place) & 0xFFFFFFFF))


@routine("void", *["int64"] * 3)
def enter_window(context: int, warp: int, mask: int) -> None:
    """Generic addresses of the lanes of ``mask`` become 32-bit ones, in ``Warp.addresses``."""
    for lane in range(LANES):
        if mask >> lane & 1:
            place = warp + ADDRESSES_AT + 8 * lane
            write_i64(place, window_address(context, warp, read_i64(place)))


@routine("void", *["int64"] * 3)
def map_rank(context: int, warp: int, in_window: int) -> None:
    """``mapa``: each lane's address as it is in the block of the rank in ``Warp.data``.

    ``in_window``: addresses are 32-bit ones, not generic. Ranks that the cluster does not have
    give addresses that lead nowhere.
    """
    own = read_i64(warp + BLOCK_AT)
    for lane in range(LANES):
        rank = int(read_u32(warp + DATA_AT + 4 * lane))
        place = warp + ADDRESSES_AT + 8 * lane
        address = read_i64(place)
        if in_window:
            inside = (min(rank, OFFSET_MASK >> 17) + 1) << RANK_SHIFT | (address & OFFSET_MASK)
            write_i64(place, inside)
            continue
        owner = owner_of(context, own, address)
        peer = peer_of(own, rank)
        offset_there = address - read_i64((owner if owner != 0 else own) + SHARED_AT)
        if peer != 0:
            write_i64(place, read_i64(peer + SHARED_AT) + offset_there)
        else:
            write_i64(place, nowhere(rank, offset_there))


@routine("void", *["int64"] * 3)
def rank_at(context: int, warp: int, in_window: int) -> None:
    """``getctarank``: the rank of the block in which each lane's address is."""
    own = read_i64(warp + BLOCK_AT)
    for lane in range(LANES):
        place = warp + ADDRESSES_AT + 8 * lane
        address = read_i64(place)
        owner = block_of(context, warp, address & 0xFFFFFFFF)
        if not in_window:
            owner = owner_of(context, own, address)
        write_i64(place, rank_of(owner if owner != 0 else own))


@routine("void", *["int64"] * 2)
def lanes_in_cluster(context: int, warp: int) -> None:
    """Generic addresses become 1 where they are in the cluster's shared memory, else 0."""
    own = read_i64(warp + BLOCK_AT)
    for lane in range(LANES):
        place = warp + ADDRESSES_AT + 8 * lane
        write_i64(place, int(owner_of(context, own, read_i64(place)) != 0))


@routine("int64", *["int64"] * 3)
def is_cluster_shared(context: int, block: int, host: int) -> int:
    """Whether a host address is in the shared memory of a block of the cluster that is there."""
    owner = owner_of(context, block, host)
    return int(owner != 0 and read_u32(owner + GONE_AT) == 0)


assert MAX_CLUSTER < 0x7F  # a rank fits in an address
