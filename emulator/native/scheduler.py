"""The compiled block scheduler: runs the warps of a block round-robin and releases barriers.

``coalesce_run_blocks(ctx, block, first, last, next*)`` takes blocks ``first .. last`` one after the
other through one resident slot. It returns when all are done, or with the state a block stopped in:

- YIELD: some warp used up its slice where it may wait for other blocks; ``coalesce_step_block``
  goes on.
- PAUSE: the block takes long, and nothing suggests that it waits: ``coalesce_step_block`` goes on.
- FAULT: the context says what happened.
- STUCK: every lane waits at a barrier that the others will never reach.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.clusters import define_cluster_scheduler
from emulator.native.compiled import routine_type
from emulator.native.lanes import bits_of, count_lanes, first_lane, intrinsic, loop, splat
from emulator.native.layout import (
    BARRIER,
    BARRIER_BIT,
    DONE,
    EXITED,
    FAULT,
    LANES,
    PAUSE,
    STUCK,
    WARP_HEADER_BYTES,
    YIELD,
    BlockState,
    Context,
    Warp,
    at,
    field,
    i8,
    i32,
    i64,
    load,
    pointer,
)

lanes32 = ir.VectorType(i32, LANES)
REDUCE = "coalesce_reduce_at_barrier"
reduce_type = routine_type("void", "int64", "int64", "int64")
CHECK = "coalesce_check_release"
check_type = routine_type("void", *["int64"] * 4)
RELEASE = "coalesce_note_release"
release_type = routine_type("void", *["int64"] * 3)
SHUFFLE = "coalesce_shuffle_turns"
shuffle_type = routine_type("void", "int64", "int64")

# What a round over a block's warps costs: one in which a warp spun, or was in a long loop, or none.
SPIN, LONG, ROUND = 512, 4096, 1
BUDGET = 4095  # eight rounds of spinning


def define_scheduler(module: ir.Module) -> None:
    """Define every routine of this file."""
    start = _define_start_block(module)
    release = _define_release_barriers(module)
    step = _define_step_block(module, release)
    define_cluster_scheduler(module, start, step)
    _define_run_blocks(module, start, step)


def _function(
    module: ir.Module, result: ir.Type, arguments: list[ir.Type], name: str
) -> ir.IRBuilder:
    function = ir.Function(module, ir.FunctionType(result, arguments), name=name)
    function.attributes.add("nounwind")
    return ir.IRBuilder(function.append_basic_block("entry"))


def _warp(builder: ir.IRBuilder, context: ir.Value, block: ir.Value, index: ir.Value) -> ir.Value:
    stride = load(builder, field(builder, context, Context, "warp_bytes"), i64)
    warps = builder.inttoptr(
        load(builder, field(builder, block, BlockState, "warps"), i64), pointer
    )
    return at(builder, warps, builder.mul(builder.zext(index, i64), stride))


def _vector(builder: ir.IRBuilder, warp: ir.Value, name: str) -> ir.Value:
    return load(builder, field(builder, warp, Warp, name), lanes32, 64)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(lanes32, [value] * LANES)


def _define_start_block(module: ir.Module) -> ir.Function:
    """``void start(ctx, block, index)``: the block's index, program counters, registers to zero.

    What is the same for all blocks of a slot (thread indices) is set once, when the slot is made.
    """
    builder = _function(module, ir.VoidType(), [pointer, pointer, i64], "coalesce_start_block")
    context, block, index = builder.function.args
    grid = [
        builder.zext(
            load(builder, at(builder, field(builder, context, Context, "grid"), 4 * d), i32), i64
        )
        for d in range(2)
    ]
    order_at = load(builder, field(builder, context, Context, "order"), i64)
    chosen = builder.alloca(i64)
    builder.store(index, chosen)
    with builder.if_then(builder.icmp_unsigned("!=", order_at, ir.Constant(i64, 0))):
        order = builder.inttoptr(order_at, pointer)
        where = at(builder, order, builder.mul(index, ir.Constant(i64, 8)))
        builder.store(load(builder, where, i64), chosen)
    index = load(builder, chosen, i64)
    x, rest = builder.urem(index, grid[0]), builder.udiv(index, grid[0])
    y, z = builder.urem(rest, grid[1]), builder.udiv(rest, grid[1])
    builder.store(index, field(builder, block, BlockState, "index"))
    for d, value in enumerate((x, y, z)):
        where = at(builder, field(builder, block, BlockState, "ctaid"), 4 * d)
        builder.store(builder.trunc(value, i32), where)
    zero = ir.Constant(i32, 0)
    builder.store(zero, field(builder, block, BlockState, "barriers_used"))
    builder.store(zero, field(builder, block, BlockState, "reducing"))
    builder.store(zero, field(builder, block, BlockState, "registers"))
    registers = load(builder, field(builder, context, Context, "registers"), i32)
    zeros16 = ir.Constant(ir.VectorType(i32, 16), [0] * 16)
    builder.store(zeros16, field(builder, block, BlockState, "expected"), align=4)
    builder.store(zeros16, field(builder, block, BlockState, "arrived"), align=4)

    loads = load(builder, field(builder, block, BlockState, "loads"), i64)
    with builder.if_then(builder.icmp_unsigned("!=", loads, ir.Constant(i64, 0)), likely=False):
        builder.store(ir.Constant(i64, 0), builder.inttoptr(loads, pointer))  # none on their way

    threads = load(builder, field(builder, context, Context, "threads"), i32)
    entry = load(builder, field(builder, context, Context, "entry"), i32)
    warps = load(builder, field(builder, context, Context, "warps"), i32)
    stride = load(builder, field(builder, context, Context, "warp_bytes"), i64)
    memset = intrinsic(
        module, "llvm.memset.p0.i64", ir.VoidType(), [pointer, i8, i64, ir.IntType(1)]
    )
    with loop(builder, zero, warps) as number:
        warp = _warp(builder, context, block, number)
        builder.store(zero, field(builder, warp, Warp, "avoid"))
        builder.store(ir.Constant(i32, YIELD), field(builder, warp, Warp, "status"))
        for name in (
            "cluster_arrived", "cluster_owing", "products_committed", "products_done",
            "product_fences",
        ):  # fmt: skip
            builder.store(zero, field(builder, warp, Warp, name))
        builder.store(registers, field(builder, warp, Warp, "registers"))
        base = builder.mul(number, ir.Constant(i32, LANES))
        thread = builder.add(splat(builder, base), ir.Constant(lanes32, list(range(LANES))))
        alive = builder.icmp_unsigned("<", thread, splat(builder, threads))
        pcs = builder.select(alive, splat(builder, entry), _constant(EXITED))
        builder.store(pcs, field(builder, warp, Warp, "pcs"), align=64)
        frame = at(builder, warp, WARP_HEADER_BYTES)
        length = builder.sub(stride, ir.Constant(i64, WARP_HEADER_BYTES))
        builder.call(memset, [frame, ir.Constant(i8, 0), length, ir.Constant(ir.IntType(1), 0)])
    _tell_checkers(builder, context, block, "observe_start_block")
    builder.ret_void()
    return builder.function


def _tell_checkers(
    builder: ir.IRBuilder, context: ir.Value, block: ir.Value, name: str, *numbers: ir.Value
) -> None:
    """Call a routine of the checkers when they watch."""
    kind = routine_type("void", *["int64"] * (2 + len(numbers)))
    shadow = load(builder, field(builder, block, BlockState, "shadow"), i64)
    watched = builder.icmp_unsigned("!=", shadow, ir.Constant(i64, 0))
    name = f"coalesce_{name}"
    known = builder.module.globals.get(name)
    with builder.if_then(watched, likely=False):
        where = [builder.ptrtoint(p, i64) for p in (context, block)]
        wide = [builder.zext(n, i64) for n in numbers]
        builder.call(known or ir.Function(builder.module, kind, name), [*where, *wide])


def _tell_timeline(
    builder: ir.IRBuilder, context: ir.Value, block: ir.Value, number: ir.Value
) -> None:
    """A barrier lets its threads go."""
    watching = load(builder, field(builder, context, Context, "timeline"), i64)
    on = builder.icmp_unsigned("!=", watching, ir.Constant(i64, 0))
    with builder.if_then(on, likely=False):
        routine = ir.Function(builder.module, release_type, name=RELEASE)
        where = [builder.ptrtoint(p, i64) for p in (context, block)]
        builder.call(routine, [*where, builder.zext(number, i64)])


def _waiting_at(
    builder: ir.IRBuilder, warp: ir.Value, number: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Lanes of a warp that wait at one barrier, and its lanes that have not exited, as masks."""
    pcs = _vector(builder, warp, "pcs")
    live = builder.icmp_unsigned("!=", pcs, _constant(EXITED))
    held = builder.icmp_unsigned("!=", builder.and_(pcs, _constant(BARRIER_BIT)), _constant(0))
    here = builder.icmp_unsigned("==", _vector(builder, warp, "barrier"), splat(builder, number))
    waiting = builder.and_(builder.and_(live, held), here)
    return bits_of(builder, waiting), bits_of(builder, live)


