"""One routine a load or store: check a warp's addresses, then move its data.

What a kernel does at each access is so little (store addresses, call, look at the status) that a
kernel of thousands of accesses compiles fast. Shared memory's offsets come as 32-bit numbers when
the kernel has them so; the commonest load of them is tried the short way first.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.checks import check_global_name, check_window_name
from emulator.native.lanes import addresses_type, routine, splat, words_type
from emulator.native.layout import (
    LANES,
    LOCAL,
    SHARED,
    BlockState,
    Context,
    Warp,
    field,
    i32,
    i64,
    load,
    pointer,
)
from emulator.native.moves import MOVES, WINDOW_LOAD, has_permute, move_name

PLACES = ("global", "shared", "shared32", "local")  # shared32: offsets of 32 bits

transfer_type = ir.FunctionType(i32, [pointer, pointer, i32, pointer])


def transfer_name(kind: str, place: str, nbytes: int, count: int) -> str:
    """Name of the routine for ``count`` elements of ``nbytes`` a lane; ``kind`` as of a move."""
    return f"coalesce_{kind}_{place}_{nbytes}x{count}"


def transfer_names() -> list[str]:
    """Every routine of this file."""
    return [
        transfer_name(kind, place, nbytes, count)
        for kind in ("load", "store")
        for place in PLACES
        for nbytes, count in MOVES
    ]


def define_transfer_routines(module: ir.Module) -> None:
    """Define every routine of this file; checks and moves are there already."""
    for kind in ("load", "store"):
        for nbytes, count in MOVES:
            for place in PLACES:
                _define(module, kind, place, nbytes, count)


def _define(module: ir.Module, kind: str, place: str, nbytes: int, count: int) -> None:
    """``i32 transfer(ctx, warp, mask, site)``: 0, or -1 after reporting a fault."""
    builder = routine(module, transfer_type, transfer_name(kind, place, nbytes, count))
    context, warp, mask, site = builder.function.args
    addresses = field(builder, warp, Warp, "addresses")
    is_store = ir.Constant(i32, int(kind == "store"))
    size = nbytes * count
    move = module.globals[move_name(kind, nbytes, count)]
    if place == "global":
        check = module.globals[check_global_name(size)]
        status = builder.call(check, [context, warp, mask, site, is_store])
        _return_fault(builder, status)
        builder.call(move, [warp, mask, status])
        builder.ret(ir.Constant(i32, 0))
        return
    if place == "shared32":
        if (kind, nbytes, count) == ("load", 4, 1) and has_permute():
            _try_window(builder, context, warp, mask)
        offsets = builder.zext(load(builder, addresses, words_type, 64), addresses_type)
        builder.store(offsets, addresses, align=64)
    else:
        offsets = load(builder, addresses, addresses_type, 64)
    is_local = place == "local"
    limit_at = field(builder, context, Context, "local_bytes" if is_local else "shared_bytes")
    limit = load(builder, limit_at, i64)
    check = module.globals[check_window_name(size)]
    space = ir.Constant(i32, LOCAL if is_local else SHARED)
    status = builder.call(check, [context, warp, mask, site, limit, is_store, space])
    _return_fault(builder, status)
    if is_local:
        base = _local_base(builder, context, warp)
        status = ir.Constant(i32, 0)  # each lane's are apart
    else:
        base = splat(builder, _shared_base(builder, warp))
    builder.store(builder.add(offsets, base), addresses, align=64)
    builder.call(move, [warp, mask, status])
    builder.ret(ir.Constant(i32, 0))


def _return_fault(builder: ir.IRBuilder, status: ir.Value) -> None:
    with builder.if_then(builder.icmp_signed("<", status, ir.Constant(i32, 0)), likely=False):
        builder.ret(status)


def _try_window(builder: ir.IRBuilder, context: ir.Value, warp: ir.Value, mask: ir.Value) -> None:
    """Return when the short way serves. It shows nobody what it does."""
    watching = load(builder, field(builder, context, Context, "observe"), i32)
    with builder.if_then(builder.icmp_unsigned("==", watching, ir.Constant(i32, 0))):
        limit = load(builder, field(builder, context, Context, "shared_bytes"), i64)
        window = builder.module.globals[WINDOW_LOAD]
        served = builder.call(window, [warp, mask, _shared_base(builder, warp), limit])
        with builder.if_then(builder.icmp_unsigned("!=", served, ir.Constant(i32, 0))):
            builder.ret(ir.Constant(i32, 0))


def _shared_base(builder: ir.IRBuilder, warp: ir.Value) -> ir.Value:
    block = builder.inttoptr(load(builder, field(builder, warp, Warp, "block"), i64), pointer)
    return load(builder, field(builder, block, BlockState, "shared"), i64)


def _local_base(builder: ir.IRBuilder, context: ir.Value, warp: ir.Value) -> ir.Value:
    base = splat(builder, load(builder, field(builder, warp, Warp, "local"), i64))
    stride = load(builder, field(builder, context, Context, "local_bytes"), i64)
    lanes = ir.Constant(addresses_type, list(range(LANES)))
    return builder.add(base, builder.mul(splat(builder, stride), lanes))
