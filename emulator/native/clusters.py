"""The compiled scheduler of clusters: their blocks start together and take turns.

``coalesce_run_clusters(ctx, cluster, first, last, next*)`` and ``coalesce_step_cluster(ctx,
cluster)`` do for a cluster what :mod:`emulator.native.scheduler` does for a block, and return the
same. A block that is done stays where it is until all are: others may look for its shared memory.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.compiled import routine_type
from emulator.native.lanes import loop
from emulator.native.layout import (
    DONE,
    FAULT,
    PAUSE,
    STUCK,
    YIELD,
    BlockState,
    Cluster,
    Context,
    at,
    field,
    i32,
    i64,
    load,
    pointer,
)

RELEASE, LEAVE = "coalesce_release_cluster", "coalesce_leave_cluster"
DRAW = "coalesce_draw_rank"
OBSERVE, observe_type = "coalesce_observe_leave_block", routine_type("void", "int64", "int64")
release_type = routine_type("int64", "int64", "int64")
ENTRIES = ("coalesce_run_clusters", "coalesce_step_cluster")
SWEEPS = 8  # over the blocks, when one spins, before Python may look


def define_cluster_scheduler(module: ir.Module, start: ir.Function, step: ir.Function) -> None:
    """Define both, from the scheduler's start and step of a block."""
    step_cluster = _define_step(module, step)
    _define_run(module, start, step_cluster)


def _function(module: ir.Module, arguments: list[ir.Type], name: str) -> ir.IRBuilder:
    function = ir.Function(module, ir.FunctionType(i32, arguments), name=name)
    function.attributes.add("nounwind")
    return ir.IRBuilder(function.append_basic_block("entry"))


def _block(builder: ir.IRBuilder, cluster: ir.Value, rank: ir.Value) -> ir.Value:
    byte = builder.mul(builder.zext(rank, i64), ir.Constant(i64, 8))
    where = at(builder, field(builder, cluster, Cluster, "blocks"), byte)
    return builder.inttoptr(load(builder, where, i64), pointer)