def _define_release_barriers(module: ir.Module) -> ir.Function:
    """``i32 release(ctx, block)``: let go every barrier whose threads are all there; how many."""
    reduce = ir.Function(module, reduce_type, name=REDUCE)
    check = ir.Function(module, check_type, name=CHECK)
    builder = _function(module, i32, [pointer, pointer], "coalesce_release_barriers")
    context, block = builder.function.args
    zero, one = ir.Constant(i32, 0), ir.Constant(i32, 1)
    warps = load(builder, field(builder, context, Context, "warps"), i32)
    used_at = field(builder, block, BlockState, "barriers_used")
    released = builder.alloca(i32)
    left = builder.alloca(i32)
    arrived = builder.alloca(i32)
    living = builder.alloca(i32)
    builder.store(zero, released)
    builder.store(load(builder, used_at, i32), left)
    head = builder.append_basic_block("barriers")
    body = builder.append_basic_block("barrier")
    after = builder.append_basic_block("done")
    builder.branch(head)
    builder.position_at_end(head)
    remaining = load(builder, left, i32)
    builder.cbranch(builder.icmp_unsigned("!=", remaining, zero), body, after)
    builder.position_at_end(body)
    number = first_lane(builder, remaining)
    builder.store(builder.and_(remaining, builder.sub(remaining, one)), left)
    byte = builder.mul(builder.zext(number, i64), ir.Constant(i64, 4))
    expected_at = at(builder, field(builder, block, BlockState, "expected"), byte)
    arrived_at = at(builder, field(builder, block, BlockState, "arrived"), byte)
    builder.store(load(builder, arrived_at, i32), arrived)
    builder.store(zero, living)
    expected = load(builder, expected_at, i32)
    counts_warps = builder.icmp_unsigned("!=", expected, zero)
    with loop(builder, zero, warps) as index:
        warp = _warp(builder, context, block, index)
        waiting, live = _waiting_at(builder, warp, number)
        # where threads are counted, a whole warp counts as 32, however many of its lanes live
        whole = builder.and_(
            counts_warps,
            builder.and_(
                builder.icmp_unsigned("==", waiting, live),
                builder.icmp_unsigned("!=", waiting, zero),
            ),
        )
        come = builder.select(whole, ir.Constant(i32, LANES), count_lanes(builder, waiting))
        for total, lanes in ((arrived, come), (living, count_lanes(builder, live))):
            builder.store(builder.add(load(builder, total, i32), lanes), total)
    goal = builder.select(
        builder.icmp_unsigned("==", expected, zero), load(builder, living, i32), expected
    )
    bit = builder.shl(one, number)
    with builder.if_then(builder.icmp_unsigned(">=", load(builder, arrived, i32), goal)):
        _tell_checkers(builder, context, block, "observe_release_barrier", number)
        _tell_timeline(builder, context, block, number)
        complaints = load(builder, field(builder, context, Context, "complaints"), i64)
        watched = builder.icmp_unsigned("!=", complaints, ir.Constant(i64, 0))
        with builder.if_then(watched, likely=False):
            builder.call(check, [
                builder.ptrtoint(context, i64), builder.ptrtoint(block, i64),
                builder.zext(number, i64), builder.zext(load(builder, arrived, i32), i64),
            ])  # fmt: skip
        reducing_at = field(builder, block, BlockState, "reducing")
        reducing = load(builder, reducing_at, i32)
        reduces = builder.icmp_unsigned("!=", builder.and_(reducing, bit), zero)
        with builder.if_then(reduces, likely=False):
            builder.call(reduce, [
                builder.ptrtoint(context, i64), builder.ptrtoint(block, i64),
                builder.zext(number, i64),
            ])  # fmt: skip
            builder.store(builder.and_(reducing, builder.not_(bit)), reducing_at)
        with loop(builder, zero, warps) as index:
            warp = _warp(builder, context, block, index)
            waiting, _ = _waiting_at(builder, warp, number)
            with builder.if_then(builder.icmp_unsigned("!=", waiting, zero)):
                pcs = _vector(builder, warp, "pcs")
                free = builder.and_(pcs, _constant(~BARRIER_BIT & 0xFFFFFFFF))
                lanes = builder.bitcast(waiting, ir.VectorType(ir.IntType(1), LANES))
                kept = builder.select(lanes, free, pcs)
                builder.store(kept, field(builder, warp, Warp, "pcs"), align=64)
                builder.store(ir.Constant(i32, YIELD), field(builder, warp, Warp, "status"))
        builder.store(zero, expected_at)
        builder.store(zero, arrived_at)
        used = load(builder, used_at, i32)
        builder.store(builder.and_(used, builder.not_(bit)), used_at)
        builder.store(builder.add(load(builder, released, i32), one), released)
    builder.branch(head)
    builder.position_at_end(after)
    builder.ret(load(builder, released, i32))
    return builder.function