def _define_step(module: ir.Module, step: ir.Function) -> ir.Function:
    """``i32 step(ctx, cluster)``: sweeps over its blocks until all are done or it must stop."""
    release = ir.Function(module, release_type, name=RELEASE)
    leave = ir.Function(module, release_type, name=LEAVE)
    observe = ir.Function(module, observe_type, name=OBSERVE)
    builder = _function(module, [pointer, pointer], ENTRIES[1])
    context, cluster = builder.function.args
    zero, one = ir.Constant(i32, 0), ir.Constant(i32, 1)
    size = load(builder, field(builder, cluster, Cluster, "size"), i32)
    statuses = (DONE, YIELD, PAUSE)
    seen = {status: builder.alloca(i32) for status in (*statuses, STUCK)}
    sweeps_at, first_at = builder.alloca(i32), builder.alloca(i32)
    budget = load(builder, field(builder, context, Context, "budget"), i32)
    short = builder.icmp_unsigned("==", budget, zero)
    builder.store(builder.select(short, one, ir.Constant(i32, SWEEPS)), sweeps_at)
    sweep = builder.append_basic_block("sweep")
    builder.branch(sweep)
    builder.position_at_end(sweep)
    for place in seen.values():
        builder.store(zero, place)
    first = _first_rank(builder, context, size, first_at)
    with loop(builder, zero, size) as turn:
        block = _block(builder, cluster, builder.urem(builder.add(turn, first), size))
        gone_at = field(builder, block, BlockState, "gone")
        here = builder.icmp_unsigned("==", load(builder, gone_at, i32), zero)
        with builder.if_then(here):
            status = builder.call(step, [context, block])
            fault = builder.icmp_unsigned("==", status, ir.Constant(i32, FAULT))
            with builder.if_then(fault, likely=False):
                builder.ret(status)
            done = builder.icmp_unsigned("==", status, ir.Constant(i32, DONE))
            builder.store(builder.zext(done, i32), gone_at)
            with builder.if_then(done):
                shadow = load(builder, field(builder, block, BlockState, "shadow"), i64)
                watched = builder.icmp_unsigned("!=", shadow, ir.Constant(i64, 0))
                with builder.if_then(watched, likely=False):
                    builder.call(observe, [builder.ptrtoint(p, i64) for p in (context, block)])
                where = [builder.ptrtoint(p, i64) for p in (context, block)]
                coming = builder.icmp_signed("<", builder.call(leave, where), ir.Constant(i64, 0))
                with builder.if_then(coming, likely=False):
                    builder.ret(ir.Constant(i32, FAULT))
            for what, place in seen.items():
                is_it = builder.icmp_unsigned("==", status, ir.Constant(i32, what))
                old = load(builder, place, i32)
                builder.store(builder.or_(old, builder.zext(is_it, i32)), place)
    done, yielded, paused, stuck = (
        builder.icmp_unsigned("!=", load(builder, seen[s], i32), zero) for s in (*statuses, STUCK)
    )
    unfinished = builder.or_(builder.or_(yielded, paused), stuck)
    with builder.if_then(builder.not_(unfinished)):
        builder.ret(ir.Constant(i32, DONE))
    where = [builder.ptrtoint(p, i64) for p in (context, cluster)]
    released = builder.icmp_unsigned("!=", builder.call(release, where), ir.Constant(i64, 0))
    moving = builder.or_(builder.or_(yielded, paused), builder.or_(released, done))
    with builder.if_then(builder.not_(moving), likely=False):
        builder.ret(ir.Constant(i32, STUCK))
    # a block that took its whole budget has used the sweep up
    left = builder.sub(load(builder, sweeps_at, i32), builder.zext(yielded, i32))
    builder.store(left, sweeps_at)
    spent = builder.or_(paused, builder.icmp_signed("<=", left, zero))
    leave = builder.append_basic_block("spent")
    builder.cbranch(spent, leave, sweep)
    builder.position_at_end(leave)
    builder.ret(builder.select(paused, ir.Constant(i32, PAUSE), ir.Constant(i32, YIELD)))
    return builder.function


def _first_rank(
    builder: ir.IRBuilder, context: ir.Value, size: ir.Value, place: ir.Value
) -> ir.Value:
    """The rank that a sweep begins with: 0, or drawn in a launch with a seed."""
    random = load(builder, field(builder, context, Context, "random"), i64)
    builder.store(ir.Constant(i32, 0), place)
    with builder.if_then(builder.icmp_unsigned("!=", random, ir.Constant(i64, 0)), likely=False):
        known = builder.module.globals.get(DRAW)
        routine = known or ir.Function(builder.module, release_type, name=DRAW)
        drawn = builder.call(routine, [builder.ptrtoint(context, i64), builder.zext(size, i64)])
        builder.store(builder.trunc(drawn, i32), place)
    return load(builder, place, i32)


def _define_run(module: ir.Module, start: ir.Function, step: ir.Function) -> None:
    builder = _function(module, [pointer, pointer, i64, i64, pointer], ENTRIES[0])
    context, cluster, first, last, following = builder.function.args
    size = load(builder, field(builder, cluster, Cluster, "size"), i32)
    builder.store(first, following)
    with loop(builder, first, last) as index:
        builder.store(ir.Constant(i32, 0), field(builder, cluster, Cluster, "arrivals"))
        base = builder.mul(index, builder.zext(size, i64))
        with loop(builder, ir.Constant(i32, 0), size) as rank:
            block = _block(builder, cluster, rank)
            builder.store(ir.Constant(i32, 0), field(builder, block, BlockState, "gone"))
            number = builder.add(base, builder.zext(rank, i64))
            builder.call(start, [context, block, number])
        builder.store(builder.add(index, ir.Constant(i64, 1)), following)
        status = builder.call(step, [context, cluster])
        stopped = builder.icmp_unsigned("!=", status, ir.Constant(i32, DONE))
        with builder.if_then(stopped, likely=False):
            builder.ret(status)
    builder.ret(ir.Constant(i32, DONE))