class _FunctionPointer:
    """A kernel's address as something llvmlite's ``call`` takes: opaque pointers have no type."""

    function_type = ir.FunctionType(i32, [pointer, pointer])

    def __init__(self, value: ir.Value) -> None:
        self.type = value.type
        self.get_reference = value.get_reference


def _define_step_block(module: ir.Module, release: ir.Function) -> ir.Function:
    """``i32 step(ctx, block)``: rounds over the block's warps until it is done or must stop.

    A round costs what :data:`SPIN`, :data:`LONG` and :data:`ROUND` say, until the budget is spent.
    """
    shuffle = ir.Function(module, shuffle_type, name=SHUFFLE)
    builder = _function(module, i32, [pointer, pointer], "coalesce_step_block")
    context, block = builder.function.args
    zero = ir.Constant(i32, 0)
    warps = load(builder, field(builder, context, Context, "warps"), i32)
    address = load(builder, field(builder, context, Context, "kernel"), i64)
    kernel = _FunctionPointer(builder.inttoptr(address, pointer))
    unfinished = builder.alloca(i32)
    yielded = builder.alloca(i32)
    paused = builder.alloca(i32)
    budget_at = builder.alloca(i32)
    builder.store(load(builder, field(builder, context, Context, "budget"), i32), budget_at)
    random = load(builder, field(builder, context, Context, "random"), i64)
    shuffled = builder.icmp_unsigned("!=", random, ir.Constant(i64, 0))
    turns = field(builder, block, BlockState, "turns")
    round_ = builder.append_basic_block("round")
    builder.branch(round_)
    builder.position_at_end(round_)
    builder.store(zero, unfinished)
    builder.store(zero, yielded)
    builder.store(zero, paused)
    with builder.if_then(shuffled, likely=False):
        builder.call(shuffle, [builder.ptrtoint(context, i64), builder.ptrtoint(block, i64)])
    with loop(builder, zero, warps) as turn:
        where = at(builder, turns, builder.mul(builder.zext(turn, i64), ir.Constant(i64, 4)))
        warp = _warp(builder, context, block, load(builder, where, i32))
        status_at = field(builder, warp, Warp, "status")
        before = load(builder, status_at, i32)
        ready = builder.or_(
            builder.icmp_unsigned("==", before, ir.Constant(i32, YIELD)),
            builder.icmp_unsigned("==", before, ir.Constant(i32, PAUSE)),
        )
        with builder.if_then(ready):
            status = builder.call(kernel, [context, warp])
            fault = builder.icmp_unsigned("==", status, ir.Constant(i32, FAULT))
            with builder.if_then(fault, likely=False):
                builder.ret(ir.Constant(i32, FAULT))
            builder.store(status, status_at)
            for what, where in ((YIELD, yielded), (PAUSE, paused)):
                again = builder.icmp_unsigned("==", status, ir.Constant(i32, what))
                flag = builder.or_(load(builder, where, i32), builder.zext(again, i32))
                builder.store(flag, where)
        now = load(builder, status_at, i32)
        open_ = builder.icmp_unsigned("!=", now, ir.Constant(i32, DONE))
        flag = builder.or_(load(builder, unfinished, i32), builder.zext(open_, i32))
        builder.store(flag, unfinished)
    finished = builder.icmp_unsigned("==", load(builder, unfinished, i32), zero)
    with builder.if_then(finished):
        builder.ret(ir.Constant(i32, DONE))
    released = builder.call(release, [context, block])
    spins = builder.icmp_unsigned("!=", load(builder, yielded, i32), zero)
    long = builder.icmp_unsigned("!=", load(builder, paused, i32), zero)
    idle = builder.not_(builder.or_(spins, long))
    stuck = builder.and_(idle, builder.icmp_unsigned("==", released, zero))
    with builder.if_then(stuck, likely=False):
        builder.ret(ir.Constant(i32, STUCK))
    price = builder.select(spins, ir.Constant(i32, SPIN), ir.Constant(i32, ROUND))
    price = builder.select(long, ir.Constant(i32, LONG), price)
    left = builder.sub(load(builder, budget_at, i32), price)
    builder.store(left, budget_at)
    goes_on = builder.append_basic_block("goes_on")
    spent = builder.append_basic_block("spent")
    builder.cbranch(builder.icmp_signed("<", left, zero), spent, goes_on)
    builder.position_at_end(goes_on)
    builder.branch(round_)
    builder.position_at_end(spent)
    builder.ret(builder.select(spins, ir.Constant(i32, YIELD), ir.Constant(i32, PAUSE)))
    return builder.function


def _define_run_blocks(module: ir.Module, start: ir.Function, step: ir.Function) -> None:
    builder = _function(module, i32, [pointer, pointer, i64, i64, pointer], "coalesce_run_blocks")
    context, block, first, last, following = builder.function.args
    builder.store(first, following)
    with loop(builder, first, last) as index:
        builder.call(start, [context, block, index])
        builder.store(builder.add(index, ir.Constant(i64, 1)), following)
        status = builder.call(step, [context, block])
        stopped = builder.icmp_unsigned("!=", status, ir.Constant(i32, DONE))
        with builder.if_then(stopped, likely=False):
            builder.ret(status)
    builder.ret(ir.Constant(i32, DONE))


__all__ = ["BARRIER", "define_scheduler"]
